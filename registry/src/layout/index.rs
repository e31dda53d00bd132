//! `index.json`, the list of manifests: what is called what, and what is about
//! what.
//!
//! One entry per tag, and one for a manifest without any. Changed under a lock
//! and replaced as a whole, so readers see it before or after. A list that
//! another tool wrote is read as if we had written it, at the cost of reading
//! its manifests; our next change keeps what was learnt. What a descriptor has
//! beyond our vocabulary (`platform`, `urls`) is then lost from the list, not
//! from the manifests.

use std::collections::BTreeSet;

use selvedge_artifact::{Descriptor, Digest, Index, media_type};

use super::document::{DOCUMENT_BYTES_MAX, Document};
use super::files::{read_regular, replace};
use super::{Layout, LayoutError, name};

/// Entries of the list.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of the list.
pub(crate) const INDEX_BYTES_MAX: u64 = 4 << 20;
/// Bytes of other tools' manifests that are read to know what they are.
const ADOPTED_BYTES_MAX: u64 = 64 << 20;

impl Layout {
    /// The list, with what other tools leave out.
    pub(crate) fn load(&self) -> Result<Index, LayoutError> {
        let mut index = self.list()?;
        self.adopt(&mut index);
        Ok(index)
    }

    /// The list as it is.
    pub(crate) fn list(&self) -> Result<Index, LayoutError> {
        let path = self.index_path();
        let bytes = match read_regular(&path, INDEX_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(LayoutError::NotALayout(self.root.clone())),
            Err(LayoutError::TooLarge { .. }) => return Err(LayoutError::Full),
            Err(error) => return Err(error),
        };
        Index::parse(&bytes).map_err(|source| LayoutError::Index { path, source })
    }

    /// Changes the list, if `change` does.
    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut Index) -> Result<T, LayoutError>,
    ) -> Result<T, LayoutError> {
        let _lock = self.lock_index()?;
        let before = self.load()?;
        let mut index = before.clone();
        let result = change(&mut index)?;
        if index != before {
            self.save(&index)?;
        }
        Ok(result)
    }

    fn save(&self, index: &Index) -> Result<(), LayoutError> {
        let bytes = index.to_bytes();
        if index.manifests.len() > ENTRIES_MAX || bytes.len() as u64 > INDEX_BYTES_MAX {
            return Err(LayoutError::Full);
        }
        replace(&self.index_path(), &bytes, &self.partial_path(""))
    }

    /// Adds to other tools' entries what ours say, and the manifests that only
    /// an index leads to. What cannot be read, or is too much to read each time,
    /// is left as it is.
    fn adopt(&self, index: &mut Index) {
        let mut known: BTreeSet<Digest> = BTreeSet::new();
        known.extend(index.manifests.iter().map(|entry| entry.digest));
        let (mut next, mut left) = (0, ADOPTED_BYTES_MAX);
        while let Some(entry) = index.manifests.get_mut(next) {
            next += 1;
            if entry.annotations.contains_key(name::SUBJECT) {
                continue;
            }
            let bytes_max = DOCUMENT_BYTES_MAX.min(left);
            let Ok(bytes) = self.blob(&entry.digest, bytes_max) else {
                continue;
            };
            left = left.saturating_sub(bytes.len() as u64);
            let Ok(document) = Document::parse(&bytes) else {
                continue;
            };
            *entry = adopted(entry, &document);
            for child in document.manifests {
                if index.manifests.len() < ENTRIES_MAX && known.insert(child.digest) {
                    index.manifests.push(plain(&child));
                }
            }
        }
    }

    /// The manifest or index in the blob `digest`.
    pub(crate) fn document(&self, digest: &Digest) -> Result<Document, LayoutError> {
        Document::parse(&self.blob(digest, DOCUMENT_BYTES_MAX)?)
    }
}

/// Another tool's entry with what ours say. Its name stays as it is for that
/// tool.
fn adopted(entry: &Descriptor, document: &Document) -> Descriptor {
    let mut adopted = document.entry();
    if let Some(foreign) = entry.annotations.get(media_type::REF_NAME) {
        let annotations = &mut adopted.annotations;
        if let Some((repository, tag)) = name::of_any(entry, document.package()) {
            let name = format!("{repository}:{tag}");
            if name != *foreign {
                annotations.insert(name::NAME.to_owned(), name);
            }
        }
        annotations.insert(media_type::REF_NAME.to_owned(), foreign.clone());
    }
    adopted
}

/// Adds `entry` to the list, under `name` if there is one, which is taken from
/// what had it.
pub(super) fn insert(index: &mut Index, entry: Descriptor, name: Option<String>) {
    let entries = &mut index.manifests;
    let Some(name) = name else {
        if !entries.iter().any(|old| old.digest == entry.digest) {
            entries.push(entry);
        }
        return;
    };
    let named = |old: &Descriptor| name::text(old) == Some(name.as_str());
    if let Some(position) = entries.iter().position(named) {
        if entries
            .get(position)
            .is_some_and(|old| old.digest == entry.digest)
        {
            return;
        }
        unname(index, position);
    }
    let entries = &mut index.manifests;
    let unnamed = |old: &&mut Descriptor| old.digest == entry.digest && name::text(old).is_none();
    let key = media_type::REF_NAME.to_owned();
    match entries.iter_mut().find(unnamed) {
        Some(old) => drop(old.annotations.insert(key, name)),
        None => {
            let mut entry = entry;
            entry.annotations.insert(key, name);
            entries.push(entry);
        }
    }
}

/// Takes the name from an entry, which goes unless it is the last of its
/// manifest.
pub(super) fn unname(index: &mut Index, position: usize) {
    let Some(entry) = index.manifests.get_mut(position) else {
        return;
    };
    entry.annotations.remove(media_type::REF_NAME);
    entry.annotations.remove(name::NAME);
    let digest = entry.digest;
    let same = |entry: &&Descriptor| entry.digest == digest;
    if index.manifests.iter().filter(same).count() > 1 {
        index.manifests.remove(position);
    }
}

/// A descriptor without annotations.
pub(crate) fn plain(entry: &Descriptor) -> Descriptor {
    Descriptor {
        annotations: selvedge_artifact::Annotations::new(),
        ..entry.clone()
    }
}
