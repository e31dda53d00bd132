//! Files as a flow knows them: by their digests.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::cli::failure::{Failure, Outcome};
use crate::deployment::document::fault::plain;
use crate::names::Digest;

/// Files in a folder that a step depends on.
const FILES_MAX: usize = 10_000;
/// Bytes of one of them.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Folders in folders.
const DEPTH_MAX: usize = 16;
/// Bytes looked at, from the end of a log, for its last line.
const TAIL_BYTES: u64 = 8 << 10;
/// Characters shown of it.
const LINE_CHARS_MAX: usize = 300;

/// The digest of each file at `path`, by its name as `shown`.
pub(super) fn digests(path: &Path, shown: &str) -> Outcome<BTreeMap<String, Digest>> {
    let mut found = BTreeMap::new();
    gather(path, shown, 0, &mut found)?;
    Ok(found)
}

fn gather(
    path: &Path,
    shown: &str,
    depth: usize,
    found: &mut BTreeMap<String, Digest>,
) -> Outcome<()> {
    if depth > DEPTH_MAX || found.len() >= FILES_MAX {
        let why = format!("more than {FILES_MAX} files, or {DEPTH_MAX} folders in each other");
        return Err(Failure::about(path, why));
    }
    if !fs_err::metadata(path)?.is_dir() {
        found.insert(shown.to_owned(), digest(path)?);
        return Ok(());
    }
    for entry in fs_err::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What Python keeps beside its scripts says nothing of them.
        if name == "__pycache__" {
            continue;
        }
        gather(&entry.path(), &format!("{shown}/{name}"), depth + 1, found)?;
    }
    Ok(())
}

fn digest(path: &Path) -> Outcome<Digest> {
    let file = fs_err::File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(Failure::about(
            path,
            format!("it has more than {FILE_BYTES_MAX} bytes"),
        ));
    }
    let mut hasher = Sha256::new();
    let mut file = file.take(FILE_BYTES_MAX);
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part)? {
            0 => break,
            length => hasher.update(part.get(..length).unwrap_or_default()),
        }
    }
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("sha256:{hex}").parse()?)
}

/// What a log ends with, fit for a terminal.
pub(in crate::cli::model) fn last_line(mut log: std::fs::File) -> Outcome<String> {
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    log.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().find(|line| !line.trim().is_empty());
    let line = plain(line.unwrap_or("nothing"));
    Ok(line.chars().take(LINE_CHARS_MAX).collect())
}
