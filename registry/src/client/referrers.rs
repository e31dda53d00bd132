//! What is about an artifact: the registry's own list, or the tag that stands for
//! it (OCI distribution-spec 1.1, "Referrers Tag Schema").
//!
//! The tag is read, changed and written back, which two writers can do at once.
//! So what was written is read again, at once and a little later, and written
//! again with everything seen until nothing is missing. Two writers that both run
//! to the end lose nothing, as long as the slower one's write arrives before the
//! faster one's last look. Not guaranteed: entries of a writer that does not look
//! again (others' tools, or one that was stopped), a write that a proxy delays
//! for longer, and removals, which a writer that saw the entry undoes.

use std::collections::BTreeSet;

use bytes::Bytes;
use selvedge_artifact::{Descriptor, Digest, Index, Packaged, Reference, Tag, media_type};

use super::documents::{DOCUMENT_BYTES_MAX, Kind, Under};
use super::error::ClientError;
use super::place::Place;
use super::push::listed_as;
use super::{Client, Pushed};
use crate::Progress;

/// How often the tag is written.
const ATTEMPTS_MAX: usize = 8;

impl Client {
    /// What is about `subject`, in no order.
    pub(super) async fn list_referrers(
        &self,
        place: &Place,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let listed = self.listed_referrers(place, &subject.to_string()).await?;
        match listed {
            Some(listed) => Ok(listed),
            None => self.tagged_referrers(place, subject).await,
        }
    }

    /// What the tag lists; nothing if there is no such tag.
    async fn tagged_referrers(
        &self,
        place: &Place,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let tag = Tag::of_referrers(subject);
        let document = match self.document(place, tag.as_str(), None).await {
            Err(ClientError::NotFound { .. }) => return Ok(Vec::new()),
            document => document?,
        };
        match document.kind {
            Kind::Index(index) => Ok(index.manifests),
            Kind::Manifest(_) => Err(ClientError::Malformed {
                name: place.name(),
                what: "the tag for referrers is no index",
            }),
        }
    }

    pub(super) async fn attach_packaged(
        &self,
        reference: &Reference,
        attachment: &Packaged,
        progress: &dyn Progress,
    ) -> Result<Pushed, ClientError> {
        let place = self.place(reference)?;
        let (entry, subject) = listed_as(&place, attachment)?;
        let Some(subject) = subject else {
            return Err(ClientError::Malformed {
                name: place.name(),
                what: "what is to be attached is about nothing",
            });
        };
        let pushed = self.push_packaged(&place, Under::Digest, attachment, progress);
        let (pushed, listed) = pushed.await?;
        if !listed {
            self.list_under_tag(&place, &subject, entry).await?;
        }
        Ok(pushed)
    }

    /// Brings `entry` into the list under the tag, and keeps it there.
    async fn list_under_tag(
        &self,
        place: &Place,
        subject: &Digest,
        entry: Descriptor,
    ) -> Result<(), ClientError> {
        let tag = Tag::of_referrers(subject);
        let pace = self.inner.transport.pace;
        let mut wanted = vec![entry];
        for attempt in 0..ATTEMPTS_MAX {
            if !self.is_missing(place, subject, &mut wanted).await? {
                // A writer that read before us may not have written yet.
                tokio::time::sleep(pace.jitter(1)).await;
                if !self.is_missing(place, subject, &mut wanted).await? {
                    return Ok(());
                }
            }
            let index = Bytes::from(Index::new(wanted.clone()).to_bytes());
            if index.len() as u64 > DOCUMENT_BYTES_MAX {
                return Err(ClientError::TooLarge {
                    name: place.name(),
                    what: "list of referrers",
                    max: format!("{DOCUMENT_BYTES_MAX} bytes"),
                });
            }
            let under = Under::Tag(tag.as_str());
            self.put_document(place, under, media_type::INDEX, &index)
                .await?;
            if attempt > 0 {
                tokio::time::sleep(pace.jitter(u32::try_from(attempt).unwrap_or(0))).await;
            }
        }
        if !self.is_missing(place, subject, &mut wanted).await? {
            return Ok(());
        }
        Err(ClientError::Contended {
            name: place.name(),
            attempts: ATTEMPTS_MAX,
        })
    }

    /// Whether anything wanted is not in the list. What else is there is wanted
    /// from now on, in its order; what is missing comes last.
    async fn is_missing(
        &self,
        place: &Place,
        subject: &Digest,
        wanted: &mut Vec<Descriptor>,
    ) -> Result<bool, ClientError> {
        let mut all = self.tagged_referrers(place, subject).await?;
        let mut listed = BTreeSet::new();
        all.retain(|entry| listed.insert(entry.digest));
        wanted.retain(|entry| !listed.contains(&entry.digest));
        let is_missing = !wanted.is_empty();
        all.append(wanted);
        *wanted = all;
        Ok(is_missing)
    }
}
