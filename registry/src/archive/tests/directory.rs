use selvedge_artifact::Digest;

use super::{BYTES_MAX, export};
use crate::LayoutError;
use crate::archive::ArchiveError;
use crate::layout::Store;

#[test]
fn a_directory_is_taken_like_an_archive() {
    let source = Store::new();
    let put = source.artifact("acme/window:1", b"component");
    source.about(&put, b"signature");
    // It is only read: what writing would make is not made.
    fs_err::remove_dir_all(source.path("partial")).unwrap();
    let store = Store::new();
    let imported = store.import_directory(&source.path(""), BYTES_MAX).unwrap();
    assert!(!source.path("partial").exists());
    assert_eq!(imported.tags, source.tags().unwrap());
    let export_of = |store: &Store| export(store, &[put.digest]);
    assert_eq!(export_of(&store), export_of(&source));
    let again = store.import_directory(&source.path(""), BYTES_MAX).unwrap();
    assert_eq!(again, imported);
}

#[test]
fn a_directory_that_is_not_whole_is_refused() {
    let fresh = || {
        let source = Store::new();
        source.artifact("acme/window:1", b"component");
        source
    };
    let check = |source: &Store, bytes_max: u64| {
        let store = Store::new();
        let imported = store.import_directory(&source.path(""), bytes_max);
        assert!(store.load().unwrap().manifests.is_empty());
        imported.unwrap_err()
    };
    let blob = Digest::of(b"component");
    let source = fresh();
    fs_err::write(source.blob_path(&blob), b"evil code").unwrap();
    let error = check(&source, BYTES_MAX);
    assert!(matches!(
        error,
        ArchiveError::Layout(LayoutError::Corrupt(_))
    ));
    fs_err::remove_file(source.blob_path(&blob)).unwrap();
    let error = check(&source, BYTES_MAX);
    assert!(matches!(
        error,
        ArchiveError::Layout(LayoutError::Missing(_))
    ));
    std::os::unix::fs::symlink("/dev/zero", source.blob_path(&blob)).unwrap();
    let error = check(&source, BYTES_MAX);
    assert!(matches!(
        error,
        ArchiveError::Layout(LayoutError::Foreign(_))
    ));
    let error = check(&fresh(), 20);
    assert!(matches!(error, ArchiveError::TooLarge { bytes_max: 20 }));
    let empty = tempfile::tempdir().unwrap();
    let error = Store::new().import_directory(empty.path(), BYTES_MAX);
    assert!(matches!(
        error,
        Err(ArchiveError::Layout(LayoutError::NotALayout(_)))
    ));
    assert_eq!(fs_err::read_dir(empty.path()).unwrap().count(), 0);
}
