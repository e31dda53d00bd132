use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Manifest, media_type};

use super::{Store, manifest, tag};
use crate::{Layout, LayoutError};

#[test]
fn what_is_put_is_found_by_digest_tag_and_subject() {
    let store = Store::new();
    let put = store.artifact("acme/window:1.0.0", b"component");
    let about = store.about(&put, b"signature");

    let found = store.resolve("acme/window", &tag("1.0.0")).unwrap();
    assert_eq!(found, Some(put.clone()));
    let (described, bytes) = store.manifest(&put.digest).unwrap().unwrap();
    assert_eq!(described, put);
    assert!(put.describes(&bytes));
    assert_eq!(store.resolve("acme/window", &tag("2.0.0")).unwrap(), None);
    let referrers = store.referrers(&put.digest).unwrap().manifests;
    assert_eq!(referrers.len(), 1);
    assert_eq!(referrers[0].digest, about.digest);
    let kind = referrers[0].artifact_type.as_deref();
    assert_eq!(kind, Some("application/vnd.acme.thing"));
    let note = ("acme.note".to_owned(), "hello".to_owned());
    assert_eq!(referrers[0].annotations, [note].into());
    assert!(store.manifest(&Digest::of(b"component")).unwrap().is_none());
}

#[test]
fn a_store_is_made_for_its_owner_alone_and_found_again() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new();
    let put = store.artifact("acme/window:1.0.0", b"component");
    for name in ["", "blobs", "blobs/sha256", "partial"] {
        let mode = fs_err::metadata(store.path(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o700, "{name}");
    }
    let again = Layout::open(&store.path("")).unwrap();
    assert_eq!(again.manifest(&put.digest).unwrap().unwrap().0, put);
    let marker = fs_err::read_to_string(store.path("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn a_tag_moves_and_what_it_stood_for_stays_findable_until_collected() {
    let store = Store::new();
    let old = store.artifact("acme/window:latest", b"old");
    let new = store.artifact("acme/window:latest", b"new");
    let found = store.resolve("acme/window", &tag("latest")).unwrap();
    assert_eq!(found.unwrap().digest, new.digest);
    assert!(store.manifest(&old.digest).unwrap().is_some());
    assert_eq!(store.tag_names(), ["acme/window:latest"]);
}

#[test]
fn a_manifest_has_many_tags_and_loses_them_one_by_one() {
    let store = Store::new();
    for name in ["acme/window:2", "acme/window:1", "acme/window:1"] {
        store.artifact(name, b"component");
    }
    assert_eq!(store.tag_names(), ["acme/window:1", "acme/window:2"]);
    assert!(store.untag("acme/window", &tag("1")).unwrap());
    assert!(!store.untag("acme/window", &tag("1")).unwrap());
    assert!(store.untag("acme/window", &tag("2")).unwrap());
    let digest = Digest::of(&manifest(b"component", None).0);
    assert!(store.manifest(&digest).unwrap().is_some());
    store.artifact("acme/window:3", b"component");
    assert_eq!(store.load().unwrap().manifests.len(), 1);
    assert!(store.delete_manifest(&digest).unwrap());
    assert!(!store.delete_manifest(&digest).unwrap());
    assert!(store.manifest(&digest).unwrap().is_none());
    assert!(store.tag_names().is_empty());
}

#[test]
fn a_manifest_needs_the_blobs_that_it_names() {
    let store = Store::new();
    let (bytes, content) = manifest(b"component", None);
    store.put_blob(b"{}").unwrap();
    match store.put_manifest(&bytes, None) {
        Err(LayoutError::Unmet { blob, .. }) => assert_eq!(blob, Digest::of(&content)),
        other => panic!("{other:?}"),
    }
    assert!(store.manifest(&Digest::of(&bytes)).unwrap().is_none());
    store.put_blob(&content).unwrap();
    store.put_manifest(&bytes, None).unwrap();
}

#[test]
fn an_index_is_a_manifest_when_what_it_lists_is_there() {
    let store = Store::new();
    let child = store.artifact("", b"component");
    let bytes = Index::new(vec![child.clone()]).to_bytes();
    let put = store
        .put_manifest(&bytes, Some(("acme/window", &tag("1"))))
        .unwrap();
    assert_eq!(put.media_type, media_type::INDEX);
    assert_eq!(store.manifest(&put.digest).unwrap().unwrap().1, bytes);

    // Bytes that lie about are no manifest yet.
    let (other, content) = manifest(b"other", None);
    store.put_blob(&content).unwrap();
    store.put_blob(&other).unwrap();
    let listed = Descriptor::of(media_type::MANIFEST, &other);
    let bytes = Index::new(vec![child, listed]).to_bytes();
    let refused = store.put_manifest(&bytes, None).unwrap_err();
    assert!(matches!(refused, LayoutError::Unmet { .. }), "{refused:?}");
}

#[test]
fn an_index_may_be_about_something() {
    let store = Store::new();
    let subject = store.artifact("", b"component");
    let subject_json = serde_json::to_value(&subject).unwrap();
    let bytes = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [],
        "artifactType": "application/vnd.acme.list", "subject": subject_json,
    }));
    store.put_manifest(&bytes.unwrap(), None).unwrap();
    let referrers = store.referrers(&subject.digest).unwrap().manifests;
    assert_eq!(
        referrers[0].artifact_type.as_deref(),
        Some("application/vnd.acme.list")
    );
}

#[test]
fn an_unfinished_blob_is_gone_on_with_and_checked_when_whole() {
    let store = Store::new();
    let digest = Digest::of(b"hello world");
    let mut writer = store.resume(&digest, 100).unwrap();
    assert!(writer.is_empty());
    writer.append(b"hello ").unwrap();
    let busy = store.resume(&digest, 100).unwrap_err();
    assert!(matches!(busy, LayoutError::Busy(_)), "{busy:?}");
    drop(writer);
    let missing = store.blob(&digest, 100).unwrap_err();
    assert!(matches!(missing, LayoutError::Missing(_)), "{missing:?}");

    let mut writer = store.resume(&digest, 100).unwrap();
    assert_eq!(writer.len(), 6);
    writer.append(b"world").unwrap();
    assert_eq!(writer.commit(&digest).unwrap(), 11);
    assert_eq!(store.blob(&digest, 100).unwrap(), b"hello world"[..]);
    assert!(store.resume(&digest, 100).unwrap().is_empty());
}

#[test]
fn pieces_are_kept_as_if_they_were_one() {
    let store = Store::new();
    // Few bytes are hashed where they are written, many beside that.
    for size in [100, 300 << 10] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
        let digest = Digest::of(&bytes);
        let pieces: Vec<Bytes> = bytes.chunks(7_000).map(Bytes::copy_from_slice).collect();
        let mut writer = store.resume(&digest, bytes.len() as u64).unwrap();
        writer.append_all(&pieces).unwrap();
        writer.flush().unwrap()().unwrap();
        assert_eq!(writer.len(), bytes.len() as u64);
        let more = writer.append_all(&[Bytes::from(vec![0; 300 << 10])]);
        assert!(matches!(more, Err(LayoutError::TooLarge { .. })));
        let writer = store.begin(bytes.len() as u64 - 1);
        let more = writer.unwrap().append_all(&pieces);
        assert!(matches!(more, Err(LayoutError::TooLarge { .. })));
        let mut writer = store.begin(bytes.len() as u64).unwrap();
        writer.append_all(&pieces).unwrap();
        writer.commit(&digest).unwrap();
        assert_eq!(store.blob(&digest, 1 << 20).unwrap(), bytes);
    }
}

#[test]
fn an_unfinished_blob_that_is_wrong_is_removed() {
    let store = Store::new();
    let digest = Digest::of(b"hello world");
    let mut writer = store.resume(&digest, 100).unwrap();
    writer.append(b"hullo ").unwrap();
    drop(writer);
    let mut writer = store.resume(&digest, 100).unwrap();
    writer.append(b"world").unwrap();
    let wrong = writer.commit(&digest).unwrap_err();
    assert!(matches!(wrong, LayoutError::Mismatch { .. }), "{wrong:?}");
    let mut writer = store.resume(&digest, 100).unwrap();
    assert!(writer.is_empty());
    writer.append(b"nonsense").unwrap();
    writer.restart().unwrap();
    writer.append(b"hello world").unwrap();
    writer.commit(&digest).unwrap();
    assert_eq!(store.blob(&digest, 100).unwrap(), b"hello world"[..]);
}

#[test]
fn a_blob_has_no_more_bytes_than_it_may() {
    let store = Store::new();
    let mut writer = store.begin(4).unwrap();
    writer.append(b"1234").unwrap();
    let refused = writer.append(b"5").unwrap_err();
    assert!(
        matches!(refused, LayoutError::TooLarge { bytes_max: 4 }),
        "{refused:?}"
    );
    assert_eq!(writer.len(), 4);
    drop(writer);
    let digest = store.put_blob(b"12345").unwrap();
    assert!(matches!(
        store.blob(&digest, 4),
        Err(LayoutError::TooLarge { bytes_max: 4 })
    ));
    assert_eq!(store.blob(&digest, 5).unwrap(), b"12345"[..]);
    // What a larger partial blob left is begun anew.
    let digest = Digest::of(b"x");
    let mut writer = store.resume(&digest, 100).unwrap();
    writer.append(&[0; 50]).unwrap();
    drop(writer);
    assert!(store.resume(&digest, 10).unwrap().is_empty());
}

#[test]
fn stores_of_other_tools_are_read_and_keep_their_names() {
    let store = Store::new();
    let note = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let (bytes, content) = manifest(b"component", None);
    let mut packaged = Manifest::parse(&bytes).unwrap();
    packaged.annotations = note(media_type::PACKAGE, "acme/window");
    let packaged = packaged.to_bytes();
    let subject = Descriptor::of(media_type::MANIFEST, &packaged);
    let (about, signature) = manifest(b"signature", Some(&subject));
    let children = Index::new(vec![Descriptor::of(media_type::MANIFEST, &bytes)]).to_bytes();
    for blob in [
        b"{}".as_slice(),
        &content,
        &packaged,
        &bytes,
        &about,
        &signature,
        &children,
    ] {
        store.put_blob(blob).unwrap();
    }
    let entry = |bytes: &[u8], kind: &str, name: &str| {
        let mut entry = Descriptor::of(kind, bytes);
        if !name.is_empty() {
            entry.annotations = note(media_type::REF_NAME, name);
        }
        entry
    };
    let theirs = Index::new(vec![
        entry(&packaged, media_type::MANIFEST, "1.0.0"),
        entry(&about, media_type::MANIFEST, ""),
        entry(&children, media_type::INDEX, "ghcr.io/acme/door:2"),
    ]);
    fs_err::write(store.path("index.json"), theirs.to_bytes()).unwrap();

    let check = || {
        assert_eq!(store.tag_names(), ["acme/door:2", "acme/window:1.0.0"]);
        let found = store.resolve("acme/window", &tag("1.0.0")).unwrap();
        assert_eq!(found, Some(subject.clone()));
        let referrers = store.referrers(&subject.digest).unwrap().manifests;
        assert_eq!(referrers[0].digest, Digest::of(&about));
        // Only an index leads to it.
        assert!(store.manifest(&Digest::of(&bytes)).unwrap().is_some());
    };
    check();
    store.artifact("acme/third:1", b"third");
    assert!(store.untag("acme/third", &tag("1")).unwrap());
    check();
    let list = fs_err::read_to_string(store.path("index.json")).unwrap();
    assert!(list.contains(r#""org.opencontainers.image.ref.name":"1.0.0""#));
    assert!(store.untag("acme/window", &tag("1.0.0")).unwrap());
    assert_eq!(store.tag_names(), ["acme/door:2"]);
}
