use std::time::Duration;

use selvedge_artifact::{Digest, Index};

use super::{Store, tag};
use crate::{Collected, LayoutError};

const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

#[test]
fn what_a_tag_leads_to_stays_and_the_rest_goes() {
    let store = Store::new();
    let kept = store.artifact("acme/window:1", b"kept");
    let about = store.about(&kept, b"signature");
    let about_that = store.about(&about, b"counter-signature");
    let child = store.artifact("", b"child");
    let list = Index::new(vec![child.clone()]).to_bytes();
    store
        .put_manifest(&list, Some(("acme/list", &tag("1"))))
        .unwrap();
    let gone = store.artifact("acme/window:0", b"gone");
    let gone_about = store.about(&gone, b"its signature");
    let by_digest = store.artifact("", b"running");
    let loose = store.put_blob(b"loose").unwrap();
    store.untag("acme/window", &tag("0")).unwrap();
    store.age(TWO_HOURS);

    let collected = store.collect_garbage(&[by_digest.digest]).unwrap();
    assert_eq!(collected.blobs, 5);
    for digest in [&kept, &about, &about_that, &child, &by_digest].map(|d| &d.digest) {
        let (_, bytes) = store.manifest(digest).unwrap().unwrap();
        let manifest = selvedge_artifact::Manifest::parse(&bytes).unwrap();
        for blob in [&manifest.config].into_iter().chain(&manifest.layers) {
            assert!(store.holds(blob).unwrap());
        }
    }
    for digest in [gone.digest, gone_about.digest] {
        assert!(store.manifest(&digest).unwrap().is_none());
        assert_eq!(store.blob_size(&digest), None);
    }
    assert_eq!(store.blob_size(&loose), None);
    assert_eq!(store.blob_size(&Digest::of(b"gone")), None);
    let nothing = store.collect_garbage(&[by_digest.digest]).unwrap();
    assert_eq!(nothing, Collected::default());
}

#[test]
fn what_was_just_put_is_spared_again_and_again() {
    let store = Store::new();
    let digest = store.put_blob(b"loose").unwrap();
    let untagged = store.artifact("", b"component");
    let collected = store.collect_garbage(&[]).unwrap();
    assert_eq!(collected, Collected::default());
    assert!(store.manifest(&untagged.digest).unwrap().is_some());

    // Put again, it is young again.
    store.age(TWO_HOURS);
    store.put_blob(b"loose").unwrap();
    store.artifact("", b"component");
    let collected = store.collect_garbage(&[]).unwrap();
    assert_eq!(collected, Collected::default());
    assert!(store.blob(&digest, 100).is_ok());

    store.age(TWO_HOURS);
    assert_eq!(store.collect_garbage(&[]).unwrap().blobs, 4);
}

#[test]
fn a_resumed_blob_is_young_when_it_is_whole() {
    let store = Store::new();
    let digest = Digest::of(b"hello");
    let mut writer = store.resume(&digest, 100).unwrap();
    writer.append(b"hello").unwrap();
    drop(writer);
    store.age(TWO_HOURS);
    let writer = store.resume(&digest, 100).unwrap();
    writer.commit(&digest).unwrap();
    store.collect_garbage(&[]).unwrap();
    assert!(store.blob(&digest, 100).is_ok());
}

#[test]
fn unfinished_blobs_go_after_a_day_unless_someone_is_at_them() {
    let store = Store::new();
    let (left, held) = (Digest::of(b"left"), Digest::of(b"held"));
    store.resume(&left, 100).unwrap().append(b"le").unwrap();
    let mut writer = store.resume(&held, 100).unwrap();
    writer.append(b"he").unwrap();
    fs_err::write(store.path("partial/new-crashed"), b"half").unwrap();
    store.age(TWO_HOURS);
    store.collect_garbage(&[]).unwrap();
    assert_eq!(store.resume(&left, 100).unwrap().len(), 2);

    store.age(TWO_DAYS);
    store.collect_garbage(&[]).unwrap();
    assert!(store.resume(&left, 100).unwrap().is_empty());
    assert!(!store.path("partial/new-crashed").exists());
    writer.append(b"ld").unwrap();
    writer.commit(&held).unwrap();
    assert_eq!(store.blob(&held, 100).unwrap(), b"held"[..]);
}

#[test]
fn a_reader_keeps_what_it_opened() {
    use std::io::Read;
    let store = Store::new();
    let digest = store.put_blob(b"loose").unwrap();
    let (mut file, length) = store.open_blob(&digest).unwrap();
    store.age(TWO_HOURS);
    assert_eq!(store.collect_garbage(&[]).unwrap().blobs, 1);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes.as_slice(), length), (b"loose".as_slice(), 5));
}

#[test]
fn a_clock_that_was_set_back_removes_nothing() {
    let store = Store::new();
    let digest = store.put_blob(b"loose").unwrap();
    let file = fs_err::File::open(store.blob_path(&digest)).unwrap();
    let later = std::time::SystemTime::now() + TWO_DAYS;
    file.file().set_modified(later).unwrap();
    assert_eq!(store.collect_garbage(&[]).unwrap().blobs, 0);
}

#[test]
fn a_blob_in_use_is_not_deleted() {
    let store = Store::new();
    let put = store.artifact("", b"component");
    let loose = store.put_blob(b"loose").unwrap();
    for digest in [put.digest, Digest::of(b"component"), Digest::of(b"{}")] {
        let refused = store.delete_blob(&digest).unwrap_err();
        assert!(matches!(refused, LayoutError::InUse(_)), "{refused:?}");
    }
    assert!(store.delete_blob(&loose).unwrap());
    assert!(!store.delete_blob(&loose).unwrap());
    assert!(store.delete_manifest(&put.digest).unwrap());
    assert!(store.delete_blob(&Digest::of(b"component")).unwrap());
}

#[test]
fn what_another_tool_keeps_among_the_blobs_is_not_ours_to_remove() {
    let store = Store::new();
    fs_err::write(store.path("blobs/sha256/notes.txt"), b"hi").unwrap();
    store.age(TWO_DAYS);
    store.collect_garbage(&[]).unwrap();
    assert!(store.path("blobs/sha256/notes.txt").exists());
}
