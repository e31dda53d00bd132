//! Files of captured data: one JSON object a line, within a bound in files and bytes.
//!
//! A file is filled to its share of all bytes, then comes the next; the oldest goes
//! when there are too many or they are too large. Files of earlier processes count.
//! A line is not synced by itself: after a loss of power the last lines may be gone,
//! or the last one cut. Blocks.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

/// What the name of a file is made of, around its number.
const PREFIX: &str = "capture-";
const SUFFIX: &str = ".jsonl";

/// Where files are, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    pub directory: PathBuf,
    pub bytes_max: u64,
    pub files_max: u32,
}

/// Why a line is not in a file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the line has {bytes} bytes, all files may have {max}")]
    TooLarge { bytes: u64, max: u64 },
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl StoreError {
    /// A stable name for logs and metrics. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "capture-line-too-large",
            Self::Io(source) if source.kind() == io::ErrorKind::StorageFull => "disk-full",
            Self::Io(_) => "capture-io",
        }
    }
}

/// The files, as they are on the disk; looked at when the first line is written.
#[derive(Debug)]
pub(super) struct Files {
    config: FilesConfig,
    /// Oldest first, with their bytes.
    known: Option<VecDeque<(u64, u64)>>,
    current: Option<fs_err::File>,
}

impl Files {
    pub(super) fn new(config: FilesConfig) -> Self {
        Self {
            config,
            known: None,
            current: None,
        }
    }

    /// Writes one line, without its end.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), StoreError> {
        self.append_by(line, |file, whole| file.write_all(whole))
    }

    fn append_by(
        &mut self,
        line: &[u8],
        write: impl FnOnce(&mut fs_err::File, &[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let written = self.write(line, write);
        if written.is_err() {
            // Whatever is there now is looked at again.
            let known = self.known.take();
            self.current = None;
            // One that nothing came into must not push out those that hold something.
            if let Some((number, 0)) = known.and_then(|known| known.back().copied()) {
                drop(fs_err::remove_file(path(&self.config.directory, number)));
            }
        }
        written
    }

    fn write(
        &mut self,
        line: &[u8],
        write: impl FnOnce(&mut fs_err::File, &[u8]) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let bytes = u64::try_from(line.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let max = self.config.bytes_max;
        if bytes > max {
            return Err(StoreError::TooLarge { bytes, max });
        }
        let known = match self.known.take() {
            Some(known) => known,
            None => self.look()?,
        };
        let known = self.known.insert(known);
        let share = max / u64::from(self.config.files_max.max(1));
        let last = known.back().copied();
        let fits = last.is_some_and(|(_, has)| has + bytes <= share);
        let mut file = match self.current.take().filter(|_| fits) {
            Some(file) => file,
            None => {
                let number = last.map_or(0, |(number, _)| number + 1);
                let file = create(&path(&self.config.directory, number))?;
                known.push_back((number, 0));
                file
            }
        };
        make_room(&self.config, known, bytes)?;
        // One write, so that whoever reads along sees whole lines.
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        write(&mut file, &whole)?;
        if let Some((_, has)) = known.back_mut() {
            *has += bytes;
        }
        self.current = Some(file);
        Ok(())
    }

    /// Makes the folder, and finds what earlier processes left.
    fn look(&self) -> io::Result<VecDeque<(u64, u64)>> {
        let directory = &self.config.directory;
        fs_err::create_dir_all(directory)?;
        fs_err::set_permissions(directory, Permissions::from_mode(0o700))?;
        let mut found = Vec::new();
        for entry in fs_err::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name();
            if let Some(number) = name.to_str().and_then(number)
                && metadata.is_file()
            {
                found.push((number, metadata.len()));
            }
        }
        found.sort_unstable();
        Ok(found.into())
    }
}

/// Removes the oldest until `bytes` more fit; never the last, which is written to.
fn make_room(config: &FilesConfig, known: &mut VecDeque<(u64, u64)>, bytes: u64) -> io::Result<()> {
    let files_max = usize::try_from(config.files_max.max(1)).unwrap_or(usize::MAX);
    let sum = |known: &VecDeque<(u64, u64)>| {
        let sum = known
            .iter()
            .fold(bytes, |sum, (_, has)| sum.saturating_add(*has));
        sum > config.bytes_max
    };
    while known.len() > 1 && (known.len() > files_max || sum(known)) {
        let Some((oldest, _)) = known.pop_front() else {
            break;
        };
        match fs_err::remove_file(path(&config.directory, oldest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    options.open(path)
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number:020}{SUFFIX}"))
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok().filter(|number| *number < u64::MAX)?;
    (digits.len() == 20).then_some(number)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Files, FilesConfig, StoreError};

    fn config(directory: &std::path::Path) -> FilesConfig {
        FilesConfig {
            directory: directory.join("capture"),
            bytes_max: 100,
            files_max: 4,
        }
    }

    fn all(config: &FilesConfig) -> Vec<(String, String)> {
        let entries = fs_err::read_dir(&config.directory).unwrap();
        let mut all: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs_err::read_to_string(path).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn the_oldest_file_makes_room_and_a_restart_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut files = Files::new(config.clone());
        for line in 0..30 {
            files.append(format!("line-{line:04}").as_bytes()).unwrap();
            let bytes: usize = all(&config).iter().map(|(_, text)| text.len()).sum();
            assert!(bytes <= 100, "{bytes}");
            assert!(all(&config).len() <= 4);
        }
        let before = all(&config);
        assert!(before.last().unwrap().1.ends_with("line-0029\n"));
        let mut files = Files::new(config.clone());
        files.append(b"after").unwrap();
        let after = all(&config);
        assert_eq!(after.last().unwrap().1, "after\n");
        assert!(after.last().unwrap().0 > before.last().unwrap().0);
        assert!(after.len() <= 4);
    }

    #[test]
    fn what_is_larger_than_all_files_is_refused_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut files = Files::new(config.clone());
        let error = files.append(&[b'x'; 100]).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        files.append(&[b'x'; 99]).unwrap();
        files.append(b"y").unwrap();
        assert_eq!(all(&config).len(), 1);
    }

    #[test]
    fn a_full_disk_does_not_cost_what_was_written_before() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut files = Files::new(config.clone());
        for line in 0..10 {
            files.append(format!("line-{line:04}").as_bytes()).unwrap();
        }
        let newest = all(&config).pop().unwrap();
        for _ in 0..20 {
            let full = |file: &mut fs_err::File, line: &[u8]| {
                file.write_all(&line[..3])?;
                Err(std::io::ErrorKind::StorageFull.into())
            };
            let error = files.append_by(b"lost", full).unwrap_err();
            assert_eq!(error.code(), "disk-full");
        }
        // To make room, at most one file went; what is newest is there.
        let left = all(&config);
        assert!(left.len() >= 3, "{left:?}");
        assert!(
            left.iter()
                .any(|(name, text)| *name == newest.0 && text.starts_with(&newest.1))
        );
        files.append(b"after").unwrap();
        assert_eq!(all(&config).pop().unwrap().1, "after\n");
    }

    #[test]
    fn a_folder_that_comes_back_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fs_err::write(&config.directory, "in the way").unwrap();
        let mut files = Files::new(config.clone());
        files.append(b"lost").unwrap_err();
        fs_err::remove_file(&config.directory).unwrap();
        files.append(b"kept").unwrap();
        assert_eq!(all(&config)[0].1, "kept\n");
    }
}
