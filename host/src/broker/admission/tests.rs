use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Credentials, Peer, Refused, assigned_client_id, client_id_fits, narrowed, own_username,
};
use crate::broker::authorizer::{Answer, AuthorizeError, Authorizer, Permission, Request};
use crate::broker::config::BrokerConfig;
use crate::broker::{Broker, SiteFiles, Surroundings};
use crate::bus::{Bus, BusLimits};
use crate::devices::{Authority, Devices, KeyType, NewAuthority, Rules};
use crate::mqtt::Reason;
use crate::names::TopicFilter;
use crate::storage::Storage;
use crate::tls::{Fingerprint, Identity};

#[test]
fn a_client_id_is_the_devices_name_or_begins_with_it() {
    let device = "pump-7".parse().unwrap();
    for good in [
        "pump-7", "pump-7/a", "pump-7-b", "pump-7:c", "pump-7.d", "pump-7/",
    ] {
        assert!(client_id_fits(&device, good), "{good}");
    }
    let long = format!("pump-7/{}", "x".repeat(256));
    for bad in [
        "",
        "pump",
        "pump-70",
        "pump-7x",
        "Pump-7",
        " pump-7",
        "pump-7\u{e9}",
        "pump-7/\n",
        &long,
        "other/pump-7",
    ] {
        assert!(!client_id_fits(&device, bad), "{bad}");
    }
    let assigned = assigned_client_id(&device).unwrap();
    assert!(client_id_fits(&device, &assigned), "{assigned}");
    assert_ne!(assigned, assigned_client_id(&device).unwrap());
}

#[test]
fn what_aws_sdks_say_of_themselves_is_no_user() {
    for (given, own) in [
        ("anna", Some("anna")),
        ("anna?SDK=PythonV2&Version=1.2", Some("anna")),
        ("?SDK=PythonV2&Version=1.2", None),
        ("", None),
        ("what?", Some("what?")),
    ] {
        assert_eq!(own_username(given).as_deref(), own, "{given}");
    }
}

#[test]
fn an_authorizer_narrows_and_never_widens() {
    let filters = |texts: &[&str]| -> Vec<TopicFilter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let registered = filters(&["telemetry/#", "state/pump"]);
    let check = |permission: &[&str], expected: &[&str]| {
        let permission = filters(permission);
        let narrowed = narrowed(&registered, Some(&permission));
        assert_eq!(narrowed, filters(expected), "{permission:?}");
    };
    check(&["telemetry/a", "command/#"], &["telemetry/a"]);
    check(&["#"], &["state/pump", "telemetry/#"]);
    check(&["state/+"], &["state/pump"]);
    check(&[], &[]);
    assert_eq!(narrowed(&registered, None), registered);
}

/// Answers as it was told, and remembers what it was asked.
struct Scripted {
    answer: Result<Permission, AuthorizeError>,
    asked: Mutex<Vec<Request>>,
}

impl Authorizer for Scripted {
    fn authorize(&self, request: Request) -> Answer {
        self.asked.lock().push(request);
        let answer = self.answer.clone();
        Box::pin(async { answer })
    }
}

/// Never answers.
struct Silent;

impl Authorizer for Silent {
    fn authorize(&self, _: Request) -> Answer {
        Box::pin(std::future::pending())
    }
}

/// A broker with these devices' files, and who answers for it.
fn broker(
    devices: &[(&str, &str)],
    authorizer: Option<Arc<dyn Authorizer>>,
) -> (tempfile::TempDir, Broker) {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("devices");
    fs_err::create_dir_all(&folder).unwrap();
    for (name, text) in devices {
        fs_err::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
    let new = NewAuthority {
        name: "site".to_owned(),
        days: 30,
        key_type: KeyType::EcdsaP256,
        from: None,
        server_names: Vec::new(),
    };
    let authority = Authority::create(data.path(), &new).unwrap();
    let files = authority.files();
    let config = toml::from_str::<BrokerConfig>("listen = '127.0.0.1:0'").unwrap();
    let surroundings = Surroundings {
        bus: Bus::new(BusLimits::default()),
        storage: Storage::open(data.path()).unwrap(),
        devices: Devices::open(data.path(), Rules::default()).unwrap(),
        authorizer,
        site_files: SiteFiles {
            certificate: files.server_certificate.clone(),
            key: files.server_key.clone(),
            client_ca: files.ca.clone(),
            crl: Some(files.crl.clone()),
        },
        grace: Duration::from_secs(1),
    };
    let (broker, _) = Broker::build(&config, surroundings).unwrap();
    (data, broker)
}

/// Someone whose certificate has this common name, or who shows none.
fn peer(broker: &Broker, common_name: Option<&str>) -> Peer {
    let address = "192.0.2.1:4000".parse().unwrap();
    // Closed at once, which nobody here asks for.
    let ticket = broker.clients.open().enter(address);
    let identity = common_name.map(|name| Identity {
        common_name: Some(name.to_owned()),
        uris: Vec::new(),
        dns_names: Vec::new(),
        mail_addresses: Vec::new(),
        fingerprint: Fingerprint([7; 32]),
        serial: "07".to_owned(),
        not_after: i64::MAX,
    });
    Peer {
        stands_for: None,
        identity: identity.map(Arc::new),
        address,
        connect_by: Instant::now() + Duration::from_secs(10),
        ticket: ticket.unwrap(),
    }
}

fn known_as(client_id: &str) -> Credentials {
    Credentials {
        client_id: client_id.into(),
        username: Some("anna?SDK=Rust&Version=1".into()),
        password: Some(bytes::Bytes::from_static(b"secret")),
    }
}

fn may(device: &str, publish: Option<&[&str]>) -> Permission {
    let filters = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Permission {
        device: device.parse().unwrap(),
        publish: publish.map(filters),
        subscribe: None,
        valid_s: Some(60),
    }
}

fn scripted(answer: Result<Permission, AuthorizeError>) -> Arc<Scripted> {
    Arc::new(Scripted {
        answer,
        asked: Mutex::default(),
    })
}

#[tokio::test]
async fn without_an_authorizer_only_registered_certificates_come_in() {
    let (_data, broker) = broker(&[("pump", "publish = ['a/#']")], None);
    let shared = &broker.shared;
    let admitted = shared
        .admit(&peer(&broker, Some("pump")), known_as("pump"))
        .await;
    assert_eq!(admitted.unwrap().client_id.as_ref(), "pump");
    let nobody = shared.admit(&peer(&broker, None), known_as("pump")).await;
    assert_eq!(nobody.unwrap_err(), Refused::Nobody);
    let stranger = shared
        .admit(&peer(&broker, Some("valve")), known_as("valve"))
        .await;
    assert_eq!(stranger.unwrap_err().code(), "unknown-device");
    let refusals = [("certificate-missing", 1), ("unknown-device", 1)];
    assert_eq!(broker.refusals(), refusals);
}

#[tokio::test]
async fn an_authorizer_is_asked_too_and_its_word_narrows_for_a_time() {
    let authorizer = scripted(Ok(may("pump", Some(&["a/b", "c"]))));
    let devices = [("pump", "publish = ['a/#']"), ("valve", "")];
    let (_data, broker) = broker(&devices, Some(authorizer.clone()));
    let peer_of_pump = peer(&broker, Some("pump"));
    let admitted = broker.shared.admit(&peer_of_pump, known_as("pump-1")).await;
    let admitted = admitted.unwrap();
    assert_eq!(admitted.device.publish, ["a/b".parse().unwrap()]);
    assert!(broker.clients.watched()[0].until.is_some());
    assert_eq!(broker.clients()[0].device.as_str(), "pump");
    let asked = authorizer.asked.lock().pop().unwrap();
    assert_eq!(asked.username.as_deref(), Some("anna"));
    assert_eq!(asked.device, Some("pump".parse().unwrap()));
    // It cannot make one device another.
    let other = broker
        .shared
        .admit(&peer(&broker, Some("valve")), known_as("pump"))
        .await;
    assert_eq!(other.unwrap_err().code(), "authorizer-other-device");
}

#[tokio::test]
async fn who_shows_no_certificate_may_do_what_the_authorizer_says_and_the_operator_allows() {
    let authorizer = scripted(Ok(may("legacy", Some(&["old/#"]))));
    let (_data, broker) = broker(&[], Some(authorizer));
    let admitted = broker
        .shared
        .admit(&peer(&broker, None), known_as(""))
        .await
        .unwrap();
    assert_eq!(admitted.device.publish, ["old/#".parse().unwrap()]);
    assert!(admitted.device.subscribe.is_empty());
    assert!(admitted.is_assigned && client_id_fits(&admitted.device.name, &admitted.client_id));
    let foreign = broker
        .shared
        .admit(&peer(&broker, None), known_as("pump"))
        .await;
    assert_eq!(foreign.unwrap_err().code(), "client-id-foreign");

    let authorizer = scripted(Ok(may("legacy", None)));
    let (_data, broker) = self::broker(&[("legacy", "disabled = true")], Some(authorizer));
    let disabled = broker
        .shared
        .admit(&peer(&broker, None), known_as("legacy"))
        .await;
    assert_eq!(disabled.unwrap_err().code(), "device-disabled");
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_that_refuses_or_says_nothing_lets_nobody_in() {
    let refuses = scripted(Err(AuthorizeError::Refused("no".to_owned())));
    let silent: Arc<dyn Authorizer> = Arc::new(Silent);
    for (authorizer, code, reason) in [
        (
            refuses as Arc<dyn Authorizer>,
            "authorizer-refused",
            Reason::BAD_CREDENTIALS,
        ),
        (silent, "authorizer-unavailable", Reason::SERVER_UNAVAILABLE),
    ] {
        let (_data, broker) = broker(&[("pump", "")], Some(authorizer));
        let refused = broker
            .shared
            .admit(&peer(&broker, Some("pump")), known_as("pump"))
            .await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.reason()), (code, reason));
        assert!(broker.clients().is_empty());
    }
}
