//! Reads the trust repository from its directory, bounded.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use selvedge_signing::{RepositoryFiles, StoredTrust, Trust, Verifier};

use super::record::Record;
use super::{OpenError, TrustConfig};

/// Files of a repository that are looked at, and bytes of all of them.
const FILES_MAX: usize = Trust::REPOSITORY_FILES_MAX;
const BYTES_MAX: u64 = Trust::REPOSITORY_BYTES_MAX as u64;
/// Whatever else lies beside them: what is not looked at takes time, too.
const ENTRIES_MAX: usize = 4 * FILES_MAX;
/// Folders below the repository's own: `metadata`, `targets`, and one more.
const DEPTH_MAX: usize = 3;

/// Why a trust repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("cannot read the root metadata")]
    Root(#[source] std::io::Error),
    #[error("cannot read the repository")]
    Files(#[from] std::io::Error),
    #[error(
        "{path} has more than {FILES_MAX} files, {BYTES_MAX} bytes or {ENTRIES_MAX} entries of any kind",
        path = path.display()
    )]
    TooLarge { path: PathBuf },
}

/// Who decides now, and why it is not what lies in the directory, if so. Nobody,
/// if nothing was ever believed: then nothing of the site runs.
pub(super) fn read(
    config: &TrustConfig,
    record: &mut Record,
) -> Result<(Option<Verifier>, Option<OpenError>), OpenError> {
    let root = root(config)?;
    let stored = record.trust()?;
    match decider(config, &root, &stored, record.now()) {
        Ok((verifier, newest)) => {
            // On the disk before it is believed: what was seen is never forgotten.
            // A disk wears out, so only what is new is written.
            if newest != stored {
                record.keep_trust(&newest)?;
            }
            Ok((Some(verifier), None))
        }
        Err(error) if stored.is_empty() => Ok((None, Some(error))),
        Err(error) => {
            let trust = Trust::resume(&root, &stored)?;
            Ok((Some(Verifier::new(trust)?), Some(error)))
        }
    }
}

/// Who decides by what lies in the directory. A policy that nothing can be
/// verified by is not kept: the one before would be lost for it.
fn decider(
    config: &TrustConfig,
    root: &[u8],
    stored: &StoredTrust,
    now: Timestamp,
) -> Result<(Verifier, StoredTrust), OpenError> {
    let (trust, newest) = update(config, root, stored, now)?;
    Ok((Verifier::new(trust)?, newest))
}

/// What the directory says, to a device that has seen nothing.
pub(super) fn look(config: &TrustConfig, now: Timestamp) -> Result<Trust, OpenError> {
    let (trust, _) = update(config, &root(config)?, &StoredTrust::default(), now)?;
    Ok(trust)
}

/// Whether `files` would be believed by a device that has seen nothing but what
/// is in the directory. That may have expired; to go back behind it, no carrier
/// may.
pub(super) fn check(
    config: &TrustConfig,
    files: RepositoryFiles,
    now: Timestamp,
) -> Result<(), OpenError> {
    let root = root(config)?;
    let there = update(config, &root, &StoredTrust::default(), Timestamp::MIN);
    // What nobody would believe protects nothing.
    let there = there.map(|(_, there)| there).unwrap_or_default();
    Trust::update(&root, &there, files, now)?;
    Ok(())
}

fn root(config: &TrustConfig) -> Result<Vec<u8>, RepositoryError> {
    let mut root = Vec::new();
    fs_err::File::open(&config.root)
        .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut root))
        .map_err(RepositoryError::Root)?;
    Ok(root)
}

fn update(
    config: &TrustConfig,
    root: &[u8],
    stored: &StoredTrust,
    now: Timestamp,
) -> Result<(Trust, StoredTrust), OpenError> {
    let files = files(&config.repository)?;
    Ok(Trust::update(root, stored, files, now)?)
}

pub(super) fn files(directory: &Path) -> Result<RepositoryFiles, RepositoryError> {
    let mut files = RepositoryFiles::new();
    let mut bytes_left = BYTES_MAX;
    let mut entries_left = ENTRIES_MAX;
    let mut folders = vec![(directory.to_owned(), String::new(), 0)];
    let too_large = || RepositoryError::TooLarge {
        path: directory.to_owned(),
    };
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            entries_left = entries_left.checked_sub(1).ok_or_else(too_large)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let name = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{name}/"), depth + 1));
            } else if kind.is_file() {
                let mut bytes = Vec::new();
                let file = fs_err::File::open(entry.path())?;
                file.take(bytes_left + 1).read_to_end(&mut bytes)?;
                let left = bytes_left.checked_sub(bytes.len() as u64);
                bytes_left = left.ok_or_else(too_large)?;
                files.insert(name, bytes.into());
                if files.len() > FILES_MAX {
                    return Err(too_large());
                }
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn what_is_no_plain_file_is_passed_over() {
        let carried = tempfile::tempdir().unwrap();
        let folder = carried.path().join("repository");
        fs_err::create_dir_all(folder.join("metadata")).unwrap();
        fs_err::write(folder.join("metadata/timestamp.json"), b"{}").unwrap();
        fs_err::write(carried.path().join("secret"), b"secret").unwrap();
        let link = |to: &str, at: &str| {
            fs_err::os::unix::fs::symlink(to, folder.join(at)).unwrap();
        };
        link("../secret", "link.json");
        link("/dev/zero", "endless.json");
        link("..", "up");
        let pipe = std::process::Command::new("mkfifo")
            .arg(folder.join("pipe.json"))
            .status();
        assert!(pipe.unwrap().success());
        let names: Vec<_> = files(&folder).unwrap().into_keys().collect();
        assert_eq!(names, ["metadata/timestamp.json"]);
    }
}
