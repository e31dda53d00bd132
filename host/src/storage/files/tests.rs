use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::{FILES_BYTES_MAX, FileError, FileStore};
use crate::names::Digest;

fn store() -> (tempfile::TempDir, FileStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    (folder, store)
}

fn age(store: &FileStore, digest: &Digest) {
    let path = store.find(digest).unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    let old = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    file.file().set_modified(old).unwrap();
}

#[test]
fn what_was_put_is_found_by_its_digest_and_checked() {
    let (_folder, store) = store();
    let digest = store.put(b"model").unwrap();
    assert_eq!(digest, Digest::of(b"model"));
    assert_eq!(&store.get(&digest).unwrap()[..], b"model");
    let missing = store.get(&Digest::of(b"other"));
    assert!(matches!(missing, Err(FileError::Missing(_))));
    fs_err::write(store.find(&digest).unwrap(), b"modem").unwrap();
    let corrupt = store.get(&digest);
    assert!(matches!(corrupt, Err(FileError::Corrupt { .. })));
    // Whoever has the right one mends it.
    store.put(b"model").unwrap();
    assert_eq!(&store.get(&digest).unwrap()[..], b"model");
}

#[test]
fn what_was_being_written_is_removed_and_the_rest_counted() {
    let (folder, store) = store();
    store.put(b"whole").unwrap();
    fs_err::write(folder.path().join(".new-x"), b"half").unwrap();
    let again = FileStore::open(folder.path()).unwrap();
    assert_eq!(*again.0.bytes_used.lock(), 5);
    assert!(!folder.path().join(".new-x").exists());
}

#[test]
fn what_does_not_fit_is_refused() {
    let (_folder, store) = store();
    *store.0.bytes_used.lock() = FILES_BYTES_MAX;
    let refused = store.put(b"x").unwrap_err();
    assert_eq!(refused.code(), "files-full");
}

#[test]
fn files_that_nobody_needs_go_after_a_while() {
    let (_folder, store) = store();
    let [needed, old, new] = [b"needed", b"old---", b"new---"].map(|b| store.put(b).unwrap());
    let put_again = store.put(b"again").unwrap();
    for digest in [&needed, &old, &put_again] {
        age(&store, digest);
    }
    store.put(b"again").unwrap();
    store.retain(&BTreeSet::from([needed])).unwrap();
    let kept = [needed, old, new, put_again].map(|digest| store.find(&digest).is_some());
    assert_eq!(kept, [true, false, true, true]);
    assert_eq!(*store.0.bytes_used.lock(), 17);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let (folder, store) = store();
    let gone = folder.path().to_owned();
    drop(folder);
    let error = store.put(b"x").unwrap_err();
    assert!(
        error.to_string().contains(gone.to_str().unwrap()),
        "{error}"
    );
}
