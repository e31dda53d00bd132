//! Who may do what, and where credentials may travel.

use std::time::Duration;

use rcgen::CertifiedKey;
use reqwest::{Certificate, Method, StatusCode};

use super::{Access, PASSWORD, Patience, ServeError, Server, USER};
use super::{code, config, credentials, header, pushed, serve, serve_with};
use crate::{Credentials, Layout};

const WRITES: [(Method, &str); 6] = [
    (Method::POST, "a/blobs/uploads/"),
    (Method::PUT, "a/manifests/v1"),
    (Method::DELETE, "a/manifests/v1"),
    (Method::PATCH, "a/blobs/uploads/0"),
    (Method::GET, "a/blobs/uploads/0"),
    (Method::DELETE, "a/blobs/uploads/0"),
];

#[tokio::test]
async fn nobody_writes_to_a_read_only_registry() {
    let mut config = config();
    config.access = Access::ReadOnly;
    let served = serve_with(config, Patience::default()).await;
    for (method, path) in WRITES {
        let response = served.push(method, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(code(response).await, "UNSUPPORTED");
    }
    let base = served.push(Method::GET, "").send().await.unwrap();
    assert_eq!(base.status(), StatusCode::OK);
    served.stopped().await;
}

#[tokio::test]
async fn writing_without_credentials_is_challenged() {
    let served = serve().await;
    for (method, path) in WRITES {
        let response = served.ask(method, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(header(&response, "www-authenticate").starts_with("Basic realm="));
        assert_eq!(code(response).await, "UNAUTHORIZED");
    }
    served.stopped().await;
}

#[tokio::test]
async fn wrong_credentials_are_refused_wherever_they_are_wrong() {
    let served = serve().await;
    let wrong = [
        (USER, "wrong"),
        ("wrong", PASSWORD),
        (USER, ""),
        ("", ""),
        // The same bytes, parted elsewhere.
        ("pusher:a", "long password"),
    ];
    for (user, password) in wrong {
        let request = served.ask(Method::POST, "a/blobs/uploads/");
        let request = request.basic_auth(user, Some(password));
        let response = request.send().await.unwrap();
        let same = format!("{user}:{password}") == format!("{USER}:{PASSWORD}");
        let expected = if same { 202 } else { 401 };
        assert_eq!(response.status(), expected, "{user}");
    }
    for value in ["Bearer x", "Basic", "Basic !!", "Basic YQ==", ""] {
        let request = served.ask(Method::POST, "a/blobs/uploads/");
        let response = request.header("authorization", value).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{value}");
    }
    let login = served.ask(Method::GET, "").basic_auth(USER, Some("wrong"));
    assert_eq!(
        login.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let login = served.push(Method::GET, "").send().await.unwrap();
    assert_eq!(login.status(), StatusCode::OK);
    served.stopped().await;
}

#[tokio::test]
async fn who_is_right_does_not_wait_for_who_guesses() {
    let served = serve().await;
    let guesses = (0..20).map(|_| {
        let request = served.ask(Method::POST, "a/blobs/uploads/");
        request.basic_auth(USER, Some("guess")).send()
    });
    let guessing = futures::future::join_all(guesses);
    let begun = std::time::Instant::now();
    let pushing = async {
        served.begin("a").await;
        begun.elapsed()
    };
    let (_, pushed) = futures::join!(guessing, pushing);
    // Twenty guesses, four at once, take five turns.
    assert!(begun.elapsed() >= super::super::access::GUESS * 5);
    assert!(pushed < begun.elapsed());
    served.stopped().await;
}

#[tokio::test]
async fn credentials_do_not_travel_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    let mut config = config();
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = Server::build(config, layout).await.unwrap_err();
    assert!(matches!(error, ServeError::InTheClear { .. }));
    assert!(error.hint().unwrap().contains("certificate"));
}

#[tokio::test]
async fn credentials_that_say_nothing_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    for (user, password) in [("", "x"), ("x", ""), ("x:y", "z")] {
        let mut config = config();
        config.access = Access::Push(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        let error = Server::build(config, layout.clone()).await.unwrap_err();
        assert!(matches!(error, ServeError::Credentials(_)));
    }
}

#[tokio::test]
async fn neither_key_nor_password_is_printed() {
    let certified = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let mut config = config();
    let key = certified.signing_key.serialize_pem().into_bytes();
    config.tls = Some((certified.cert.pem().into_bytes(), key.clone()));
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    let bytes = format!("{:?}", &key[40..60]);
    let bytes = bytes.trim_matches(['[', ']']);
    let printed = format!("{config:?}");
    let server = Server::build(config, layout).await.unwrap();
    let printed = format!("{printed} {server:?}");
    assert!(printed.contains("127.0.0.1"));
    for secret in [bytes, USER, PASSWORD, "expected", "salt"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let served = serve().await;
    let mut config = config();
    config.listen = served.address;
    let error = Server::build(config, served.layout.clone())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", served.address)
    );
    served.stopped().await;
}

#[tokio::test]
async fn tls_is_spoken_with_the_given_certificate() {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut config = config();
    let (chain, key) = (cert.pem(), signing_key.serialize_pem());
    config.tls = Some((chain.clone().into_bytes(), key.into_bytes()));
    config.access = Access::Push(credentials());
    let mut served = serve_with(config, Patience::default()).await;
    let plain = served.raw(b"GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1 200"));
    let untrusting = served.ask(Method::GET, "").send().await;
    assert!(untrusting.is_err());

    let root = Certificate::from_pem(chain.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy();
    served.client = client.tls_certs_only([root]).build().unwrap();
    let manifest = pushed(&served, "a", "v1", &vec![7; 300_000]).await;
    let got = served.get("a/manifests/v1").await;
    assert_eq!(got.bytes().await.unwrap(), manifest.to_bytes());
    served.stopped().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut config = config();
    let key = certified.signing_key.serialize_pem().into_bytes();
    config.tls = Some((certified.cert.pem().into_bytes(), key));
    let patience = Patience {
        head: Duration::from_millis(200),
        ..Patience::default()
    };
    let served = serve_with(config, patience).await;
    // The beginning of a TLS record. `raw` waits for the server to end it.
    assert_eq!(served.raw(b"\x16\x03\x01").await, "");
    served.stopped().await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    let pair = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let (one, other) = (pair(), pair());
    for (chain, key) in [
        (one.cert.pem(), other.signing_key.serialize_pem()),
        (one.cert.pem(), String::new()),
        (String::new(), one.signing_key.serialize_pem()),
        ("nonsense".to_owned(), "nonsense".to_owned()),
    ] {
        let mut config = config();
        config.tls = Some((chain.into_bytes(), key.into_bytes()));
        let error = Server::build(config, layout.clone()).await.unwrap_err();
        assert!(matches!(error, ServeError::Certificate(_)));
    }
}
