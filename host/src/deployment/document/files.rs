//! Looks at the files that a document names.

use std::io::Read;
use std::path::Path;

use crate::names::Digest;

use super::fault::FaultKind;

/// A file to look at.
#[derive(Debug)]
pub(crate) struct File<'a> {
    /// What it is to the document.
    pub(crate) what: &'static str,
    pub(crate) path: &'a Path,
    /// What faults call it.
    pub(crate) shown: &'a Path,
    pub(crate) bytes_max: u64,
}

impl File<'_> {
    /// Why it cannot be used, if so. It is read only to compare its digest.
    pub(crate) fn fault(&self, digest: Option<Digest>) -> Option<FaultKind> {
        let metadata = match fs_err::metadata(self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let path = self.shown.to_string_lossy().into_owned();
                let what = self.what;
                return Some(FaultKind::MissingFile { what, path });
            }
            Err(error) => return Some(self.unusable(error.kind().to_string())),
        };
        // Opening a pipe would wait for whoever writes to it.
        if !metadata.is_file() {
            return Some(self.unusable("not a file".to_owned()));
        }
        if metadata.len() > self.bytes_max {
            let why = format!("larger than {} bytes", self.bytes_max);
            return Some(self.unusable(why));
        }
        let expected = digest?;
        match self.read() {
            Ok(bytes) => self.compare(Digest::of(&bytes), expected),
            Err(error) => Some(self.unusable(error.kind().to_string())),
        }
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs_err::File::open(self.path)?;
        file.take(self.bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn compare(&self, found: Digest, expected: Digest) -> Option<FaultKind> {
        (found != expected).then(|| FaultKind::DigestMismatch {
            what: self.what,
            path: self.shown.to_string_lossy().into_owned(),
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    fn unusable(&self, why: String) -> FaultKind {
        FaultKind::UnusableFile {
            what: self.what,
            path: self.shown.to_string_lossy().into_owned(),
            why,
        }
    }
}
