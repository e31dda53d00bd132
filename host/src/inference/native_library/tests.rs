use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{LibraryError, NativeLibrary, pin};
use crate::names::Digest;

/// A folder that only we can write to, with a library, another one, and a text.
///
/// It lies beside the test's own executable: the folders for temporary files are
/// everybody's.
fn installed() -> (TempDir, PathBuf) {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let library = folder.path().join("libmodels.so.1.2");
    fs_err::write(&library, "code").unwrap();
    fs_err::write(folder.path().join("libhelp.so"), "more code").unwrap();
    fs_err::write(folder.path().join("notes.txt"), "not code").unwrap();
    for name in ["libmodels.so.1.2", "libhelp.so", "notes.txt"] {
        chmod(&folder.path().join(name), 0o644);
    }
    (folder, library)
}

fn chmod(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(library: &Path, allowed: &BTreeMap<String, Digest>) -> (&'static str, String) {
    let error = NativeLibrary::check(library, allowed).unwrap_err();
    let told = error.unavailable(library);
    assert_eq!(told.code, error.code());
    assert!(told.help.is_some());
    (error.code(), told.reason)
}

#[test]
fn what_was_pinned_is_what_may_be_loaded() {
    let (_folder, library) = installed();
    let allowed = pin(&library).unwrap();
    let names: Vec<_> = allowed.keys().map(String::as_str).collect();
    assert_eq!(names, ["libhelp.so", "libmodels.so.1.2"]);

    let checked = NativeLibrary::check(&library, &allowed).unwrap();

    assert_eq!(checked.digest(), Digest::of(b"code"));
    assert_eq!(checked.path(), fs_err::canonicalize(&library).unwrap());
    assert_eq!(checked.replaced(), None);
}

#[test]
fn a_path_that_depends_on_where_the_host_was_started_is_refused() {
    let (code, _) = refused(Path::new("libmodels.so.1.2"), &BTreeMap::new());
    assert_eq!(code, "path-not-absolute");
}

#[test]
fn a_library_that_is_not_there_is_missing() {
    let (folder, library) = installed();
    let mut allowed = pin(&library).unwrap();
    let (code, reason) = refused(&folder.path().join("libnone.so"), &allowed);
    assert_eq!(code, "library-missing");
    assert!(reason.contains("libnone.so"), "{reason}");

    // So is one that is only named: it would be looked for elsewhere.
    allowed.insert("libgone.so".to_owned(), Digest::of(b""));
    let (code, reason) = refused(&library, &allowed);
    assert_eq!(code, "library-missing");
    assert!(reason.contains("libgone.so"), "{reason}");
}

#[test]
fn a_changed_file_is_refused_by_name_whichever_it_is() {
    for name in ["libmodels.so.1.2", "libhelp.so"] {
        let (folder, library) = installed();
        let allowed = pin(&library).unwrap();
        fs_err::write(folder.path().join(name), "other code").unwrap();
        let (code, reason) = refused(&library, &allowed);
        assert_eq!(code, "library-digest");
        assert!(reason.contains(name), "{reason}");
    }
}

#[test]
fn a_shared_library_that_nobody_named_is_refused() {
    let (folder, library) = installed();
    let allowed = pin(&library).unwrap();
    for name in ["libextra.so", "plugin.so.7", ".so"] {
        let path = folder.path().join(name);
        fs_err::write(&path, "").unwrap();
        chmod(&path, 0o644);
        let (code, reason) = refused(&library, &allowed);
        assert_eq!(code, "library-unlisted-file");
        assert!(reason.contains(name), "{reason}");
        fs_err::remove_file(path).unwrap();
    }
    NativeLibrary::check(&library, &allowed).unwrap();
}

#[test]
fn what_others_can_write_to_is_refused_up_to_the_root() {
    let (folder, library) = installed();
    let allowed = pin(&library).unwrap();
    let deep = folder.path().join("deep");
    fs_err::create_dir(&deep).unwrap();
    for name in allowed.keys() {
        fs_err::rename(folder.path().join(name), deep.join(name)).unwrap();
    }
    let library = deep.join("libmodels.so.1.2");
    chmod(&deep, 0o755);
    NativeLibrary::check(&library, &allowed).unwrap();

    let helper = deep.join("libhelp.so");
    for (path, bad) in [
        (folder.path(), 0o777),
        (folder.path(), 0o770),
        (&deep, 0o1777),
        (&deep, 0o702),
        (&library, 0o664),
        (&helper, 0o646),
    ] {
        let good = fs_err::metadata(path).unwrap().permissions();
        chmod(path, bad);
        let (code, reason) = refused(&library, &allowed);
        assert_eq!(code, "library-writable", "{path:?} {bad:o}");
        assert!(reason.contains(&path.display().to_string()), "{reason}");
        fs_err::set_permissions(path, good).unwrap();
    }
    NativeLibrary::check(&library, &allowed).unwrap();
}

#[test]
fn a_sticky_folder_for_everybody_may_be_above_and_may_not_hold_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    fs_err::create_dir(&own).unwrap();
    chmod(&own, 0o755);
    chmod(folder.path(), 0o1777);
    let library = own.join("libmodels.so");
    fs_err::write(&library, "code").unwrap();
    chmod(&library, 0o644);
    pin(&library).unwrap();
    // All may add a library to it.
    chmod(&own, 0o1777);
    let error = pin(&library).unwrap_err();
    assert!(matches!(error, LibraryError::Writable { .. }), "{error}");
}

#[test]
fn a_link_is_what_it_leads_to_if_that_lies_beside_it() {
    let (folder, library) = installed();
    let link = folder.path().join("libmodels.so");
    symlink("libmodels.so.1.2", &link).unwrap();
    let allowed = pin(&link).unwrap();
    assert_eq!(allowed.len(), 3);
    assert_eq!(allowed["libmodels.so"], allowed["libmodels.so.1.2"]);
    let checked = NativeLibrary::check(&link, &allowed).unwrap();
    assert_eq!(checked.path(), fs_err::canonicalize(&library).unwrap());

    let elsewhere = folder.path().join("elsewhere");
    fs_err::create_dir(&elsewhere).unwrap();
    let hidden = elsewhere.join("libhelp.so");
    fs_err::rename(folder.path().join("libhelp.so"), &hidden).unwrap();
    symlink(&hidden, folder.path().join("libhelp.so")).unwrap();
    let (code, reason) = refused(&library, &allowed);
    assert_eq!(code, "library-not-a-library");
    assert!(reason.contains("libhelp.so"), "{reason}");
}

#[test]
fn a_folder_or_a_text_is_not_a_library() {
    let (folder, library) = installed();
    let allowed = pin(&library).unwrap();
    let (code, _) = refused(&folder.path().join("notes.txt"), &allowed);
    assert_eq!(code, "library-not-a-library");
    fs_err::create_dir(folder.path().join("libfolder.so")).unwrap();
    assert_eq!(refused(&library, &allowed).0, "library-not-a-library");
}

#[test]
fn a_file_that_is_replaced_later_is_told() {
    let (folder, library) = installed();
    let checked = NativeLibrary::check(&library, &pin(&library).unwrap()).unwrap();

    // The same bytes in another file: what runs is still not what lies there.
    let helper = fs_err::canonicalize(folder.path().join("libhelp.so")).unwrap();
    let other = folder.path().join("new");
    fs_err::copy(&helper, &other).unwrap();
    fs_err::rename(&other, &helper).unwrap();
    assert_eq!(checked.replaced(), Some(helper.as_path()));

    let checked = NativeLibrary::check(&library, &pin(&library).unwrap()).unwrap();
    fs_err::remove_file(&library).unwrap();
    assert_eq!(checked.replaced(), Some(checked.path()));
}

#[test]
fn what_says_which_code_is_loaded_counts_as_code() {
    let (folder, library) = installed();
    let allowed = pin(&library).unwrap();
    let plugins = folder.path().join("plugins.xml");
    fs_err::write(&plugins, "<ie><plugins/></ie>").unwrap();
    chmod(&plugins, 0o644);
    let (code, reason) = refused(&library, &allowed);
    assert_eq!(code, "library-unlisted-file");
    assert!(reason.contains("plugins.xml"), "{reason}");
    let allowed = pin(&library).unwrap();
    NativeLibrary::check(&library, &allowed).unwrap();
    fs_err::write(&plugins, "<ie><plugins location=\"/tmp/x.so\"/></ie>").unwrap();
    let (code, _) = refused(&library, &allowed);
    assert_eq!(code, "library-digest");
}

#[test]
fn folders_below_hold_no_code_and_are_nobody_elses() {
    let (folder, library) = installed();
    let allowed = pin(&library).unwrap();
    let notes = folder.path().join("notes.txt");
    chmod(&notes, 0o666);
    let (code, reason) = refused(&library, &allowed);
    assert_eq!(code, "library-writable");
    assert!(reason.contains("notes.txt"), "{reason}");
    chmod(&notes, 0o644);

    // Where the linker looks first.
    let below = folder.path().join("glibc-hwcaps/x86-64-v3");
    fs_err::create_dir_all(&below).unwrap();
    chmod(below.parent().unwrap(), 0o755);
    chmod(&below, 0o755);
    NativeLibrary::check(&library, &allowed).unwrap();
    chmod(&below, 0o777);
    let (code, _) = refused(&library, &allowed);
    assert_eq!(code, "library-writable");
    chmod(&below, 0o755);
    fs_err::write(below.join("libhelp.so"), "other code").unwrap();
    let (code, reason) = refused(&library, &allowed);
    assert_eq!(code, "library-unlisted-file");
    assert!(reason.contains("glibc-hwcaps"), "{reason}");
}
