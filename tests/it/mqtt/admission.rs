//! Who is let in, by certificate, file and list, and who is not any more.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, SanType, SerialNumber, date_time_ymd};
use selvedge::tls::Fingerprint;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CipherSuite, ClientConfig, HandshakeKind};

use super::certificates::{Authority, Pair, client_of};
use super::gateway::{Gateway, Setup};
use super::raw::{Client, Connect, Version};
use super::target::Target;
use crate::process::{DEADLINE, run};

/// Within this whoever is revoked is out, and changed files are in force. The host
/// promises two seconds; the machine may be busy.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);

const NOT_AUTHORIZED: u8 = 0x87;
const CLIENT_ID_NOT_VALID: u8 = 0x85;
const ADMINISTRATIVE_ACTION: u8 = 0x98;

async fn connected(target: &Target, client_id: &str) -> Client {
    Client::connect(target, &Connect::new(Version::V5, client_id)).await
}

/// Tries to connect: the code of the refusal, None if the connection just ended.
async fn refusal(target: &Target, version: Version, client_id: &str) -> Option<u8> {
    match Client::try_connect(target, &Connect::new(version, client_id)).await {
        Ok(_) => panic!("{client_id} was let in"),
        Err(code) => code,
    }
}

/// That TLS fails: in the handshake or, with 1.3, in what is read after it.
async fn is_shut_out(target: &Target) {
    if target.try_dial().await.is_ok() {
        assert_eq!(refusal(target, Version::V5, "pump").await, None);
    }
}

/// Waits until the broker ends a connection; what it gave as the reason.
async fn ended(client: &mut Client) -> Option<u8> {
    let ended = timeout(IN_FORCE_WITHIN, client.closed()).await;
    ended.expect("the connection ends in time")
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn named(names: Vec<SanType>) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.subject_alt_names = names
}

fn numbered(serial: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}

fn broker(lines: &str) -> Setup {
    Setup {
        broker: lines.to_owned(),
        ..Setup::default()
    }
}

async fn secured(gateway: &Gateway, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(gateway.address).await?;
    let name = ServerName::from(gateway.address.ip());
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_that_the_authority_vouches_for_now_come_in() {
    let mut gateway = Gateway::start(&["pump"]).await;
    let pump = gateway.target("pump");
    connected(&pump, "pump").await.disconnect().await;

    let others = Authority::new("elsewhere");
    is_shut_out(&gateway.target_as("pump", &others.issue("pump"))).await;
    gateway.refused("certificate-unknown-authority").await;

    // By its name the same.
    let others = Authority::new("site");
    is_shut_out(&gateway.target_as("pump", &others.issue("pump"))).await;
    gateway.refused("certificate-invalid").await;

    let old = gateway.authority.issue_with("pump", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    is_shut_out(&gateway.target_as("pump", &old)).await;
    gateway.refused("certificate-expired").await;

    let early = gateway.authority.issue_with("pump", |params| {
        params.not_before = date_time_ymd(2100, 1, 1);
        params.not_after = date_time_ymd(2101, 1, 1);
    });
    is_shut_out(&gateway.target_as("pump", &early)).await;
    gateway.refused("certificate-not-yet-valid").await;

    let mut without = gateway.target("pump");
    let config = client_of(&gateway.authority.pem(), None, &[&TLS12, &TLS13]);
    without.tls = Some(Arc::new(config));
    is_shut_out(&without).await;
    gateway.refused("certificate-missing").await;
    connected(&pump, "pump").await.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_unknown_disabled_or_revoked_is_told_so() {
    let mut gateway = Gateway::prepare(Setup::default(), &["pump"]);
    gateway.device("off", "disabled = true\n");
    gateway.device("gone", "revoked = { at = \"2026-01-01T00:00:00Z\" }\n");
    gateway.start_again().await;
    for (device, code) in [
        ("stranger", "unknown-device"),
        ("off", "device-disabled"),
        ("gone", "device-revoked"),
    ] {
        let target = gateway.target(device);
        let refused = async |version| refusal(&target, version, device).await;
        assert_eq!(refused(Version::V5).await, Some(NOT_AUTHORIZED));
        assert_eq!(refused(Version::V4).await, Some(5));
        let line = gateway.refused(code).await;
        assert_eq!(line["device"], device, "{line}");
        assert!(line["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_revoked_in_mid_session_is_out_and_its_neighbour_is_not() {
    let mut gateway = Gateway::start(&["pump", "valve"]).await;
    let pump = gateway.target("pump");
    let mut first = connected(&pump, "pump").await;
    let mut second = Client::connect(&pump, &Connect::new(Version::V4, "pump-2")).await;
    let mut neighbour = connected(&gateway.target("valve"), "valve").await;
    gateway.device("pump", "revoked = { at = \"2026-01-01T00:00:00Z\" }\n");
    assert_eq!(ended(&mut first).await, Some(NOT_AUTHORIZED));
    assert_eq!(ended(&mut second).await, None);
    gateway.refused("device-revoked").await;
    assert_eq!(
        refusal(&pump, Version::V5, "pump").await,
        Some(NOT_AUTHORIZED)
    );
    neighbour.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_on_a_list_that_came_in_mid_session_is_out() {
    let setup = broker("tls.crl = \"revoked.pem\"");
    let mut gateway = Gateway::prepare(setup, &["pump"]);
    let list = gateway.path("revoked.pem");
    fs_err::write(&list, gateway.authority.revoke(&[])).unwrap();
    gateway.start_again().await;
    let pair = gateway.authority.issue_with("pump", numbered(4711));
    let (lost, spare) = (gateway.target_as("pump", &pair), gateway.target("pump"));
    let mut by_lost = connected(&lost, "pump-lost").await;
    let mut by_spare = connected(&spare, "pump-spare").await;
    // What cannot be used changes nothing.
    fs_err::write(&list, "nonsense").unwrap();
    gateway.refused("tls-revocation-list-missing").await;
    by_lost.ping().await;
    fs_err::write(&list, gateway.authority.revoke(&[4711])).unwrap();
    assert_eq!(ended(&mut by_lost).await, Some(NOT_AUTHORIZED));
    by_spare.ping().await;
    is_shut_out(&lost).await;
    gateway.refused("certificate-revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_in_mid_session_is_out() {
    let mut gateway = Gateway::start(&["pump"]).await;
    let end = OffsetDateTime::now_utc() + Duration::from_secs(20);
    let pair = gateway
        .authority
        .issue_with("pump", |params| params.not_after = end);
    let mut client = connected(&gateway.target_as("pump", &pair), "pump").await;
    client.ping().await;
    let ended = timeout(DEADLINE, client.closed()).await;
    assert_eq!(ended.unwrap(), Some(NOT_AUTHORIZED));
    gateway.refused("certificate-expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_something_else_now_has_to_come_again() {
    let gateway = Gateway::start(&["pump"]).await;
    let pump = gateway.target("pump");
    let mut client = connected(&pump, "pump").await;
    gateway.device("pump", "publish = [\"telemetry/pump\"]\n");
    assert_eq!(ended(&mut client).await, Some(ADMINISTRATIVE_ACTION));
    connected(&pump, "pump").await.ping().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_a_certificate_count_before_its_common_name() {
    let gateway = Gateway::start(&["pump", "valve"]).await;
    let valve = vec![uri("urn:selvedge:device:valve")];
    let pair = gateway.authority.issue_with("pump", named(valve));
    let target = gateway.target_as("valve", &pair);
    let refused = refusal(&target, Version::V5, "pump").await;
    assert_eq!(refused, Some(CLIENT_ID_NOT_VALID));
    connected(&target, "valve").await.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_fingerprints_shows_one_of_those() {
    let mut gateway = Gateway::prepare(Setup::default(), &["pump"]);
    // Made elsewhere: it names nobody.
    let pair = gateway.authority.issue("SN 00417");
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let lines = format!("fingerprints = [\"{}\"]\n", Fingerprint::of(&der));
    gateway.device("valve", &lines);
    gateway.start_again().await;
    let target = gateway.target_as("valve", &pair);
    connected(&target, "valve/1").await.disconnect().await;
    let other = gateway.target("valve");
    assert_eq!(
        refusal(&other, Version::V5, "valve").await,
        Some(NOT_AUTHORIZED)
    );
    let line = gateway.refused("certificate-not-registered").await;
    assert_eq!(line["device"], "valve");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_of_another_device_is_refused() {
    let mut gateway = Gateway::start(&["pump", "pump2"]).await;
    let pump = gateway.target("pump");
    let mut other = connected(&gateway.target("pump2"), "pump2").await;
    for foreign in ["pump2", "valve", "pumpx"] {
        let refused = refusal(&pump, Version::V5, foreign).await;
        assert_eq!(refused, Some(CLIENT_ID_NOT_VALID), "{foreign}");
        assert_eq!(
            refusal(&pump, Version::V4, foreign).await,
            Some(2),
            "{foreign}"
        );
    }
    let line = gateway.refused("client-id-foreign").await;
    assert_eq!(
        (&line["device"], &line["client_id"]),
        (&"pump".into(), &"pump2".into())
    );
    // It was not taken over.
    other.ping().await;
    for own in ["pump", "pump/a", "pump-b", "pump:c", "pump.d", ""] {
        connected(&pump, own).await.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_suites_are_those_of_the_configuration() {
    let setup =
        broker("tls.versions = [\"1.3\"]\ntls.cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\"]");
    let gateway = Gateway::start_with(setup, &["pump"]).await;
    let (pem, pair) = (gateway.authority.pem(), gateway.authority.issue("pump"));
    let session = secured(&gateway, client_of(&pem, Some(&pair), &[&TLS13])).await;
    let suite = session.unwrap().get_ref().1.negotiated_cipher_suite();
    let wanted = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    assert_eq!(suite.unwrap().suite(), wanted);
    let older = secured(&gateway, client_of(&pem, Some(&pair), &[&TLS12])).await;
    let error = older.unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_1_is_refused() {
    let mut gateway = Gateway::start(&[]).await;
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    // No session, three suites of that time, no compression, no extensions.
    hello.extend([0, 0, 6, 0xC0, 0x13, 0xC0, 0x14, 0, 0x2F, 1, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    // A fatal alert.
    assert_eq!((answer[0], answer[5]), (21, 2), "{answer:?}");
    gateway.refused("tls-incompatible").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_resumed_and_only_mqtt_is_spoken() {
    let gateway = Gateway::start(&["pump"]).await;
    let (pem, pair) = (gateway.authority.pem(), gateway.authority.issue("pump"));
    for version in [&TLS12, &TLS13] {
        let mut config = client_of(&pem, Some(&pair), &[version]);
        config.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec()];
        for _ in 0..3 {
            let mut session = secured(&gateway, config.clone()).await.unwrap();
            let connect = Connect::new(Version::V5, "pump").bytes();
            session.write_all(&connect).await.unwrap();
            assert_eq!(session.read_u8().await.unwrap(), 0x20);
            let kind = session.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}");
        }
    }
    let mut config = client_of(&pem, Some(&pair), &[&TLS13]);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(secured(&gateway, config).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_of_the_gateway_ends_no_connection() {
    let gateway = Gateway::start(&["pump"]).await;
    let mut client = connected(&gateway.target("pump"), "pump").await;
    let renewed = Authority::new("renewed");
    gateway.serve_as(&renewed.issue("gateway"));
    let pair: Pair = gateway.authority.issue("pump");
    let config = client_of(&renewed.pem(), Some(&pair), &[&TLS13]);
    let begun = Instant::now();
    while secured(&gateway, config.clone()).await.is_err() {
        assert!(begun.elapsed() < IN_FORCE_WITHIN, "{}", gateway.log());
        sleep(Duration::from_millis(50)).await;
    }
    client.ping().await;
}

/// What it says on standard error, and where: it does not start.
async fn refused_at_start(lines: &str) -> String {
    let gateway = Gateway::prepare(broker(lines), &[]);
    let ended = run(&mut gateway.command()).await;
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    ended.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_let_anybody_in_is_refused_at_start_with_its_line() {
    for (lines, place, part) in [
        (
            "tls.client_certificates = \"optional\"",
            "host.toml:10:27: error: ",
            "`broker.authorizer` must say who may connect",
        ),
        (
            "plain = { listen = \"0.0.0.0:1883\", device = \"local\" }",
            "host.toml:10:20: error: ",
            "without TLS it must be a loopback address",
        ),
        (
            "tls.cipher_suites = [\"TLS_RSA_WITH_RC4_128_MD5\"]",
            "host.toml:10:22: error: ",
            "no cipher suite that is spoken here",
        ),
    ] {
        let error = refused_at_start(lines).await;
        assert!(error.contains(place), "{lines}: {error}");
        assert!(error.contains(part), "{lines}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_certificates_says_how_to_come_by_them() {
    let gateway = Gateway::prepare(Setup::default(), &[]);
    let host = "data_directory = \"data\"\napi.socket = \"api.sock\"\n\
                [broker]\nlisten = \"127.0.0.1:0\"\n";
    fs_err::write(gateway.path("host.toml"), host).unwrap();
    let ended = run(&mut gateway.command()).await;
    assert_eq!(ended.code, Some(1));
    let error = ended.stderr;
    assert!(error.contains("data/ca/"), "{error}");
    assert!(error.contains("selvedge ca init"), "{error}");
}
