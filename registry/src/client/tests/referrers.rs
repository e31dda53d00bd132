//! What is about an artifact: lists from registries that have one, or the tag.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use selvedge_artifact::{Descriptor, Digest, Index, Manifest, Packaged, Tag, media_type};

use super::hostile::{Hostile, Seen, Step, absent, manifest, reply};
use super::{about, artifact, client, noise, patient_client, reference};
use crate::{ClientError, Layout, Silent};

const BUNDLE: &str = media_type::SIGSTORE_BUNDLE_PREFIX;

/// What a registry without a list of its own keeps: manifests by tag or digest,
/// blobs by digest.
type Kept = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A registry as before OCI 1.1: it keeps, and lists nothing.
fn old_registry(kept: Kept) -> Hostile {
    Hostile::start(move |seen| answer(&kept, seen))
}

fn answer(kept: &Kept, seen: &Seen) -> Vec<Step> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    match seen.method.as_str() {
        "GET" | "HEAD" => match kept.lock().get(&name) {
            Some(bytes) if path.contains("/manifests/") => {
                let index = bytes.windows(11).any(|window| window == b"\"manifests\"");
                let kind = if index {
                    media_type::INDEX
                } else {
                    media_type::MANIFEST
                };
                reply(200, &[("content-type", kind)], bytes)
            }
            Some(bytes) if path.contains("/blobs/") => reply(200, &[], bytes),
            _ => absent(),
        },
        "POST" => reply(202, &[("location", "/v2/acme/thermostat/up")], b""),
        _ => {
            let digest = query
                .strip_prefix("digest=")
                .map(|digest| digest.replace("%3A", ":"));
            let digest = digest.unwrap_or_else(|| Digest::of(&seen.body).to_string());
            let mut kept = kept.lock();
            kept.insert(digest, seen.body.clone());
            kept.insert(name, seen.body.clone());
            reply(201, &[], b"")
        }
    }
}

fn bundle(subject: &Packaged, content: &'static [u8]) -> Packaged {
    let kind = media_type::SIGSTORE_BUNDLE;
    about(
        Some(subject.descriptor()),
        kind,
        Bytes::from_static(content),
    )
}

fn digests(index: &Index) -> Vec<Digest> {
    let mut digests: Vec<_> = index.manifests.iter().map(|entry| entry.digest).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn what_is_attached_is_listed_under_the_tag_once() {
    let server = old_registry(Kept::default());
    let reference = reference(server.address, ":1.0.0");
    let plugin = artifact(noise(100));
    let (one, two) = (bundle(&plugin, b"one"), bundle(&plugin, b"two"));
    let client = client();
    for attachment in [&one, &two, &one] {
        client
            .attach(&reference, attachment, &Silent)
            .await
            .unwrap();
    }
    let listed = client
        .referrers(&reference, &plugin.digest())
        .await
        .unwrap();
    let mut expected = vec![one.digest(), two.digest()];
    expected.sort();
    assert_eq!(digests(&listed), expected);
    assert_eq!(
        listed.manifests[0].artifact_type.as_deref(),
        Some(media_type::SIGSTORE_BUNDLE)
    );
}

#[tokio::test]
async fn two_who_attach_at_once_lose_nothing() {
    let server = old_registry(Kept::default());
    let reference = reference(server.address, ":1.0.0");
    let plugin = artifact(noise(100));
    let config = super::config();
    let (one, two) = (patient_client(config.clone()), patient_client(config));
    for contents in [[b"a".as_slice(), b"b"], [b"c", b"d"], [b"e", b"f"]] {
        let [first, second] = contents.map(|content| bundle(&plugin, content));
        let (first, second) = futures::join!(
            one.attach(&reference, &first, &Silent),
            two.attach(&reference, &second, &Silent),
        );
        first.unwrap();
        second.unwrap();
    }
    let listed = one.referrers(&reference, &plugin.digest()).await.unwrap();
    assert_eq!(listed.manifests.len(), 6);
}

#[tokio::test]
async fn an_entry_that_another_writer_removes_is_put_back() {
    let kept = Kept::default();
    let plugin = artifact(noise(100));
    let tag = Tag::of_referrers(&plugin.digest()).to_string();
    let (store, name) = (Arc::clone(&kept), tag.clone());
    let overwrites = Mutex::new(2);
    let server = Hostile::start(move |seen| {
        let reply = answer(&store, seen);
        let mut left = overwrites.lock();
        if seen.method == "PUT" && seen.target.ends_with(&name) && *left > 0 {
            *left -= 1;
            // Someone who read before us writes after us.
            let other = Descriptor::of(media_type::MANIFEST, &[*left]);
            store
                .lock()
                .insert(name.clone(), Index::new(vec![other]).to_bytes());
        }
        reply
    });
    let reference = reference(server.address, ":1.0.0");
    let mine = bundle(&plugin, b"mine");
    client().attach(&reference, &mine, &Silent).await.unwrap();
    let listed = Index::parse(&kept.lock()[&tag]).unwrap();
    assert_eq!(listed.manifests.len(), 3, "mine, and both of the other's");
}

#[tokio::test]
async fn a_registry_that_keeps_no_list_is_given_up() {
    let kept = Kept::default();
    let server = Hostile::start(move |seen| {
        if seen.method == "PUT" && seen.target.contains("/manifests/sha256-") {
            return reply(201, &[], b"");
        }
        answer(&kept, seen)
    });
    let plugin = artifact(noise(100));
    let reference = reference(server.address, ":1.0.0");
    let error = client()
        .attach(&reference, &bundle(&plugin, b"x"), &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Contended { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_with_a_list_needs_no_tag() {
    let kept = Kept::default();
    let server = Hostile::start(move |seen| match seen.method.as_str() {
        "PUT" if seen.target.contains("/manifests/") => {
            reply(201, &[("oci-subject", "sha256:00")], b"")
        }
        _ => answer(&kept, seen),
    });
    let plugin = artifact(noise(100));
    let reference = reference(server.address, ":1.0.0");
    client()
        .attach(&reference, &bundle(&plugin, b"x"), &Silent)
        .await
        .unwrap();
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| !seen.target.contains("sha256-"))
    );
    let error = client()
        .attach(&reference, &plugin, &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Malformed { .. }),
        "about nothing: {error}"
    );
}

/// A list of two pages; the second says that another is at `further`.
fn paged(further: Option<String>) -> Hostile {
    let entry = |byte: u8| Descriptor::of(media_type::MANIFEST, &[byte]);
    Hostile::start(move |seen| {
        let second = seen.target.ends_with("?page=1");
        let link = match &further {
            _ if !second => "<?page=1>; rel=\"next\"".to_owned(),
            Some(further) => format!("<{further}>; rel=\"next\""),
            None => String::new(),
        };
        let body = Index::new(vec![entry(u8::from(second))]).to_bytes();
        let headers = [("content-type", media_type::INDEX), ("link", link.as_str())];
        reply(200, &headers, &body)
    })
}

#[tokio::test]
async fn a_list_in_pages_is_read_to_its_end_and_not_elsewhere() {
    let (subject, client) = (Digest::of(b"x"), client());
    let server = paged(None);
    let listed = client
        .referrers(&reference(server.address, ""), &subject)
        .await;
    assert_eq!(listed.unwrap().manifests.len(), 2);

    let elsewhere = Hostile::start(|_| absent());
    let port = elsewhere.address.port();
    for further in [
        format!("http://127.0.0.1:{port}/x"),
        "https://elsewhere.example/x".to_owned(),
    ] {
        let server = paged(Some(further));
        let listed = client
            .referrers(&reference(server.address, ""), &subject)
            .await;
        let code = listed.unwrap_err().code();
        assert!(
            ["registry-insecure-redirect", "registry-malformed"].contains(&code),
            "{code}"
        );
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let server = Hostile::start(|_| {
        let body = b"{\"tags\":[\"1.0.0\"]}";
        reply(
            200,
            &[("link", "</v2/acme/thermostat/tags/list?x>; rel=next")],
            body,
        )
    });
    let error = client()
        .tags(&reference(server.address, ""))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
    let server = Hostile::start(|_| {
        let tags: Vec<String> = (0..10_001).map(|tag| format!("\"{tag}\"")).collect();
        reply(
            200,
            &[],
            format!("{{\"tags\":[{}]}}", tags.join(",")).as_bytes(),
        )
    });
    let error = client()
        .tags(&reference(server.address, ""))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn versions_are_the_tags_that_are_versions() {
    let server = Hostile::start(|_| {
        let body = b"{\"tags\":[\"1.2.0\",\"latest\",\"10.0.0-rc.1\",\"10.0.0\",\"sha256-00\",\"-bad\",\"1.2.0_b\"]}";
        reply(200, &[], body)
    });
    let versions = client()
        .versions(&reference(server.address, ""))
        .await
        .unwrap();
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    assert_eq!(versions, ["10.0.0", "10.0.0-rc.1", "1.2.0+b", "1.2.0"]);
    let server = Hostile::start(|_| reply(200, &[], b"{\"tags\":null}"));
    assert!(
        client()
            .tags(&reference(server.address, ""))
            .await
            .unwrap()
            .is_empty()
    );
}

/// A registry with a list of `entries`, and everything in `kept`.
fn listing(kept: Kept, entries: Vec<Descriptor>) -> Hostile {
    let index = Index::new(entries).to_bytes();
    Hostile::start(move |seen| {
        if seen.target.contains("/referrers/") {
            return reply(200, &[("content-type", media_type::INDEX)], &index);
        }
        answer(&kept, seen)
    })
}

fn keep(kept: &Kept, artifact: &Packaged) {
    let mut kept = kept.lock();
    kept.insert(artifact.digest().to_string(), artifact.manifest.to_vec());
    for (descriptor, bytes) in &artifact.blobs {
        kept.insert(descriptor.digest.to_string(), bytes.to_vec());
    }
}

/// A bundle that could be read as an index too.
fn double(subject: &Packaged) -> Packaged {
    let mut double = bundle(subject, b"double");
    let text = String::from_utf8(double.manifest.to_vec()).unwrap();
    double.manifest = text.replacen('{', "{\"manifests\":[],", 1).into();
    double
}

/// A bundle with a manifest in place of a layer.
fn nested(subject: &Packaged) -> Packaged {
    let mut nested = bundle(subject, b"nested");
    let text = String::from_utf8(nested.manifest.to_vec()).unwrap();
    nested.manifest = text.replace(media_type::WASM, media_type::MANIFEST).into();
    nested
}

#[tokio::test]
async fn only_sound_attachments_of_the_wanted_types_are_pulled() {
    let kept = Kept::default();
    let plugin = artifact(noise(100));
    let other = artifact(noise(101));
    let old_spelling = "application/vnd.dev.sigstore.bundle+json;version=0.3";
    let subject = || Some(plugin.descriptor());
    let new = bundle(&plugin, b"new");
    let old = about(subject(), old_spelling, Bytes::from_static(b"old"));
    let foreign = bundle(&other, b"about something else");
    let sbom = about(
        subject(),
        "application/spdx+json",
        Bytes::from_static(b"sbom"),
    );
    let bloated = about(subject(), media_type::SIGSTORE_BUNDLE, noise(5 << 20));
    let lost = bundle(&plugin, b"lost");
    let (double, nested) = (double(&plugin), nested(&plugin));
    for artifact in [
        &plugin, &new, &old, &foreign, &sbom, &bloated, &double, &nested,
    ] {
        keep(&kept, artifact);
    }
    kept.lock()
        .insert("1.0.0".to_owned(), plugin.manifest.to_vec());
    let all = [
        &foreign, &double, &sbom, &bloated, &lost, &nested, &new, &old,
    ];
    let entries = all.map(|artifact| {
        let manifest = Manifest::parse(&artifact.manifest).unwrap();
        Descriptor {
            artifact_type: Some(manifest.kind().to_owned()),
            ..artifact.descriptor()
        }
    });
    let server = listing(kept, entries.to_vec());
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(&directory.path().join("store")).unwrap();
    let reference = reference(server.address, ":1.0.0");
    let pulled = client()
        .pull(&reference, &layout, &[BUNDLE], &Silent)
        .await
        .unwrap();

    // The list is read from both its ends.
    let expected = [old.digest(), new.digest()];
    let found: Vec<_> = pulled
        .referrers
        .iter()
        .map(|referrer| referrer.digest)
        .collect();
    assert_eq!(found, expected);
    let stored = layout.referrers(&plugin.digest()).unwrap();
    assert_eq!(stored.manifests.len(), 2);
    assert_eq!(
        layout.blob(&Digest::of(b"old"), 100).unwrap().as_ref(),
        b"old"
    );
}

#[tokio::test]
async fn a_thousand_attachments_do_not_keep_us_busy() {
    let kept = Kept::default();
    let plugin = artifact(noise(100));
    keep(&kept, &plugin);
    kept.lock()
        .insert("1.0.0".to_owned(), plugin.manifest.to_vec());
    let entries = (0..1000_u32).map(|number| Descriptor {
        artifact_type: Some(media_type::SIGSTORE_BUNDLE.to_owned()),
        ..Descriptor::of(media_type::MANIFEST, &number.to_be_bytes())
    });
    let server = listing(kept, entries.collect());
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(&directory.path().join("store")).unwrap();
    let reference = reference(server.address, ":1.0.0");
    let pulled = client()
        .pull(&reference, &layout, &[BUNDLE], &Silent)
        .await
        .unwrap();
    assert!(pulled.referrers.is_empty());
    assert!(server.count() <= 64 + 5, "{}", server.count());
}

#[tokio::test]
async fn a_registry_that_fails_at_its_list_fails_the_pull() {
    let plugin = artifact(noise(100));
    let server = Hostile::start(move |seen| {
        if seen.target.contains("/referrers/") {
            return reply(500, &[], b"");
        }
        match plugin
            .blobs
            .iter()
            .find(|(is, _)| seen.target.ends_with(&is.digest.to_string()))
        {
            Some((_, bytes)) => reply(200, &[], bytes),
            None => manifest(&plugin.manifest),
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(&directory.path().join("store")).unwrap();
    let reference = reference(server.address, ":1.0.0");
    let error = client()
        .pull(&reference, &layout, &[BUNDLE], &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Failing { .. }), "{error}");
    assert!(layout.tags().unwrap().is_empty());
}
