//! Blobs from registries that break off, lie and go on for ever, into a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use selvedge_artifact::{Digest, Packaged};
use tempfile::TempDir;

use super::hostile::{Hostile, Seen, Step, absent, head, manifest, reply};
use super::{artifact, client, noise, reference};
use crate::client::Pulled;
use crate::{ClientError, Layout, Progress, Silent};

/// A registry with one artifact that gives its layer as `layer` says: by the
/// request and how many there were before.
fn registry(
    artifact: &Packaged,
    layer: impl Fn(&Seen, usize, &Bytes) -> Vec<Step> + Send + Sync + 'static,
) -> Hostile {
    let (artifact, asked) = (artifact.clone(), AtomicUsize::new(0));
    Hostile::start(move |seen| {
        let [(config_is, config), (layer_is, bytes)] = artifact.blobs.as_slice() else {
            unreachable!("an artifact has a configuration and a layer");
        };
        let target = &seen.target;
        if target.contains("/manifests/1.0.0") || target.ends_with(&artifact.digest().to_string()) {
            manifest(&artifact.manifest)
        } else if target.ends_with(&config_is.digest.to_string()) {
            reply(200, &[], config)
        } else if target.ends_with(&layer_is.digest.to_string()) {
            layer(seen, asked.fetch_add(1, Ordering::SeqCst), bytes)
        } else {
            absent()
        }
    })
}

fn store() -> (TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(&directory.path().join("store")).unwrap();
    (directory, layout)
}

async fn pull(server: &Hostile, layout: &Layout) -> Result<Pulled, ClientError> {
    let reference = reference(server.address, ":1.0.0");
    client().pull(&reference, layout, &[], &Silent).await
}

fn is_there(layout: &Layout, artifact: &Packaged) -> bool {
    let tag = "1.0.0".parse().unwrap();
    let named = layout.resolve("acme/thermostat", &tag).unwrap();
    let found = named.is_some_and(|named| named.digest == artifact.digest());
    found
        && layout
            .blob(&artifact.blobs[1].0.digest, u64::MAX >> 1)
            .is_ok()
}

fn nothing_is_findable(layout: &Layout) -> bool {
    layout.tags().unwrap().is_empty()
}

fn layer_requests(server: &Hostile, artifact: &Packaged) -> Vec<Seen> {
    let digest = artifact.blobs[1].0.digest.to_string();
    let mut seen = server.seen();
    seen.retain(|seen| seen.target.ends_with(&digest));
    seen
}

/// The rest of a blob, from where it was asked for.
fn rest(seen: &Seen, bytes: &Bytes) -> Vec<Step> {
    match seen.range() {
        None => reply(200, &[], bytes),
        Some(begin) => {
            let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
            reply(206, &[("content-range", range.as_str())], &bytes[begin..])
        }
    }
}

/// All of it announced, the first part sent.
fn broken_off(bytes: &Bytes, after: usize) -> Vec<Step> {
    let length = bytes.len().to_string();
    let head = head(200, &[("content-length", length.as_str())]);
    vec![Step::Send(head), Step::Send(bytes[..after].to_vec())]
}

/// What comes of a pull if the layer is given like this.
async fn verdict(
    layer: impl Fn(&Seen, usize, &Bytes) -> Vec<Step> + Send + Sync + 'static,
) -> ClientError {
    let artifact = artifact(noise(100_000));
    let server = registry(&artifact, layer);
    let (_directory, layout) = store();
    let error = pull(&server, &layout).await.unwrap_err();
    assert!(nothing_is_findable(&layout));
    error
}

#[tokio::test]
async fn an_artifact_is_pulled_once() {
    let artifact = artifact(noise(3_000_000));
    let server = registry(&artifact, |seen, _, bytes| rest(seen, bytes));
    let (_directory, layout) = store();
    let pulled = pull(&server, &layout).await.unwrap();
    assert!(is_there(&layout, &artifact));
    assert_eq!(pulled.manifest.digest, artifact.digest());
    assert_eq!(pulled.bytes, 3_000_000 + 2 + artifact.manifest.len() as u64);

    let again = pull(&server, &layout).await.unwrap();
    assert_eq!(again.bytes, artifact.manifest.len() as u64);
    let asked = server.count();
    let by_digest = reference(server.address, format_args!("@{}", artifact.digest()));
    client()
        .pull(&by_digest, &layout, &[], &Silent)
        .await
        .unwrap();
    assert_eq!(server.count(), asked, "what is there needs no registry");
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let artifact = artifact(noise(3_000_000));
    let server = registry(&artifact, |seen, count, bytes| match count {
        0 => broken_off(bytes, 2_000_000),
        _ => rest(seen, bytes),
    });
    let (_directory, layout) = store();
    let pulled = pull(&server, &layout).await.unwrap();
    assert!(is_there(&layout, &artifact));
    let requests = layer_requests(&server, &artifact);
    assert_eq!(requests[1].header("range"), Some("bytes=2000000-"));
    assert_eq!(pulled.bytes, 3_000_000 + 2 + artifact.manifest.len() as u64);
}

#[tokio::test]
async fn a_pull_that_was_given_up_goes_on_another_day() {
    let artifact = artifact(noise(300_000));
    let broken = registry(&artifact, |_, count, bytes| match count {
        0 => broken_off(bytes, 200_000),
        _ => reply(403, &[], b""),
    });
    let (_directory, layout) = store();
    let error = pull(&broken, &layout).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error}");
    assert!(nothing_is_findable(&layout));

    let server = registry(&artifact, |seen, _, bytes| rest(seen, bytes));
    pull(&server, &layout).await.unwrap();
    assert!(is_there(&layout, &artifact));
    let requests = layer_requests(&server, &artifact);
    assert_eq!(requests[0].header("range"), Some("bytes=200000-"));
}

#[tokio::test]
async fn a_registry_without_ranges_sends_everything_again() {
    for answer in [200, 416] {
        let artifact = artifact(noise(300_000));
        let server = registry(&artifact, move |seen, count, bytes| match (count, answer) {
            (0, _) => broken_off(bytes, 200_000),
            (1, 416) => reply(416, &[], b""),
            _ => {
                let plain = Seen {
                    headers: Vec::new(),
                    ..seen.clone()
                };
                rest(&plain, bytes)
            }
        });
        let (_directory, layout) = store();
        pull(&server, &layout).await.unwrap();
        assert!(is_there(&layout, &artifact), "{answer}");
        let requests = layer_requests(&server, &artifact);
        assert_eq!(requests[1].header("range"), Some("bytes=200000-"));
    }
}

#[tokio::test]
async fn wrong_bytes_of_an_earlier_registry_are_fetched_again() {
    let artifact = artifact(noise(300_000));
    let (_directory, layout) = store();
    let digest = artifact.blobs[1].0.digest;
    let mut poisoned = layout.resume(&digest, 300_000).unwrap();
    poisoned.append(&vec![7; 250_000]).unwrap();
    drop(poisoned);
    let server = registry(&artifact, |seen, _, bytes| rest(seen, bytes));
    pull(&server, &layout).await.unwrap();
    assert!(is_there(&layout, &artifact));
    let ranges: Vec<_> = layer_requests(&server, &artifact)
        .iter()
        .map(Seen::range)
        .collect();
    assert_eq!(ranges, [Some(250_000), None]);
}

#[tokio::test]
async fn another_range_than_asked_for_is_refused() {
    let error = verdict(|_, count, bytes| match count {
        0 => broken_off(bytes, 50_000),
        _ => {
            let range = format!("bytes 10-{}/{}", bytes.len() - 1, bytes.len());
            reply(206, &[("content-range", range.as_str())], &bytes[50_000..])
        }
    })
    .await;
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_refused() {
    let error = verdict(|_, _, bytes| reply(206, &[("content-range", "bytes 0-1/2")], bytes)).await;
    assert!(matches!(error, ClientError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn other_bytes_are_not_kept() {
    let error = verdict(|_, _, bytes| reply(200, &[], &vec![0; bytes.len()])).await;
    assert!(
        matches!(error, ClientError::DigestMismatch { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn lies_about_the_length_are_refused() {
    for length in ["99999", "100001", "18446744073709551000"] {
        let error = verdict(move |_, _, _| {
            vec![
                Step::Send(head(200, &[("content-length", length)])),
                Step::Hang,
            ]
        })
        .await;
        assert!(
            matches!(error, ClientError::Length { .. }),
            "{length}: {error}"
        );
    }
    let error =
        verdict(|_, _, _| vec![Step::Send(head(200, &[])), Step::Forever(vec![0; 4096])]).await;
    assert!(matches!(error, ClientError::Length { .. }), "{error}");
}

#[tokio::test]
async fn a_line_that_always_breaks_is_given_up() {
    let artifact = artifact(noise(100_000));
    // A little more each time, but never enough to count as getting on.
    let server = registry(&artifact, |seen, _, bytes| {
        let begin = seen.range().unwrap_or(0);
        let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
        let length = (bytes.len() - begin).to_string();
        let headers = [
            ("content-range", range.as_str()),
            ("content-length", length.as_str()),
        ];
        let status = if begin > 0 { 206 } else { 200 };
        vec![
            Step::Send(head(status, &headers)),
            Step::Send(bytes[begin..begin + 10].to_vec()),
        ]
    });
    let (_directory, layout) = store();
    let error = pull(&server, &layout).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(layer_requests(&server, &artifact).len(), 5);
}

#[tokio::test]
async fn a_blob_that_is_too_large_is_not_asked_for() {
    let mut manifest_of_giant = artifact(Bytes::from_static(b"x"));
    let text = String::from_utf8(manifest_of_giant.manifest.to_vec()).unwrap();
    let giant = text.replace("\"size\":1}", "\"size\":33554433}");
    assert_ne!(text, giant);
    manifest_of_giant.manifest = giant.into();
    let server = registry(&manifest_of_giant, |_, _, _| vec![Step::Hang]);
    let (_directory, layout) = store();
    let error = pull(&server, &layout).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_blob_that_crawls_or_stalls_is_given_up() {
    let error = verdict(|_, _, _| vec![Step::Send(head(200, &[])), Step::Trickle]).await;
    assert!(matches!(error, ClientError::TooSlow { .. }), "{error}");
    let error = verdict(|_, _, _| vec![Step::Send(head(200, &[])), Step::Hang]).await;
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_blob_comes_from_another_host_without_our_name() {
    let (storage, root) = Hostile::start_tls(|_| reply(200, &[], &noise(100_000)));
    let to = format!(
        "https://registry.test:{}/blob?signature=x",
        storage.address.port()
    );
    let artifact = artifact(noise(100_000));
    let server = registry(&artifact, move |seen, _, _| {
        if seen.header("authorization").is_none() {
            return reply(401, &[("www-authenticate", "Basic realm=\"x\"")], b"");
        }
        reply(307, &[("location", to.as_str())], b"")
    });
    let (_directory, layout) = store();
    let config = super::ClientConfig {
        roots: vec![root],
        credentials: Some(crate::Credentials {
            user: "u".to_owned(),
            password: "p".to_owned(),
        }),
        ..super::config()
    };
    let client = super::Client::with_pace(config, super::pace()).unwrap();
    let reference = reference(server.address, ":1.0.0");
    client
        .pull(&reference, &layout, &[], &Silent)
        .await
        .unwrap();
    assert!(is_there(&layout, &artifact));
    assert_eq!(storage.seen()[0].header("authorization"), None);
}

/// Adds up what it is told.
#[derive(Default)]
struct Tally {
    advanced: AtomicUsize,
    finished: AtomicUsize,
}

impl Progress for Tally {
    fn begin(&self, _: &Digest, _: u64, _: u64) {}

    fn advance(&self, _: &Digest, bytes: u64) {
        self.advanced
            .fetch_add(usize::try_from(bytes).unwrap(), Ordering::SeqCst);
    }

    fn finish(&self, _: &Digest) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn progress_adds_up_and_pulls_may_run_side_by_side() {
    let artifact = artifact(noise(3_000_000));
    let server = registry(&artifact, |seen, _, bytes| rest(seen, bytes));
    let (_directory, layout) = store();
    let (tally, reference) = (
        Arc::new(Tally::default()),
        reference(server.address, ":1.0.0"),
    );
    let client = client();
    let pull = || client.pull(&reference, &layout, &[], &*tally);
    let (one, other) = futures::join!(pull(), pull());
    one.unwrap();
    other.unwrap();
    assert!(is_there(&layout, &artifact));
    assert!(tally.advanced.load(Ordering::SeqCst) >= 3_000_002);
    assert!(tally.finished.load(Ordering::SeqCst) >= 2);
}
