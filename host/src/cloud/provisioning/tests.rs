//! Against a far end that signs as AWS IoT does, or does not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair};
use serde_json::{Value, json};

use super::files::{Files, Pending, Thing};
use super::{Claim, ProvisionError, provision};
use crate::cloud::channel::Channel;
use crate::cloud::config::KeyMaker;
use crate::cloud::far_end::{Answers, FarEnd};

const CREATE: &str = "$aws/certificates/create-from-csr/json";
const KEYS: &str = "$aws/certificates/create/json";
const REGISTER: &str = "$aws/provisioning-templates/line/provision/json";
const WAIT: Duration = Duration::from_secs(5);

fn claim(key: KeyMaker) -> Claim {
    Claim {
        template: "line".parse().unwrap(),
        parameters: [("SerialNumber".to_owned(), "7".to_owned())].into(),
        key,
    }
}

fn files(folder: &Path) -> Files {
    Files {
        certificate: folder.join("own/certificate.pem"),
        key: folder.join("own/key.pem"),
    }
}

/// A certificate for what a request names.
fn sign(request: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(CertificateParams::new(Vec::new()).unwrap(), key);
    let request = CertificateSigningRequestParams::from_pem(request).unwrap();
    request.signed_by(&issuer).unwrap().pem()
}

/// A key and its certificate.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem())
}

fn accepted(topic: &str, said: &Value) -> Answers {
    vec![(format!("{topic}/accepted"), said.to_string())]
}

fn rejected(topic: &str, status: u16, code: &str) -> Answers {
    let said = json!({"statusCode": status, "errorCode": code, "errorMessage": "no\u{7}"});
    vec![(format!("{topic}/rejected"), said.to_string())]
}

fn created(request: &[u8]) -> Answers {
    let request: Value = serde_json::from_slice(request).unwrap();
    let request = request["certificateSigningRequest"].as_str().unwrap();
    let said = json!({
        "certificateOwnershipToken": "token", "certificateId": "id", "certificatePem": sign(request),
    });
    accepted(CREATE, &said)
}

fn registered(request: &[u8]) -> Answers {
    let request: Value = serde_json::from_slice(request).unwrap();
    assert_eq!(request["parameters"], json!({"SerialNumber": "7"}));
    let said = json!({"deviceConfiguration": {"site": "a"}, "thingName": "gw-7"});
    accepted(REGISTER, &said)
}

async fn run(far_end: &Arc<FarEnd>, key: KeyMaker, folder: &Path) -> Result<Thing, ProvisionError> {
    let channel: &dyn Channel = &**far_end;
    provision(channel, &claim(key), &files(folder), WAIT).await
}

#[tokio::test]
async fn a_claim_becomes_a_certificate_for_a_key_that_stays_here() {
    let folder = tempfile::tempdir().unwrap();
    let far_end = FarEnd::new(|topic, request| {
        assert!(!String::from_utf8_lossy(request).contains("PRIVATE"));
        match topic {
            CREATE => created(request),
            _ => registered(request),
        }
    });
    let thing = run(&far_end, KeyMaker::Here, folder.path()).await.unwrap();
    assert_eq!(
        (thing.thing.as_str(), &thing.configuration["site"]),
        ("gw-7", &json!("a"))
    );
    let files = files(folder.path());
    for path in [&files.certificate, &files.key] {
        let mode = fs_err::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let left = fs_err::read_dir(folder.path().join("own")).unwrap().count();
    assert_eq!(left, 3, "certificate, key and thing");
    // Another time nothing is asked.
    far_end.connect(false);
    assert_eq!(
        run(&far_end, KeyMaker::Here, folder.path()).await.unwrap(),
        thing
    );
}

#[tokio::test]
async fn a_key_may_come_from_the_cloud_if_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let far_end = FarEnd::new(|topic, request| match topic {
        KEYS => {
            let (key, certificate) = pair();
            let said = json!({
                "certificateOwnershipToken": "token", "certificateId": "id",
                "certificatePem": certificate, "privateKey": key,
            });
            accepted(KEYS, &said)
        }
        _ => registered(request),
    });
    run(&far_end, KeyMaker::Cloud, folder.path()).await.unwrap();
}

#[tokio::test]
async fn what_was_begun_is_gone_on_with_and_a_token_that_expired_costs_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let far_end = FarEnd::new(move |topic, request| match topic {
        CREATE => {
            count.fetch_add(1, Ordering::Relaxed);
            created(request)
        }
        _ => rejected(REGISTER, 403, "AccessDenied"),
    });
    let error = run(&far_end, KeyMaker::Here, folder.path())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("403 AccessDenied: no"), "{text}");
    let pending = files(folder.path()).pending().unwrap();
    let key = pending.key.clone().unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    // Killed here, it goes on with the same certificate.
    let far_end = FarEnd::new(|topic, request| match topic {
        CREATE => panic!("there is one already"),
        _ => registered(request),
    });
    let folder_of_other = tempfile::tempdir().unwrap();
    let other = files(folder_of_other.path());
    other.save(&pending).unwrap();
    run(&far_end, KeyMaker::Here, folder_of_other.path())
        .await
        .unwrap();
    assert_eq!(fs_err::read_to_string(&other.key).unwrap(), key);

    // A token that is not taken any more leads to a new certificate.
    let mut first = true;
    let far_end = FarEnd::new(move |topic, request| match topic {
        CREATE => created(request),
        _ if std::mem::take(&mut first) => {
            rejected(REGISTER, 400, "InvalidCertificateOwnershipToken")
        }
        _ => registered(request),
    });
    run(&far_end, KeyMaker::Here, folder.path()).await.unwrap();
    let installed = fs_err::read_to_string(&files(folder.path()).key).unwrap();
    assert_eq!(installed, key, "the key stays");
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_taken() {
    let check = |said: Value, code: &'static str| async move {
        let folder = tempfile::tempdir().unwrap();
        let said = Arc::new(said);
        let far_end = FarEnd::new(move |_, _| accepted(CREATE, &said));
        let error = run(&far_end, KeyMaker::Here, folder.path())
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!files(folder.path()).certificate.exists());
    };
    let of = |certificate: String| json!({"certificateOwnershipToken": "t", "certificateId": "i", "certificatePem": certificate});
    check(of(pair().1), "certificate-mismatch").await;
    check(of("garbage".to_owned()), "certificate-mismatch").await;
    check(of("x".repeat(100_000)), "certificate-mismatch").await;
    check(json!({"certificatePem": 7}), "claim-answer-malformed").await;
    check(json!([]), "claim-answer-malformed").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_or_silent_is_asked_again_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let far_end =
        FarEnd::new(
            move |topic, request| match (topic, count.fetch_add(1, Ordering::Relaxed)) {
                (CREATE, 0) => rejected(CREATE, 429, "Throttled"),
                (CREATE, 1) => Vec::new(),
                (CREATE, _) => created(request),
                _ => registered(request),
            },
        );
    run(&far_end, KeyMaker::Here, folder.path()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let silent = FarEnd::new(|_, _| Vec::new());
    let error = run(&silent, KeyMaker::Here, folder.path())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "claim-unanswered");
    silent.connect(false);
    let error = run(&silent, KeyMaker::Here, folder.path())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "claim-away");
}

#[test]
fn whatever_configuration_the_cloud_gives_a_thing_it_is_the_thing_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    // As much as an answer may have, of what grows most when it is written again.
    let numbers = vec!["1e15"; 25_000].join(",");
    let configuration = serde_json::from_str(&format!("{{\"a\":[{numbers}]}}")).unwrap();
    let thing = Thing {
        thing: "gw".parse().unwrap(),
        certificate: "id".to_owned(),
        configuration,
    };
    files.install("key", "certificate", &thing).unwrap();
    assert_eq!(files.thing().unwrap(), Some(thing));
}

#[tokio::test]
async fn one_that_was_killed_among_its_files_puts_them_there_again() {
    let silent = FarEnd::new(|_, _| Vec::new());
    silent.connect(false);
    // The key is the new one, and the certificate an old one or the new one.
    for old in [Some("an old one"), None] {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        fs_err::create_dir_all(files.certificate.parent().unwrap()).unwrap();
        fs_err::write(&files.certificate, "an old one").unwrap();
        let kept = Arc::new(Mutex::new(None));
        let (own, seen) = (files.clone(), Arc::clone(&kept));
        let watched = FarEnd::new(move |topic, request| {
            let answers = match topic {
                CREATE => created(request),
                _ => registered(request),
            };
            *seen.lock() = Some(own.pending().unwrap());
            answers
        });
        let thing = run(&watched, KeyMaker::Here, folder.path()).await.unwrap();
        let mut pending = kept.lock().take().unwrap();
        pending.thing = Some(thing.clone());
        files.save(&pending).unwrap();
        let new = fs_err::read_to_string(&files.certificate).unwrap();
        if let Some(old) = old {
            fs_err::write(&files.certificate, old).unwrap();
        }

        assert!(!files.is_there());
        assert_eq!(files.thing().unwrap(), None);
        // It asks nobody.
        let again = run(&silent, KeyMaker::Here, folder.path()).await.unwrap();
        assert_eq!(again, thing);
        assert_eq!(fs_err::read_to_string(&files.certificate).unwrap(), new);
        assert!(files.is_there());
        let left = fs_err::read_dir(folder.path().join("own")).unwrap().count();
        assert_eq!(left, 3, "certificate, key and thing");
    }
}

#[test]
fn what_an_operator_put_there_is_not_replaced_for_a_claim_that_came_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let key = Some("key".to_owned());
    files
        .save(&Pending {
            key,
            ..Pending::default()
        })
        .unwrap();
    for path in [&files.certificate, &files.key] {
        fs_err::write(path, "an operator's").unwrap();
    }
    assert!(files.is_there());
}
