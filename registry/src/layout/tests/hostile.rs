use std::os::unix::fs::symlink;

use selvedge_artifact::{Descriptor, Digest, Index, Manifest, media_type};

use super::{Store, manifest, tag};
use crate::{Layout, LayoutError};

#[test]
fn a_blob_that_is_swapped_between_two_reads_is_noticed_and_repaired() {
    let store = Store::new();
    let digest = store.put_blob(b"component").unwrap();
    assert_eq!(store.blob(&digest, 100).unwrap(), b"component"[..]);
    fs_err::write(store.blob_path(&digest), b"evil code").unwrap();
    match store.blob(&digest, 100) {
        Err(LayoutError::Corrupt(found)) => assert_eq!(found, digest),
        other => panic!("{other:?}"),
    }
    let described = Descriptor::of(media_type::WASM, b"component");
    assert!(!store.holds(&described).unwrap());
    store.put_blob(b"component").unwrap();
    assert_eq!(store.blob(&digest, 100).unwrap(), b"component"[..]);
    assert!(store.holds(&described).unwrap());
}

#[test]
fn a_link_is_not_followed_and_putting_replaces_it() {
    let store = Store::new();
    let secret = store.directory.path().join("secret");
    fs_err::write(&secret, b"component").unwrap();
    let digest = Digest::of(b"component");
    symlink(&secret, store.blob_path(&digest)).unwrap();
    let refused = store.blob(&digest, 100).unwrap_err();
    assert!(matches!(refused, LayoutError::Foreign(_)), "{refused:?}");
    assert_eq!(store.blob_size(&digest), None);
    assert!(store.open_blob(&digest).is_err());
    store.put_blob(b"component").unwrap();
    let found = fs_err::symlink_metadata(store.blob_path(&digest)).unwrap();
    assert!(found.is_file());
    assert_eq!(fs_err::read(&secret).unwrap(), b"component");

    fs_err::remove_file(store.path("index.json")).unwrap();
    symlink(&secret, store.path("index.json")).unwrap();
    assert!(matches!(store.tags(), Err(LayoutError::Foreign(_))));

    fs_err::rename(store.path("blobs"), store.path("elsewhere")).unwrap();
    symlink(store.path("elsewhere"), store.path("blobs")).unwrap();
    let refused = Layout::open(&store.path("")).unwrap_err();
    assert!(matches!(refused, LayoutError::Foreign(_)), "{refused:?}");
}

#[test]
fn links_in_place_of_partial_blobs_and_locks_are_refused() {
    let store = Store::new();
    let secret = store.directory.path().join("secret");
    fs_err::write(&secret, b"do not touch").unwrap();
    let digest = Digest::of(b"component");
    symlink(&secret, store.path("partial").join(digest.hex())).unwrap();
    let refused = store.resume(&digest, 100).unwrap_err();
    assert!(matches!(refused, LayoutError::Foreign(_)), "{refused:?}");
    fs_err::remove_file(store.path("partial/index.lock")).unwrap();
    symlink(&secret, store.path("partial/index.lock")).unwrap();
    let refused = store.delete_manifest(&digest).unwrap_err();
    assert!(matches!(refused, LayoutError::Foreign(_)), "{refused:?}");
    assert_eq!(fs_err::read(&secret).unwrap(), b"do not touch");
}

#[test]
fn what_is_not_a_layout_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("letter.txt"), b"dear").unwrap();
    let refused = Layout::open(directory.path()).unwrap_err();
    assert!(matches!(refused, LayoutError::NotALayout(_)), "{refused:?}");
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    let refused = Layout::open(&directory.path().join("letter.txt")).unwrap_err();
    assert!(matches!(refused, LayoutError::NotALayout(_)), "{refused:?}");

    for marker in [
        "",
        "{}",
        "[]",
        r#"{"imageLayoutVersion":"2.0.0"}"#,
        &" ".repeat(5000),
    ] {
        let store = Store::new();
        fs_err::write(store.path("oci-layout"), marker).unwrap();
        assert!(Layout::open(&store.path("")).is_err(), "{marker}");
    }
}

#[test]
fn what_a_crash_left_of_making_a_store_is_completed() {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    fs_err::remove_file(store.path("oci-layout")).unwrap();
    fs_err::write(store.path("partial/new-abc"), b"half").unwrap();
    let again = Layout::open(&store.path("")).unwrap();
    assert!(again.manifest(&put.digest).unwrap().is_some());
}

#[test]
fn a_list_that_is_damaged_or_too_large_is_an_error() {
    let store = Store::new();
    let put = |bytes: &[u8]| fs_err::write(store.path("index.json"), bytes).unwrap();
    for bytes in ["", "{", "[]", r#"{"schemaVersion":1,"manifests":[]}"#] {
        put(bytes.as_bytes());
        let error = store.tags().unwrap_err();
        assert!(matches!(error, LayoutError::Index { .. }), "{error:?}");
        let (bytes, content) = manifest(b"component", None);
        store.put_blob(&content).unwrap();
        store.put_blob(b"{}").unwrap();
        assert!(store.put_manifest(&bytes, None).is_err());
    }
    put(&vec![b' '; (4 << 20) + 1]);
    assert!(matches!(store.tags(), Err(LayoutError::Full)));
}

#[test]
fn a_full_list_says_what_to_do() {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    let mut index = store.load().unwrap();
    let entry = index.manifests.pop().unwrap();
    for number in 0..10_000 {
        let mut entry = entry.clone();
        let name = format!("a/b:{number}");
        entry
            .annotations
            .insert(media_type::REF_NAME.to_owned(), name);
        index.manifests.push(entry);
    }
    fs_err::write(store.path("index.json"), index.to_bytes()).unwrap();
    let (_, bytes) = store.manifest(&put.digest).unwrap().unwrap();
    let full = store
        .put_manifest(&bytes, Some(("acme/window", &tag("2"))))
        .unwrap_err();
    assert!(matches!(full, LayoutError::Full), "{full:?}");
    assert!(full.to_string().contains("collect garbage"));
    assert_eq!(store.tags().unwrap().len(), 10_000);
    assert!(store.untag("a/b", &tag("0")).unwrap());
    store
        .put_manifest(&bytes, Some(("acme/window", &tag("2"))))
        .unwrap();
}

#[test]
fn a_document_is_one_thing() {
    let store = Store::new();
    let both = br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
    let refused = store.put_manifest(both, None).unwrap_err();
    assert!(matches!(refused, LayoutError::Ambiguous), "{refused:?}");
    let long = "x".repeat(300);
    let long = format!(r#"{{"schemaVersion":2,"manifests":[],"artifactType":"{long}"}}"#);
    for bytes in ["", "null", "{}", "[1]", "{\"schemaVersion\":2}", &long] {
        let refused = store.put_manifest(bytes.as_bytes(), None).unwrap_err();
        assert!(matches!(refused, LayoutError::Document(_)), "{refused:?}");
    }
    let refused = store.put_manifest(&vec![b' '; (4 << 20) + 1], None);
    assert!(matches!(refused, Err(LayoutError::Document(_))));
}

#[test]
fn a_manifest_cannot_name_itself_in_the_list() {
    let store = Store::new();
    let subject = store.artifact("acme/window:1", b"component");
    let (bytes, content) = manifest(b"evil", Some(&subject));
    let mut evil = Manifest::parse(&bytes).unwrap();
    let claims = [
        (media_type::REF_NAME, "acme/window:1"),
        ("dev.selvedge.name", "acme/window:1"),
        ("dev.selvedge.subject", "none"),
        ("acme.note", "hello"),
    ];
    evil.annotations = claims.map(|(key, value)| (key.into(), value.into())).into();
    store.put_blob(&content).unwrap();
    store.put_manifest(&evil.to_bytes(), None).unwrap();
    let found = store.resolve("acme/window", &tag("1")).unwrap();
    assert_eq!(found, Some(subject.clone()));
    assert_eq!(store.tag_names(), ["acme/window:1"]);
    let referrers = store.referrers(&subject.digest).unwrap().manifests;
    assert_eq!(referrers[0].annotations.len(), 1);
}

#[test]
fn a_manifest_does_not_fill_the_list_with_its_annotations() {
    let store = Store::new();
    let subject = store.artifact("", b"component");
    let (bytes, content) = manifest(b"large", Some(&subject));
    let mut large = Manifest::parse(&bytes).unwrap();
    for number in 0..60 {
        let value = "x".repeat(4000);
        large.annotations.insert(number.to_string(), value);
    }
    store.put_blob(&content).unwrap();
    store.put_manifest(&large.to_bytes(), None).unwrap();
    let length = fs_err::metadata(store.path("index.json")).unwrap().len();
    assert!(length < 4096, "{length}");
    assert_eq!(store.referrers(&subject.digest).unwrap().manifests.len(), 1);
}

#[test]
fn a_name_is_a_repository_or_refused() {
    let store = Store::new();
    let bytes = Index::new(Vec::new()).to_bytes();
    for repository in ["", "../x", "/etc", "A/b", "a:b", "a\u{1b}[31m", "a//b"] {
        let refused = store
            .put_manifest(&bytes, Some((repository, &tag("1"))))
            .unwrap_err();
        assert!(matches!(refused, LayoutError::Repository(_)));
        assert!(!refused.to_string().contains('\u{1b}'));
    }
    assert!(store.tags().unwrap().is_empty());
}

#[test]
fn a_manifest_that_was_swapped_is_not_served() {
    let store = Store::new();
    let put = store.artifact("acme/window:1", b"component");
    fs_err::write(store.blob_path(&put.digest), b"{}").unwrap();
    let error = store.manifest(&put.digest).unwrap_err();
    assert!(matches!(error, LayoutError::Corrupt(_)), "{error:?}");
    store.artifact("acme/window:1", b"component");
    assert!(store.manifest(&put.digest).unwrap().is_some());
}
