use selvedge_artifact::{Descriptor, Digest, Manifest, Tag, media_type};
use tempfile::TempDir;

use super::{Layout, LayoutError};

fn store() -> (TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(&directory.path().join("store")).unwrap();
    (directory, layout)
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// A manifest with one layer, which is put.
fn artifact(layout: &Layout, content: &[u8], subject: Option<&Descriptor>) -> Vec<u8> {
    layout.put_blob(content).unwrap();
    layout.put_blob(b"{}").unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some("application/vnd.acme.thing".to_owned()),
        config: Descriptor::of(media_type::EMPTY, b"{}"),
        layers: vec![Descriptor::of(media_type::WASM, content)],
        subject: subject.cloned(),
        annotations: [("acme.note".to_owned(), "hello".to_owned())].into(),
    };
    manifest.to_bytes()
}

#[test]
fn what_is_put_is_found_by_digest_tag_and_subject() {
    let (_directory, layout) = store();
    let bytes = artifact(&layout, b"component", None);
    let put = layout
        .put_manifest(&bytes, Some(("acme/window", &tag("1.0.0"))))
        .unwrap();
    let about = artifact(&layout, b"signature", Some(&put));
    let about = layout.put_manifest(&about, None).unwrap();

    let found = layout.resolve("acme/window", &tag("1.0.0")).unwrap();
    assert_eq!(found, Some(put.clone()));
    assert_eq!(layout.manifest(&put.digest).unwrap().unwrap().1, bytes);
    assert_eq!(layout.resolve("acme/window", &tag("2.0.0")).unwrap(), None);
    let referrers = layout.referrers(&put.digest).unwrap().manifests;
    assert_eq!(referrers.len(), 1);
    assert_eq!(referrers[0].digest, about.digest);
    let kind = referrers[0].artifact_type.as_deref();
    assert_eq!(kind, Some("application/vnd.acme.thing"));
    assert_eq!(referrers[0].annotations["acme.note"], "hello");
    assert_eq!(referrers[0].annotations.len(), 1);
    assert!(matches!(
        layout.blob(&Digest::of(b"other"), 10),
        Err(LayoutError::Missing(_))
    ));
}
