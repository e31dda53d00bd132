//! Pushing to registries that forget, refuse and send us elsewhere.

use bytes::Bytes;
use selvedge_artifact::{Digest, Packaged};

use super::hostile::{Hostile, Seen, Step, absent, reply};
use super::{artifact, client, noise, reference};
use crate::client::Pushed;
use crate::{ClientError, Silent};

const BIG: usize = 9 << 20;

async fn push(server: &Hostile, artifact: &Packaged) -> Result<Pushed, ClientError> {
    client()
        .push(&reference(server.address, ":1.0.0"), artifact, &Silent)
        .await
}

/// A registry that has nothing, takes what comes and says `location` to uploads.
fn registry(location: &'static str, headers: &'static [(&'static str, &'static str)]) -> Hostile {
    Hostile::start(move |seen| taken(seen, location, headers))
}

fn taken(seen: &Seen, location: &str, headers: &[(&str, &str)]) -> Vec<Step> {
    let mut headers = headers.to_vec();
    headers.push(("location", location));
    match seen.method.as_str() {
        "HEAD" => absent(),
        "POST" | "PATCH" => reply(202, &headers, b""),
        _ => reply(201, &[], b""),
    }
}

fn sent(server: &Hostile, method: &str) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.method == method);
    seen
}

#[tokio::test]
async fn a_blob_goes_where_the_registry_says_and_the_manifest_last() {
    let artifact = artifact(noise(200_000));
    let server = registry("/v2/up/1?state=x%2Fy", &[]);
    let pushed = push(&server, &artifact).await.unwrap();
    assert_eq!(pushed.manifest.digest, artifact.digest());
    assert_eq!(pushed.bytes, 200_002 + artifact.manifest.len() as u64);
    let puts = sent(&server, "PUT");
    let layer = artifact.blobs[1].0.digest.hex();
    assert_eq!(
        puts[1].target,
        format!("/v2/up/1?state=x%2Fy&digest=sha256%3A{layer}")
    );
    assert_eq!(puts[1].body, artifact.blobs[1].1);
    let last = server.seen().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str()),
        ("PUT", "/v2/acme/thermostat/manifests/1.0.0")
    );
    assert_eq!(last.body, artifact.manifest);
}

#[tokio::test]
async fn a_large_blob_goes_in_pieces_where_that_is_wanted() {
    let artifact = artifact(noise(BIG));
    let server = registry("/up", &[("oci-chunk-min-length", "65536")]);
    push(&server, &artifact).await.unwrap();
    let pieces = sent(&server, "PATCH");
    let ranges: Vec<_> = pieces
        .iter()
        .map(|piece| piece.header("content-range").unwrap())
        .collect();
    assert_eq!(ranges, ["0-8388607", "8388608-9437183"]);
    let whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.body.clone()).collect();
    assert_eq!(Digest::of(&whole), artifact.blobs[1].0.digest);

    let server = registry("/up", &[]);
    push(&server, &artifact).await.unwrap();
    assert!(sent(&server, "PATCH").is_empty());
}

#[tokio::test]
async fn pieces_that_go_astray_are_noticed() {
    let server = registry("/up", &[("oci-chunk-min-length", "1"), ("range", "0-99")]);
    let error = push(&server, &artifact(noise(BIG))).await.unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn an_upload_does_not_go_to_unprotected_places() {
    let server = registry("http://127.0.0.1:1/up", &[]);
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(
        matches!(error, ClientError::InsecureRedirect { .. }),
        "{error}"
    );
    assert!(sent(&server, "PUT").is_empty());
}

#[tokio::test]
async fn a_registry_that_keeps_other_bytes_is_noticed() {
    let other = Digest::of(b"other").to_string();
    let server = Hostile::start(move |seen| match seen.method.as_str() {
        "PUT" => reply(201, &[("docker-content-digest", other.as_str())], b""),
        _ => taken(seen, "/up", &[]),
    });
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(
        matches!(error, ClientError::DigestMismatch { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_upload_that_nobody_takes_ends() {
    let server = Hostile::start(|seen| match seen.method.as_str() {
        "POST" => vec![Step::Hang],
        _ => taken(seen, "/up", &[]),
    });
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    let server = Hostile::start(|seen| match seen.method.as_str() {
        "PUT" => vec![Step::Hang],
        _ => taken(seen, "/up", &[]),
    });
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn refusals_name_what_the_registry_says() {
    let server = Hostile::start(|seen| match seen.method.as_str() {
        "POST" => reply(403, &[], b"{\"errors\":[{\"code\":\"DENIED\"}]}"),
        _ => taken(seen, "/up", &[]),
    });
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(error.to_string().contains("DENIED"), "{error}");
    let server = Hostile::start(|_| reply(307, &[("location", "/elsewhere")], b""));
    let error = push(&server, &artifact(noise(10))).await.unwrap_err();
    assert!(matches!(error, ClientError::Redirects { .. }), "{error}");
}

#[tokio::test]
async fn a_reference_to_another_digest_is_refused_before_anything_is_sent() {
    let server = registry("/up", &[]);
    let artifact = artifact(Bytes::from_static(b"x"));
    let reference = reference(server.address, format_args!("@{}", Digest::of(b"other")));
    let error = client()
        .push(&reference, &artifact, &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::DigestMismatch { .. }),
        "{error}"
    );
    assert_eq!(server.count(), 0);
}
