//! Collects what nothing leads to any more: mark and sweep.
//!
//! What others have just put, and not named yet, is young and spared; so is
//! what a manifest names that is put between mark and sweep. Readers keep what
//! they opened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use selvedge_artifact::{Descriptor, Digest, Index};

use super::files::there;
use super::{Collected, Layout, LayoutError, name};

/// How long a blob or manifest is spared that nothing leads to: whoever put it
/// has that long to name it.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long an unfinished blob is spared that nobody writes.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Blobs removed before those that put some get their turn.
const SWEEP_BLOBS: usize = 32;

impl Layout {
    /// Removes what neither a tag nor `keep` (manifests) leads to, with
    /// referrers of what stays staying too, and unfinished blobs older than a
    /// day. What was put within the last hour stays in any case, by the clock
    /// of the file system.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub fn collect_garbage(&self, keep: &[Digest]) -> Result<Collected, LayoutError> {
        let now = SystemTime::now();
        let live = self.edit(|index| {
            let (manifests, blobs) = self.mark(index, keep, now)?;
            index
                .manifests
                .retain(|entry| manifests.contains(&entry.digest));
            Ok(blobs)
        })?;
        let collected = self.sweep(&live, now)?;
        self.sweep_partial(now)?;
        Ok(collected)
    }

    /// The manifests that stay, and the blobs, the manifests' own among them.
    fn mark(
        &self,
        index: &Index,
        keep: &[Digest],
        now: SystemTime,
    ) -> Result<(BTreeSet<Digest>, BTreeSet<Digest>), LayoutError> {
        let mut about: BTreeMap<&str, Vec<Digest>> = BTreeMap::new();
        for entry in &index.manifests {
            if let Some(subject) = entry.annotations.get(name::SUBJECT) {
                about.entry(subject).or_default().push(entry.digest);
            }
        }
        let listed: BTreeSet<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
        let root = |entry: &&Descriptor| {
            name::text(entry).is_some() || self.is_young(&entry.digest, now, GRACE)
        };
        let roots = index.manifests.iter().filter(root);
        let mut manifests: BTreeSet<Digest> = roots.map(|entry| entry.digest).collect();
        manifests.extend(keep);
        let mut waiting: Vec<Digest> = manifests.iter().copied().collect();
        let mut blobs = manifests.clone();
        while let Some(digest) = waiting.pop() {
            let named = self.leads_to(&digest)?;
            let listed = named.iter().filter(|found| listed.contains(found));
            let referrers = about.get(digest.to_string().as_str());
            for &found in listed.chain(referrers.into_iter().flatten()) {
                if manifests.insert(found) {
                    waiting.push(found);
                }
                blobs.insert(found);
            }
            blobs.extend(named);
        }
        Ok((manifests, blobs))
    }

    /// What a manifest or index names. Nothing, if it is gone or damaged: then
    /// it has to be pulled again, and what it names with it.
    pub(super) fn leads_to(&self, manifest: &Digest) -> Result<BTreeSet<Digest>, LayoutError> {
        match self.document(manifest) {
            Ok(document) => {
                let named = document.blobs.iter().chain(&document.manifests);
                Ok(named.map(|described| described.digest).collect())
            }
            Err(LayoutError::Io(error)) => Err(error.into()),
            Err(_) => Ok(BTreeSet::new()),
        }
    }

    /// Without the list's lock, for removing many files takes long: a manifest
    /// that is put meanwhile makes what it names young.
    fn sweep(&self, live: &BTreeSet<Digest>, now: SystemTime) -> Result<Collected, LayoutError> {
        let mut dead = Vec::new();
        for file in fs_err::read_dir(self.root.join("blobs").join("sha256"))? {
            // What has another name is not ours to remove.
            let name = file?.file_name();
            let digest = name
                .to_str()
                .and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            dead.extend(digest.filter(|digest| !live.contains(digest)));
        }
        let mut collected = Collected::default();
        for batch in dead.chunks(SWEEP_BLOBS) {
            let _lock = self.lock_blobs_to_remove()?;
            for digest in batch {
                if self.is_young(digest, now, GRACE) {
                    continue;
                }
                let bytes = self.blob_size(digest).unwrap_or(0);
                if there(fs_err::remove_file(self.blob_path(digest)))?.is_some() {
                    collected.blobs += 1;
                    collected.bytes += bytes;
                }
            }
        }
        Ok(collected)
    }

    fn sweep_partial(&self, now: SystemTime) -> Result<(), LayoutError> {
        for file in fs_err::read_dir(self.partial_path(""))? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "lock")
            {
                continue;
            }
            let Some(found) = there(fs_err::symlink_metadata(&path))? else {
                continue;
            };
            if !found.is_file() || !is_older(found.modified()?, now, PARTIAL_AGE_MAX) {
                continue;
            }
            // Someone may be at it, however long ago it was begun.
            let unlocked = |file: &fs_err::File| file.file().try_lock().is_ok();
            if there(fs_err::File::open(&path))?.is_some_and(|file| unlocked(&file)) {
                there(fs_err::remove_file(&path))?;
            }
        }
        Ok(())
    }

    /// Whether a blob was put within `age`. One that is not there is not young.
    fn is_young(&self, digest: &Digest, now: SystemTime, age: Duration) -> bool {
        let put = fs_err::symlink_metadata(self.blob_path(digest)).and_then(|m| m.modified());
        put.is_ok_and(|put| !is_older(put, now, age))
    }
}

/// Whether `age` has passed since `then`. Not, if `then` is still to come: a
/// clock that was set back removes nothing.
fn is_older(then: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(then).is_ok_and(|since| since > age)
}
