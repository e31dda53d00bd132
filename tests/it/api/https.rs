//! The API over the network: only with a certificate, and by its name.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use reqwest::{Certificate, Client, Identity, Method, StatusCode};
use selvedge::api::config::HttpsConfig;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::world::World;
use crate::process::DEADLINE;

/// That of every certificate here.
const SERIAL: u64 = 4711;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The revocation list of `authority`, which names these serial numbers.
fn revoke(authority: &Authority, serials: &[u64]) -> String {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2126, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(authority).unwrap().pem().unwrap()
}

/// A certificate with these names, and its key.
fn issue(authority: &Authority, common: &str, names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from(SERIAL));
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

/// A host on the network, and who vouches for it and for its clients.
struct Site {
    world: World,
    at: SocketAddr,
    servers: Authority,
    clients: Authority,
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (servers, clients) = (authority("servers"), authority("clients"));
        serve_as(folder.path(), &servers);
        fs_err::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
        fs_err::write(folder.path().join("revoked.pem"), revoke(&clients, &[])).unwrap();
        let https = HttpsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: folder.path().join("host.pem"),
            key: folder.path().join("host.key"),
            client_ca: folder.path().join("clients.pem"),
            crl: Some(folder.path().join("revoked.pem")),
            viewers: vec!["console.example".to_owned()],
            operators: vec!["urn:site:anna".to_owned()],
        };
        let world = World::start_with(|config| config.api.https = Some(https)).await;
        Self {
            at: world.served.https.unwrap(),
            world,
            servers,
            clients,
            folder,
        }
    }

    /// A client with a certificate of these names.
    fn client(&self, common: &str, names: Vec<SanType>) -> Client {
        let own = issue(&self.clients, common, names);
        client(&self.servers, Some(own))
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_certificate_or_with_one_of_others() {
    let site = Site::start().await;
    let none = client(&site.servers, None);
    assert_eq!(ask(&none, site.at, Method::GET, "/healthz").await, None);
    let others = authority("clients");
    let foreign = issue(&others, "urn:site:anna", vec![uri("urn:site:anna")]);
    let foreign = client(&site.servers, Some(foreign));
    assert_eq!(ask(&foreign, site.at, Method::GET, "/healthz").await, None);
    // Nor over plain HTTP.
    let plain = Client::new().get(format!("http://{}/healthz", site.at));
    assert!(plain.send().await.is_err());
    assert_eq!(site.world.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_the_certificate_decides_what_one_may_do() {
    let site = Site::start().await;
    // The URI counts before the DNS name, and both before the common name.
    let names = vec![dns("console.example"), uri("urn:site:anna")];
    let operator = site.client("console.example", names);
    let done = ask(&operator, site.at, Method::POST, "/v1/rollback").await;
    let (status, problem) = done.unwrap();
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &"nothing-before".into())
    );
    let viewer = site.client("urn:site:anna", vec![dns("console.example")]);
    let (status, _) = ask(&viewer, site.at, Method::GET, "/v1/status")
        .await
        .unwrap();
    assert_eq!(status, StatusCode::OK);
    for path in ["/v1/rollback", "/v1/deployments", "/v1/publish"] {
        let (status, problem) = ask(&viewer, site.at, Method::POST, path).await.unwrap();
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (403, &"forbidden".into())
        );
    }
    let unknown = site.client("someone", Vec::new());
    let (status, _) = ask(&unknown, site.at, Method::GET, "/healthz")
        .await
        .unwrap();
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(&unknown, site.at, Method::GET, "/v1/status")
        .await
        .unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_finishes_a_handshake_keeps_nobody_out() {
    let site = Site::start().await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(site.at).await.unwrap());
    }
    let viewer = site.client("x", vec![dns("console.example")]);
    assert!(
        ask(&viewer, site.at, Method::GET, "/v1/status")
            .await
            .is_some()
    );
    let ended = timeout(DEADLINE, silent[0].read_u8()).await;
    assert!(ended.expect("it is cut off").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_when_they_change_and_broken_ones_are_not_used() {
    let site = Site::start().await;
    let viewer = site.client("x", vec![dns("console.example")]);
    fs_err::write(site.folder.path().join("host.pem"), "nonsense").unwrap();
    assert!(
        ask(&viewer, site.at, Method::GET, "/v1/status")
            .await
            .is_some()
    );
    let renewed = authority("renewed");
    serve_as(site.folder.path(), &renewed);
    let own = issue(&site.clients, "x", vec![dns("console.example")]);
    let later = client(&renewed, Some(own));
    let begun = Instant::now();
    while ask(&later, site.at, Method::GET, "/v1/status")
        .await
        .is_none()
    {
        assert!(begun.elapsed() < DEADLINE);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(&viewer, site.at, Method::GET, "/v1/status").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_on_a_revocation_list_is_shut_out_once_it_is_there() {
    let site = Site::start().await;
    let viewer = site.client("x", vec![dns("console.example")]);
    let asked = ask(&viewer, site.at, Method::GET, "/v1/status").await;
    assert_eq!(asked.unwrap().0, StatusCode::OK);
    let list = revoke(&site.clients, &[SERIAL]);
    fs_err::write(site.folder.path().join("revoked.pem"), list).unwrap();
    // The next handshake reads it: idle connections are not kept by this client.
    assert_eq!(ask(&viewer, site.at, Method::GET, "/v1/status").await, None);
}
