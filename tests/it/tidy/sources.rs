//! The files of the repository.

use std::path::{Path, PathBuf};

/// A text file.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is, from the repository's root.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// A source for the tests of the rules.
    pub(super) fn snippet(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust sources that are ours.
pub(super) fn rust_sources() -> Vec<Source> {
    let folders = ["host", "signing", "registry", "sdk", "plugins", "tests"];
    let sources = files(&folders, "rs");
    assert!(sources.len() > 40, "the sources were not found");
    sources
}

/// All files below `folders` whose names end with `.extension`.
pub(super) fn files(folders: &[&str], extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root(), Path::new(folder), extension, &mut found);
    }
    found
}

fn collect(root: &Path, folder: &Path, extension: &str, into: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs_err::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    entries.sort();
    for name in entries {
        let path = folder.join(&name);
        if root.join(&path).is_dir() {
            // Cases hold files that are faulty on purpose.
            if !["target", "node_modules", "cases"].contains(&name.to_string_lossy().as_ref()) {
                collect(root, &path, extension, into);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            into.push(Source {
                text: fs_err::read_to_string(root.join(&path)).unwrap(),
                path: path.to_string_lossy().into_owned(),
            });
        }
    }
}
