//! How devices find their gateway, and who is told what.

mod commands;
pub(crate) mod site;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent};
use serde_json::Value as Json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::process::{DEADLINE, run, selvedge, text};
use site::{Site, read};

const LISTEN: &str = "[discovery]\nlisten = '127.0.0.1:0'";

/// A client with what `device add` wrote; without `folder`, one that shows nothing.
fn client(site: &Site, folder: Option<&Path>) -> reqwest::Client {
    let ca = read(&site.path("data/ca/ca.crt"));
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    let mut client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .timeout(Duration::from_secs(20));
    if let Some(folder) = folder {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let pem = ["key", "crt"].map(|ending| read(&folder.join(format!("{name}.{ending}"))));
        client = client.identity(reqwest::Identity::from_pem(pem.concat().as_bytes()).unwrap());
    }
    client.build().unwrap()
}

/// The status and body of what `thing` is told.
async fn asked(
    site: &Site,
    client: &reqwest::Client,
    thing: &str,
) -> Result<(u16, Json), reqwest::Error> {
    let port = site.https.unwrap().port();
    let url = format!("https://localhost:{port}/greengrass/discover/thing/{thing}");
    let answer = client.get(url).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.json().await?))
}

#[tokio::test]
async fn a_device_is_told_where_its_gateway_is_and_nobody_else_is() {
    let site = Site::start(LISTEN).await;
    let oven = site.add("oven", &[]).await;
    let press = site.add("press", &[]).await;
    let own = client(&site, Some(&oven));
    let told = async |thing: &str, client: &reqwest::Client| {
        let waited = timeout(DEADLINE, async {
            loop {
                // The host sees within a second that there is a device.
                match asked(&site, client, thing).await.unwrap() {
                    (403, _) if thing == "oven" => {}
                    answer => return answer,
                }
            }
        });
        waited.await.unwrap()
    };
    let (status, body) = told("oven", &own).await;
    assert_eq!(status, 200);
    let group = &body["GGGroups"][0];
    let core = &group["Cores"][0]["Connectivity"][0];
    assert_eq!(core["HostAddress"], "127.0.0.1");
    assert_eq!(core["PortNumber"], site.broker.port());
    assert_eq!(group["CAs"][0], read(&site.path("data/ca/ca.crt")));
    assert_eq!(told("press", &own).await.0, 403, "about another");
    assert_eq!(told("", &own).await.0, 403);
    let nobody = client(&site, None);
    assert!(
        asked(&site, &nobody, "oven").await.is_err(),
        "no certificate"
    );
    let foreign = Site::new("").await;
    let stranger = foreign.add("oven", &[]).await;
    let stranger = client(&site, Some(&stranger));
    assert!(asked(&site, &stranger, "oven").await.is_err(), "not ours");
    // The authority no longer vouches for it, and the registry shuts it out.
    site.succeeds(&["device", "revoke", "press"]).await;
    let press = client(&site, Some(&press));
    let refused = timeout(DEADLINE, async {
        while asked(&site, &press, "press").await.is_ok() {}
    });
    refused.await.unwrap();
    assert_eq!(told("oven", &own).await.0, 200);
}

#[tokio::test]
async fn who_is_silent_holds_nobody_else_up() {
    let site = Site::start(LISTEN).await;
    let oven = site.add("oven", &[]).await;
    let address = site.https.unwrap();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(from("127.0.0.2", address).await);
    }
    // Those beyond its part of the places are closed as they come.
    let last = silent.last_mut().unwrap();
    let closed = timeout(Duration::from_secs(5), last.read_u8()).await;
    assert!(closed.expect("it is closed at once").is_err());
    let own = client(&site, Some(&oven));
    let (status, _) = asked(&site, &own, "oven").await.unwrap();
    assert!([200, 403].contains(&status), "{status}");
}

async fn from(own: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let own = format!("{own}:0").parse().unwrap();
    socket.bind(own).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn what_devices_are_told_is_kept_on_the_bus() {
    let site = Site::start(LISTEN).await;
    let arguments = [
        "tap",
        "$selvedge/discovery",
        "--kept",
        "--count",
        "1",
        "--json",
    ];
    let told = site.ask(&arguments).await;
    for part in [site.broker.port().to_string(), "ca_fingerprint".to_owned()] {
        assert!(told.contains(&part), "{part}: {told}");
    }
}

#[tokio::test]
async fn the_broker_is_announced_on_the_network() {
    let settings = format!("{LISTEN}\nmdns = true\nmdns_interfaces = ['lo']");
    let site = Site::start(&settings).await;
    let daemon = ServiceDaemon::new().unwrap();
    daemon.disable_interface(IfKind::All).unwrap();
    daemon.enable_interface("lo").unwrap();
    let events = daemon.browse("_secure-mqtt._tcp.local.").unwrap();
    let found = timeout(DEADLINE, async {
        loop {
            // Others on this machine may have a gateway too.
            if let ServiceEvent::ServiceResolved(found) = events.recv_async().await.unwrap()
                && found.get_port() == site.broker.port()
            {
                return found;
            }
        }
    });
    let found = found.await.expect("it is announced");
    let fingerprint = site.succeeds(&["ca", "show", "--json"]).await;
    let fingerprint: Json = serde_json::from_str(&fingerprint).unwrap();
    let text = |key| found.get_property_val_str(key).unwrap();
    assert_eq!(text("ca"), fingerprint["fingerprint"]);
    assert_eq!(text("https"), site.https.unwrap().port().to_string());
    let addresses = found.get_addresses_v4();
    assert!(addresses.contains(&[127, 0, 0, 1].into()), "{addresses:?}");
    daemon.shutdown().unwrap();
}

#[tokio::test]
async fn a_host_says_why_it_cannot_answer_discovery() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!("[discovery]\nlisten = '{address}'")).await;
    let host = site.path("host.toml");
    let mut host = selvedge(&["run", "--host-config", text(&host)]);
    let ended = run(&mut host).await;
    assert_ne!(ended.code, Some(0));
    let expected = format!("cannot answer discovery on {address}");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
}
