//! Makes the store so that it is there as a whole or not at all.
//!
//! A database that was being made when the host was killed can neither be opened
//! nor made again. So it is made aside and renamed; what was left behind goes once
//! another is open, which nobody else can be making then.

use std::io::ErrorKind;
use std::path::Path;

/// What the names of unfinished stores begin with.
const ASIDE: &str = "store.new-";

/// What a store has when it is whole.
const MARKER: &str = "version";

/// Has `make` make a store in a folder aside, and puts it to `store`, unless there
/// is one.
pub(super) fn make_whole<E: From<std::io::Error>>(
    store: &Path,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if store.join(MARKER).exists() {
        return Ok(());
    }
    let directory = store.parent().unwrap_or(Path::new("."));
    let aside = || tempfile::Builder::new().prefix(ASIDE).tempdir_in(directory);
    if store.exists() {
        // Not whole, so nothing was ever in it.
        fs_err::rename(store, aside()?.keep())?;
    }
    let new = aside()?;
    make(new.path())?;
    match fs_err::rename(new.path(), store) {
        Ok(()) => drop(new.keep()),
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fs_err::File::open(directory)?.sync_all()?)
}

/// Removes what was left behind. Only for whoever has the store open.
pub(super) fn clear(store: &Path) -> std::io::Result<()> {
    let directory = store.parent().unwrap_or(Path::new("."));
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ASIDE) {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::storage::Storage;

    #[test]
    fn a_store_that_was_being_made_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        // As the database leaves it when it is killed there.
        fs_err::create_dir_all(store.join("keyspaces")).unwrap();
        fs_err::write(store.join("lock"), "").unwrap();
        fs_err::write(store.join("0.jnl"), "").unwrap();
        fs_err::create_dir(directory.path().join("store.new-x")).unwrap();
        {
            let storage = Storage::open(directory.path()).unwrap();
            storage.bucket("a", 100).unwrap().set("k", b"v").unwrap();
        }
        let storage = Storage::open(directory.path()).unwrap();
        let value = storage.bucket("a", 100).unwrap().get("k").unwrap();
        assert_eq!(value.as_deref(), Some(&b"v"[..]));
        let names = fs_err::read_dir(directory.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["store"]);
    }
}
