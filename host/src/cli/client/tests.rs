use std::sync::Arc;

use rcgen::CertifiedKey;
use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{Address, Client, HostError, Tls};
use crate::api::wire::Problem;

type Certified = CertifiedKey<rcgen::KeyPair>;

/// A certificate that vouches for itself.
fn certified(name: &str) -> Certified {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// A host that takes only who has the certificate of `client`.
fn acceptor(host: &Certified, client: &Certified) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(client.cert.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let key = PrivateKeyDer::try_from(host.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![host.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers one request with `[1]`, if there is a handshake.
async fn answer_once(listener: &TcpListener, acceptor: &TlsAcceptor) {
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let answer = "HTTP/1.1 200 x\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]";
    // The client may have gone.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

#[tokio::test]
async fn over_https_both_sides_prove_who_they_are() {
    let (host, other) = (certified("localhost"), certified("localhost"));
    let (me, stranger) = (certified("me"), certified("stranger"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = Address::Https(Url::parse(&format!("https://localhost:{port}")).unwrap());
    let acceptor = acceptor(&host, &me);
    let identity = |of: &Certified| {
        let pem = format!("{}\n{}", of.cert.pem(), of.signing_key.serialize_pem());
        Some(pem.into_bytes())
    };
    let authorities = |of: &Certified| Some(of.cert.pem().into_bytes());
    for (identity, authorities, is_answered) in [
        (identity(&me), authorities(&host), true),
        (identity(&stranger), authorities(&host), false),
        (None, authorities(&host), false),
        (identity(&me), authorities(&other), false),
    ] {
        let tls = Tls {
            identity,
            authorities,
        };
        let client = Client::new(&address, &tls).unwrap();
        let ask = client.get(client.url(&["plugins"], &[]));
        let (answer, ()) = tokio::join!(ask, answer_once(&listener, &acceptor));
        match answer {
            Ok(answer) => assert!(is_answered, "{answer:?}"),
            Err(error) => assert!(!is_answered, "{error:?}"),
        }
    }
}

fn client(address: &Address) -> Client {
    Client::new(address, &Tls::default()).unwrap()
}

#[test]
fn what_is_asked_for_cannot_leave_its_place_in_the_path() {
    let client = client(&Address::Socket("/run/x.sock".into()));
    for (path, query, url) in [
        (
            &["plugins", "../../metrics"] as &[&str],
            &[] as &[(&str, &str)],
            "http://localhost/v1/plugins/..%2F..%2Fmetrics",
        ),
        (
            &["tap"],
            &[("filter", "a/#"), ("filter", "b&kept=true")],
            "http://localhost/v1/tap?filter=a%2F%23&filter=b%26kept%3Dtrue",
        ),
        (
            &["files", "sha256:00"],
            &[],
            "http://localhost/v1/files/sha256:00",
        ),
    ] {
        assert_eq!(client.url(path, query).as_str(), url);
    }
    assert_eq!(client.probe("readyz").as_str(), "http://localhost/readyz");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_from_one_that_may_not_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let missing = client(&Address::Socket(folder.path().join("none.sock")));
    let error = missing
        .get(missing.url(&["status"], &[]))
        .await
        .unwrap_err();
    assert!(matches!(error, HostError::Nobody { .. }), "{error:?}");
    assert!(error.may_pass());
    // A socket that nobody listens on any more.
    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let stale = client(&Address::Socket(stale));
    let error = stale.get(stale.url(&["status"], &[])).await.unwrap_err();
    assert!(matches!(error, HostError::Nobody { .. }), "{error:?}");
}

#[test]
fn who_is_refused_learns_who_they_are_to_the_host() {
    let refused = |status, help: Option<&str>| HostError::Refused {
        problem: Box::new(Problem {
            code: "forbidden".to_owned(),
            title: "this needs the role\n`operator`".to_owned(),
            status,
            faults: Vec::new(),
            help: help.map(str::to_owned),
        }),
        who: "uid 1000".to_owned(),
    };
    let error = refused(403, Some("name this user under `api`"));
    assert_eq!(
        error.to_string(),
        "this needs the role\\u{a}`operator` [forbidden]"
    );
    let expected = "the host knows you by uid 1000: name this user under `api`";
    assert_eq!(error.help().as_deref(), Some(expected));
    let expected = "the host knows you by uid 1000";
    assert_eq!(refused(403, None).help().as_deref(), Some(expected));
    assert_eq!(refused(404, None).help(), None);
}
