//! What an archive and a directory have in common: a list of manifests whose
//! blobs are checked, taken in as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use selvedge_artifact::{Digest, Index, Tag};

use super::{ArchiveError, Imported, refused};
use crate::layout::{DOCUMENT_BYTES_MAX, Document, Put, foreign_name, plain};
use crate::{Layout, StoredTag};

/// Bytes of all manifests of one import, which are held at once.
const DOCUMENTS_BYTES_MAX: u64 = 64 << 20;
/// Manifests of one import: what a list takes.
const DOCUMENTS_MAX: usize = 10_000;

/// The manifests of a list, and of the indexes in it.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) documents: BTreeMap<Digest, (Bytes, Document)>,
    names: BTreeMap<(String, Tag), Digest>,
}

impl Intake {
    /// Reads what `index` leads to from `source`.
    pub(super) fn gather(source: &Layout, index: &Index) -> Result<Self, ArchiveError> {
        let mut intake = Self::default();
        let mut left = DOCUMENTS_BYTES_MAX;
        let listed = index.manifests.iter().map(|entry| entry.digest);
        let mut waiting: Vec<Digest> = listed.collect();
        while let Some(digest) = waiting.pop() {
            if intake.documents.contains_key(&digest) {
                continue;
            }
            let bytes = source.blob(&digest, DOCUMENT_BYTES_MAX.min(left))?;
            left = left.saturating_sub(bytes.len() as u64);
            let document = Document::parse(&bytes)?;
            waiting.extend(document.manifests.iter().map(|child| child.digest));
            intake.documents.insert(digest, (bytes, document));
            if intake.documents.len() > DOCUMENTS_MAX {
                let entries_max = DOCUMENTS_MAX;
                return Err(ArchiveError::TooMany { entries_max });
            }
        }
        intake.name(index)?;
        Ok(intake)
    }

    fn name(&mut self, index: &Index) -> Result<(), ArchiveError> {
        for entry in &index.manifests {
            let document = self.documents.get(&entry.digest);
            let package = document.and_then(|(_, document)| document.package());
            let Some(name) = foreign_name(entry, package) else {
                continue;
            };
            let text = format!("{}:{}", name.0, name.1);
            let other = self.names.insert(name, entry.digest);
            if other.is_some_and(|other| other != entry.digest) {
                return Err(refused(text.as_bytes(), "a name of two manifests"));
            }
        }
        Ok(())
    }

    /// Makes it findable in `target`, which has the blobs.
    pub(super) fn take(self, target: &Layout) -> Result<Imported, ArchiveError> {
        let mut puts = Vec::with_capacity(self.documents.len());
        let mut named = BTreeSet::new();
        for ((repository, tag), digest) in &self.names {
            if let Some((bytes, _)) = self.documents.get(digest) {
                let name = Some((repository.as_str(), tag));
                puts.push(Put { bytes, name });
                named.insert(digest);
            }
        }
        for (digest, (bytes, _)) in &self.documents {
            if !named.contains(digest) {
                puts.push(Put { bytes, name: None });
            }
        }
        target.put_manifests(&puts)?;
        Ok(self.imported())
    }

    fn imported(&self) -> Imported {
        let manifests = self
            .documents
            .values()
            .map(|(_, document)| document.descriptor.clone());
        let tags = self.names.iter().filter_map(|((repository, tag), digest)| {
            let (_, document) = self.documents.get(digest)?;
            Some(StoredTag {
                repository: repository.clone(),
                tag: tag.clone(),
                manifest: plain(&document.descriptor),
            })
        });
        Imported {
            manifests: manifests.collect(),
            tags: tags.collect(),
        }
    }
}
