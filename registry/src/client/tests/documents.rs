//! Manifests from registries that do not mean well.

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, media_type};

use super::hostile::{Hostile, Seen, Step, absent, head, manifest, reply};
use super::{Client, artifact, client, config, pace, reference};
use crate::ClientError;

async fn ask(server: &Hostile, rest: &str) -> Result<Bytes, ClientError> {
    let asked = client().manifest(&reference(server.address, rest)).await;
    asked.map(|(_, bytes)| bytes)
}

/// What a client says about a server that answers everything with `steps`.
async fn verdict(steps: Vec<Step>) -> ClientError {
    let server = Hostile::start(move |_| steps.clone());
    ask(&server, ":1.0.0").await.unwrap_err()
}

fn plugin() -> Bytes {
    artifact(Bytes::from_static(b"\0asm")).manifest
}

#[tokio::test]
async fn a_manifest_is_fetched_by_tag_and_by_digest() {
    let server = Hostile::start(|_| manifest(&plugin()));
    assert_eq!(ask(&server, ":1.0.0").await.unwrap(), plugin());
    let digest = Digest::of(&plugin());
    assert_eq!(ask(&server, &format!("@{digest}")).await.unwrap(), plugin());
    let seen = server.seen();
    assert_eq!(seen[0].target, "/v2/acme/thermostat/manifests/1.0.0");
    assert_eq!(
        seen[1].target,
        format!("/v2/acme/thermostat/manifests/{digest}")
    );
    let accepted: Vec<_> = seen[0]
        .headers
        .iter()
        .filter(|(name, _)| name == "accept")
        .collect();
    assert_eq!(accepted.len(), 2, "a manifest and an index: {accepted:?}");
    assert_eq!(seen[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn other_bytes_than_asked_for_are_refused() {
    let server = Hostile::start(|_| manifest(&plugin()));
    let other = Digest::of(b"other");
    let error = ask(&server, &format!("@{other}")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::DigestMismatch { .. }),
        "{error}"
    );
    assert_eq!(server.count(), 1, "asking again does not make it right");
}

#[tokio::test]
async fn a_registry_that_contradicts_itself_is_refused() {
    let other = Digest::of(b"other").to_string();
    let error = verdict(reply(
        200,
        &[
            ("docker-content-digest", other.as_str()),
            ("content-type", media_type::MANIFEST),
        ],
        &plugin(),
    ))
    .await;
    assert!(
        matches!(error, ClientError::DigestMismatch { .. }),
        "{error}"
    );
    let error = verdict(reply(
        200,
        &[("content-type", media_type::INDEX)],
        &plugin(),
    ))
    .await;
    assert!(matches!(error, ClientError::Document { .. }), "{error}");
}

#[tokio::test]
async fn a_document_that_is_two_things_is_refused() {
    let double = br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    for kind in [media_type::INDEX, media_type::MANIFEST, "text/plain"] {
        let error = verdict(reply(200, &[("content-type", kind)], double)).await;
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let announced = [("content-length", "5000000000")];
    let error = verdict(vec![Step::Send(head(200, &announced)), Step::Hang]).await;
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
    let endless = vec![
        Step::Send(head(200, &[])),
        Step::Forever(vec![b' '; 1 << 16]),
    ];
    let error = verdict(endless).await;
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn what_is_compressed_is_refused() {
    let error = verdict(reply(200, &[("content-encoding", "gzip")], &plugin())).await;
    assert!(matches!(error, ClientError::Encoded { .. }), "{error}");
}

#[tokio::test]
async fn silence_and_trickles_end() {
    let error = verdict(vec![Step::Hang]).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    let error = verdict(vec![Step::Send(head(200, &[])), Step::Trickle]).await;
    assert!(matches!(error, ClientError::TooSlow { .. }), "{error}");
    // Headers have no end either.
    let error = verdict(vec![
        Step::Send(b"HTTP/1.1 200 OK\r\nx: ".to_vec()),
        Step::Trickle,
    ])
    .await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn endless_headers_end() {
    let endless = vec![
        Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Step::Forever(
            b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec(),
        ),
    ];
    let error = verdict(endless).await;
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let error = verdict(vec![Step::Send(b"\0\x01not http at all\r\n\r\n".to_vec())]).await;
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_fails_for_a_moment_is_asked_again() {
    let failures = std::sync::atomic::AtomicU32::new(0);
    let server =
        Hostile::start(
            move |_| match failures.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => reply(503, &[("retry-after", "0")], b""),
                1 => reply(429, &[], b""),
                2 => vec![Step::Send(head(200, &[("content-length", "500")]))],
                _ => manifest(&plugin()),
            },
        );
    assert_eq!(ask(&server, ":1.0.0").await.unwrap(), plugin());
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_registry_that_keeps_failing_is_given_up() {
    let server = Hostile::start(|_| reply(500, &[], b""));
    let error = ask(&server, ":1.0.0").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Failing { status: 500, .. }),
        "{error}"
    );
    assert_eq!(server.count(), 5);
    let server = Hostile::start(|_| reply(429, &[("retry-after", "86400")], b""));
    let error = ask(&server, ":1.0.0").await.unwrap_err();
    assert!(matches!(error, ClientError::RateLimited { .. }), "{error}");
    assert_eq!(server.count(), 1, "a day is not waited for");
}

#[tokio::test]
async fn refusals_are_told_apart_and_quoted() {
    let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"pay \x1b first\\u001b[31m\"}]}";
    for (status, code) in [
        (401, "registry-unauthorised"),
        (403, "registry-denied"),
        (404, "registry-not-found"),
        (418, "registry-refused"),
    ] {
        let error = verdict(reply(status, &[], body)).await;
        assert_eq!(error.code(), code);
        let told = error.to_string();
        assert!(
            told.contains("127.0.0.1") && told.contains("acme/thermostat"),
            "{told}"
        );
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
    let clean = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"pay\\u001b[31m first\"}]}";
    let told = verdict(reply(403, &[], clean)).await.to_string();
    assert!(told.contains("DENIED: pay [31m first"), "{told}");
    let endless = vec![Step::Send(head(403, &[])), Step::Forever(vec![b'x'; 4096])];
    assert_eq!(verdict(endless).await.code(), "registry-denied");
}

#[tokio::test]
async fn an_index_of_one_stands_for_it() {
    let inner = plugin();
    let index = Index::new(vec![Descriptor::of(media_type::MANIFEST, &inner)]).to_bytes();
    let server = Hostile::start(move |seen: &Seen| {
        if seen.target.ends_with("/1.0.0") {
            reply(200, &[("content-type", media_type::INDEX)], &index)
        } else {
            manifest(&inner)
        }
    });
    assert_eq!(ask(&server, ":1.0.0").await.unwrap(), plugin());
}

#[tokio::test]
async fn an_index_of_many_names_what_is_in_it() {
    let digest = Digest::of(&plugin()).to_string();
    let entry = Descriptor::of(media_type::MANIFEST, &plugin());
    for entries in [vec![], vec![entry.clone(); 3]] {
        let count = entries.len();
        let index = Index::new(entries).to_bytes();
        let error = verdict(reply(200, &[("content-type", media_type::INDEX)], &index)).await;
        assert!(
            matches!(error, ClientError::NotOne { count: c, .. } if c == count),
            "{error}"
        );
        assert_eq!(error.to_string().contains(&digest), count > 0, "{error}");
    }
}

#[tokio::test]
async fn a_reference_to_nothing_in_particular_is_refused() {
    let server = Hostile::start(|_| absent());
    let error = ask(&server, "").await.unwrap_err();
    assert!(matches!(error, ClientError::Unspecific { .. }), "{error}");
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn redirects_do_not_lead_to_other_unprotected_places_or_round_in_circles() {
    let elsewhere = Hostile::start(|_| manifest(&plugin()));
    let to = format!("http://{}/x", elsewhere.address);
    let error = verdict(reply(307, &[("location", to.as_str())], b"")).await;
    assert!(
        matches!(error, ClientError::InsecureRedirect { .. }),
        "{error}"
    );
    assert_eq!(elsewhere.count(), 0);

    let circle = Hostile::start(|_| reply(302, &[("location", "/v2/again")], b""));
    let error = ask(&circle, ":1.0.0").await.unwrap_err();
    assert!(matches!(error, ClientError::Redirects { .. }), "{error}");
    assert_eq!(circle.count(), 6);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client()
        .manifest(&reference(address, ":1.0.0"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-unreachable");
}

#[tokio::test]
async fn a_certificate_must_be_trusted() {
    let (server, root) = Hostile::start_tls(|_| manifest(&plugin()));
    let there = reference(format!("registry.test:{}", server.address.port()), ":1.0.0");

    let error = client().manifest(&there).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
    assert_eq!(server.count(), 0);

    let trusting = super::ClientConfig {
        roots: vec![root],
        ..config()
    };
    let client = Client::with_pace(trusting, pace()).unwrap();
    let (descriptor, _) = client.manifest(&there).await.unwrap();
    assert_eq!(descriptor.digest, Digest::of(&plugin()));
}

#[tokio::test]
async fn what_is_no_certificate_is_refused() {
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let config = super::ClientConfig {
            roots: vec![pem.as_bytes().to_vec()],
            ..config()
        };
        let error = Client::new(config).unwrap_err();
        assert!(matches!(error, ClientError::Root(_)), "{error}");
    }
}
