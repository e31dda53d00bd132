//! Who learns our credentials, and who does not.

use bytes::Bytes;
use selvedge_artifact::media_type;

use super::hostile::{Hostile, Seen, Step, head, manifest, reply};
use super::{Client, artifact, config, pace, reference};
use crate::{ClientConfig, ClientError, Credentials};

fn plugin() -> Bytes {
    artifact(Bytes::from_static(b"\0asm")).manifest
}

fn client_of(user: &str, password: &str) -> Client {
    let config = ClientConfig {
        credentials: Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        }),
        ..config()
    };
    Client::with_pace(config, pace()).unwrap()
}

/// A registry that wants what `challenge` says until `accepted` comes.
fn guarded(challenge: String, accepted: &'static str) -> Hostile {
    Hostile::start(move |seen: &Seen| {
        if seen.header("authorization") == Some(accepted) {
            return manifest(&plugin());
        }
        reply(401, &[("www-authenticate", challenge.as_str())], b"")
    })
}

fn bearer(realm: &str) -> String {
    format!("Bearer realm=\"{realm}\",service=\"r\",scope=\"repository:victim/secret:pull,push\"")
}

#[tokio::test]
async fn a_password_is_told_when_the_registry_asks() {
    let server = guarded("Basic realm=\"x\"".to_owned(), "Basic dTpw");
    let (client, reference) = (client_of("u", "p"), reference(server.address, ":1.0.0"));
    client.manifest(&reference).await.unwrap();
    client.manifest(&reference).await.unwrap();
    let told: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").is_some())
        .collect();
    assert_eq!(told, [false, true, true], "asked once, remembered then");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let server = guarded("Basic realm=\"x\"".to_owned(), "Basic other");
    let error = client_of("u", "p")
        .manifest(&reference(server.address, ":1.0.0"))
        .await;
    assert!(matches!(error, Err(ClientError::Unauthorised { .. })));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_token_is_fetched_for_what_we_do_and_used_again() {
    let service = Hostile::start(|_| reply(200, &[], b"{\"token\":\"t1\",\"expires_in\":300}"));
    let server = guarded(
        bearer(&format!("http://{}/token", service.address)),
        "Bearer t1",
    );
    let (client, reference) = (client_of("u", "p"), reference(server.address, ":1.0.0"));
    client.manifest(&reference).await.unwrap();
    client.manifest(&reference).await.unwrap();
    let seen = service.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].target,
        "/token?scope=repository%3Aacme%2Fthermostat%3Apull&service=r"
    );
    assert_eq!(seen[0].header("authorization"), Some("Basic dTpw"));
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn nobody_gets_a_token_too() {
    let service = Hostile::start(|_| reply(200, &[], b"{\"access_token\":\"t1\"}"));
    let server = guarded(
        bearer(&format!("http://{}/token", service.address)),
        "Bearer t1",
    );
    super::client()
        .manifest(&reference(server.address, ":1.0.0"))
        .await
        .unwrap();
    assert_eq!(service.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_refresh_token_is_exchanged() {
    let service = Hostile::start(|_| reply(200, &[], b"{\"access_token\":\"t1\"}"));
    let server = guarded(
        bearer(&format!("http://{}/token", service.address)),
        "Bearer t1",
    );
    let client = client_of("<token>", "refresh&me");
    client
        .manifest(&reference(server.address, ":1.0.0"))
        .await
        .unwrap();
    let seen = &service.seen()[0];
    let form = String::from_utf8_lossy(&seen.body).into_owned();
    assert_eq!(seen.method, "POST");
    assert!(form.contains("grant_type=refresh_token"), "{form}");
    assert!(form.contains("refresh_token=refresh%26me"), "{form}");
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn an_expired_token_is_fetched_again() {
    let service = Hostile::start(|_| reply(200, &[], b"{\"token\":\"t1\",\"expires_in\":0}"));
    let server = guarded(
        bearer(&format!("http://{}/token", service.address)),
        "Bearer t1",
    );
    let (client, reference) = (super::client(), reference(server.address, ":1.0.0"));
    client.manifest(&reference).await.unwrap();
    client.manifest(&reference).await.unwrap();
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_token_service_is_bounded_and_must_be_protected() {
    for steps in [
        vec![Step::Send(head(200, &[])), Step::Forever(vec![b' '; 4096])],
        reply(200, &[], b"{\"token\":\"\"}"),
        reply(200, &[], b"{\"token\":\"a\\nb\"}"),
        reply(200, &[], b"<html>"),
        reply(403, &[], b""),
        reply(302, &[("location", "https://elsewhere.example/")], b""),
    ] {
        let service = Hostile::start(move |_| steps.clone());
        let server = guarded(
            bearer(&format!("http://{}/token", service.address)),
            "Bearer t1",
        );
        let error = client_of("u", "p")
            .manifest(&reference(server.address, ":1.0.0"))
            .await;
        assert!(error.is_err());
        assert_eq!((service.count(), server.count()), (1, 1));
    }
    for realm in [
        "http://auth.example/token",
        "ftp://127.0.0.1/",
        "",
        "https://u:p@auth.example/",
    ] {
        let server = guarded(bearer(realm), "Bearer t1");
        let error = client_of("u", "p")
            .manifest(&reference(server.address, ":1.0.0"))
            .await;
        let code = error.unwrap_err().code();
        assert!(
            ["registry-insecure-redirect", "registry-malformed"].contains(&code),
            "{code}"
        );
    }
}

#[tokio::test]
async fn credentials_do_not_leave_without_tls() {
    // `registry.test` is on this machine, but nothing in its name says so.
    let server = guarded("Basic realm=\"x\"".to_owned(), "Basic dTpw");
    let name = format!("registry.test:{}", server.address.port());
    let config = ClientConfig {
        plain_http: vec![name.clone()],
        credentials: Some(Credentials {
            user: "u".to_owned(),
            password: "p".to_owned(),
        }),
        ..config()
    };
    let client = Client::with_pace(config, pace()).unwrap();
    let error = client
        .manifest(&reference(name, ":1.0.0"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::ClearText { .. }), "{error}");
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[tokio::test]
async fn another_host_that_wants_credentials_gets_none() {
    let (elsewhere, root) =
        Hostile::start_tls(|_| reply(401, &[("www-authenticate", "Basic realm=\"x\"")], b""));
    let to = format!("https://registry.test:{}/x", elsewhere.address.port());
    let server = Hostile::start(move |_| reply(307, &[("location", to.as_str())], b""));
    let config = ClientConfig {
        roots: vec![root],
        credentials: Some(Credentials {
            user: "u".to_owned(),
            password: "p".to_owned(),
        }),
        ..config()
    };
    let client = Client::with_pace(config, pace()).unwrap();
    let error = client
        .manifest(&reference(server.address, ":1.0.0"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unauthorised { .. }), "{error}");
    assert_eq!((server.count(), elsewhere.count()), (1, 1));
    assert_eq!(elsewhere.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_said_to_be_so() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("config.json"), "{").unwrap();
    let config = ClientConfig {
        docker_config: Some(directory.path().to_owned()),
        ..config()
    };
    let client = Client::with_pace(config, pace()).unwrap();
    let server = guarded("Basic realm=\"x\"".to_owned(), "Basic dTpw");
    let error = client
        .manifest(&reference(server.address, ":1.0.0"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "credentials-malformed");
    // Who does not ask is not told of it.
    let open = Hostile::start(|_| reply(200, &[("content-type", media_type::MANIFEST)], &plugin()));
    client
        .manifest(&reference(open.address, ":1.0.0"))
        .await
        .unwrap();
}
