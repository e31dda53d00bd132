//! The API over the network: only with a certificate, and by its name.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use reqwest::{Certificate, Client, Identity, Method, StatusCode};
use selvedge::api::config::HttpsConfig;
use serde_json::Value as Json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::world::World;
use crate::process::DEADLINE;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with these names, and its key.
fn issue(authority: &Authority, common: &str, names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common);
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn serve_as(folder: &Path, authority: &Authority) {
    let names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let (certificate, key) = issue(authority, "host", names);
    fs_err::write(folder.join("host.key"), key).unwrap();
    fs_err::write(folder.join("host.pem"), certificate).unwrap();
}

/// A client that believes `authority`, with a certificate or none.
fn client(authority: &Authority, own: Option<(String, String)>) -> Client {
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let builder = Client::builder().tls_certs_only([root]).no_proxy();
    let builder = builder.pool_max_idle_per_host(0);
    match own {
        Some((certificate, key)) => {
            let identity = Identity::from_pem((certificate + &key).as_bytes());
            builder.identity(identity.unwrap()).build().unwrap()
        }
        None => builder.build().unwrap(),
    }
}

async fn ask(
    client: &Client,
    at: SocketAddr,
    method: Method,
    path: &str,
) -> Option<(StatusCode, Json)> {
    let request = client.request(method, format!("https://{at}{path}"));
    let response = timeout(DEADLINE, request.send()).await.unwrap().ok()?;
    Some((response.status(), response.json().await.ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_decide_who_comes_in_and_what_they_may_do() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority("servers"), authority("clients"));
    serve_as(folder.path(), &servers);
    fs_err::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
    let world = World::start_with(|config| {
        config.api.https = Some(HttpsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: folder.path().join("host.pem"),
            key: folder.path().join("host.key"),
            client_ca: folder.path().join("clients.pem"),
            viewers: vec!["console.example".to_owned()],
            operators: vec!["urn:site:anna".to_owned()],
        });
    })
    .await;
    let at = world.served.https.unwrap();
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let uri = |name: &str| SanType::URI(name.try_into().unwrap());
    let with = |own| client(&servers, Some(own));

    // Nobody without a certificate, or with one of another authority.
    let none = client(&servers, None);
    assert_eq!(ask(&none, at, Method::GET, "/healthz").await, None);
    let foreign = issue(
        &authority("others"),
        "urn:site:anna",
        vec![uri("urn:site:anna")],
    );
    assert_eq!(ask(&with(foreign), at, Method::GET, "/healthz").await, None);

    // The URI counts before the DNS name, and both before the common name.
    let names = vec![dns("console.example"), uri("urn:site:anna")];
    let operator = with(issue(&clients, "console.example", names));
    let (status, problem) = ask(&operator, at, Method::POST, "/v1/rollback")
        .await
        .unwrap();
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &"nothing-before".into())
    );

    let viewer = with(issue(
        &clients,
        "urn:site:anna",
        vec![dns("console.example")],
    ));
    let (status, _) = ask(&viewer, at, Method::GET, "/v1/status").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let (status, problem) = ask(&viewer, at, Method::POST, "/v1/rollback")
        .await
        .unwrap();
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (403, &"forbidden".into())
    );

    let unknown = with(issue(&clients, "someone", Vec::new()));
    let (status, _) = ask(&unknown, at, Method::GET, "/healthz").await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(&unknown, at, Method::GET, "/v1/status").await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);

    // Who never finishes a handshake keeps nobody out, and is cut off.
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    assert!(ask(&viewer, at, Method::GET, "/v1/status").await.is_some());
    let read = silent[0].read_u8();
    let ended = timeout(Duration::from_secs(20), read).await;
    assert!(ended.expect("it is cut off").is_err());

    // New certificates count from the next handshake on; broken ones do not.
    let renewed = authority("renewed");
    fs_err::write(folder.path().join("host.pem"), "nonsense").unwrap();
    assert!(ask(&viewer, at, Method::GET, "/v1/status").await.is_some());
    serve_as(folder.path(), &renewed);
    let names = vec![dns("console.example")];
    let own = issue(&clients, "x", names);
    let later = client(&renewed, Some(own));
    let begun = Instant::now();
    while ask(&later, at, Method::GET, "/v1/status").await.is_none() {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(&viewer, at, Method::GET, "/v1/status").await, None);
}
