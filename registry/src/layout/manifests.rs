//! Manifests and indexes: blobs that are found by tag, by digest as what they
//! are, and by what they are about.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Tag, media_type};

use super::document::{DOCUMENT_BYTES_MAX, Document, is_document};
use super::index::{insert, plain, unname};
use super::{Layout, LayoutError, StoredTag, name};

/// A manifest or index to keep.
#[derive(Debug)]
pub(crate) struct Put<'a> {
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// What it is called: repository and tag.
    pub(crate) name: Option<(&'a str, &'a Tag)>,
}

impl Layout {
    /// Keeps a manifest or index, findable by its digest, by `name` if there is
    /// one, and as a referrer if it has a subject. The blobs that it names must
    /// be there, and the manifests that an index lists must have been put before.
    ///
    /// # Errors
    ///
    /// If it is not a manifest or index, a blob is missing, or it cannot be written.
    pub fn put_manifest(
        &self,
        bytes: &[u8],
        name: Option<(&str, &Tag)>,
    ) -> Result<Descriptor, LayoutError> {
        let document = Document::parse(bytes)?;
        self.put_manifests(&[Put { bytes, name }])?;
        Ok(document.descriptor)
    }

    /// Keeps all or none.
    pub(crate) fn put_manifests(&self, puts: &[Put<'_>]) -> Result<(), LayoutError> {
        let mut documents = Vec::with_capacity(puts.len());
        for put in puts {
            let joined = put
                .name
                .map(|(repository, tag)| name::join(repository, tag));
            documents.push((Document::parse(put.bytes)?, joined.transpose()?));
        }
        for put in puts {
            self.put_blob(put.bytes)?;
        }
        self.edit(|index| {
            let mut known: BTreeSet<Digest> = BTreeSet::new();
            known.extend(index.manifests.iter().map(|entry| entry.digest));
            known.extend(documents.iter().map(|(new, _)| new.descriptor.digest));
            // With both locks, for a collection may just be taking one.
            let _blobs = self.lock_blobs_to_put()?;
            for (document, _) in &documents {
                self.check_met(document, &known)?;
            }
            for (document, name) in documents {
                insert(index, document.entry(), name);
            }
            Ok(())
        })
    }

    fn check_met(&self, document: &Document, known: &BTreeSet<Digest>) -> Result<(), LayoutError> {
        let unmet = |blob: &Descriptor| LayoutError::Unmet {
            manifest: document.descriptor.digest,
            blob: blob.digest,
        };
        for blob in document.blobs.iter().chain(&document.manifests) {
            self.make_young(&blob.digest)?;
            let there = self.blob_size(&blob.digest) == Some(blob.size);
            if !there || (is_document(blob) && !known.contains(&blob.digest)) {
                return Err(unmet(blob));
            }
        }
        let own = &document.descriptor;
        if self.blob_size(&own.digest) != Some(own.size) {
            return Err(LayoutError::Missing(own.digest));
        }
        Ok(())
    }

    /// What a tag stands for.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn resolve(&self, repository: &str, tag: &Tag) -> Result<Option<Descriptor>, LayoutError> {
        let name = format!("{repository}:{tag}");
        let index = self.load()?;
        let named = |entry: &&Descriptor| name::text(entry) == Some(name.as_str());
        Ok(index.manifests.iter().find(named).map(plain))
    }

    /// The manifest or index `digest`, if it was put here as one.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<(Descriptor, Bytes)>, LayoutError> {
        let index = self.load()?;
        if !index.manifests.iter().any(|entry| entry.digest == *digest) {
            return Ok(None);
        }
        let bytes = self.blob(digest, DOCUMENT_BYTES_MAX)?;
        // What it is, it says itself; the list might lie.
        Ok(Some((Document::parse(&bytes)?.descriptor, bytes)))
    }

    /// All tags, in order. Of another tool's names, those count that have a
    /// repository and a tag, the registry left out, and tags alone whose
    /// manifest says which package it is.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn tags(&self) -> Result<Vec<StoredTag>, LayoutError> {
        // The first of two with one name, as `resolve` finds it.
        let mut tags = BTreeMap::new();
        for entry in &self.load()?.manifests {
            if let Some(name) = name::parts(entry) {
                tags.entry(name).or_insert_with(|| plain(entry));
            }
        }
        let stored = |((repository, tag), manifest)| StoredTag {
            repository,
            tag,
            manifest,
        };
        Ok(tags.into_iter().map(stored).collect())
    }

    /// What is about `subject`, with artifact type and annotations. Those of a
    /// manifest with more than 2048 bytes of them are left out.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn referrers(&self, subject: &Digest) -> Result<Index, LayoutError> {
        let subject = subject.to_string();
        let mut seen = BTreeSet::new();
        let mut referrers = self.load()?.manifests;
        referrers.retain(|entry| {
            entry.annotations.get(name::SUBJECT) == Some(&subject) && seen.insert(entry.digest)
        });
        for entry in &mut referrers {
            for key in [name::SUBJECT, name::NAME, media_type::REF_NAME] {
                entry.annotations.remove(key);
            }
        }
        Ok(Index::new(referrers))
    }

    /// Forgets a tag. What it stood for goes with the next collection.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn untag(&self, repository: &str, tag: &Tag) -> Result<bool, LayoutError> {
        let name = format!("{repository}:{tag}");
        self.edit(|index| {
            let named = |entry: &Descriptor| name::text(entry) == Some(name.as_str());
            let mut found = false;
            while let Some(position) = index.manifests.iter().position(named) {
                unname(index, position);
                found = true;
            }
            Ok(found)
        })
    }

    /// Removes a manifest and every tag of it. Its blobs go with the next
    /// collection.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn delete_manifest(&self, digest: &Digest) -> Result<bool, LayoutError> {
        self.edit(|index| {
            let before = index.manifests.len();
            index.manifests.retain(|entry| entry.digest != *digest);
            Ok(index.manifests.len() < before)
        })
    }
}
