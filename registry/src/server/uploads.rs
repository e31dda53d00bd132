//! Uploads under way: so many at once, each for a while.
//!
//! An upload belongs to a repository and is known by a random number. One
//! request at a time is at it. When it is finished, given up or forgotten, its
//! bytes go with it; they become a blob only through [`BlobWriter::commit`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::refusal::Refusal;
use super::target::Repository;
use crate::BlobWriter;

/// Uploads under way.
#[derive(Debug)]
pub(super) struct Uploads {
    permits: Arc<Semaphore>,
    idle_max: Duration,
    under_way: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug)]
struct Upload {
    repository: String,
    touched: Instant,
    writer: Arc<tokio::sync::Mutex<Option<BlobWriter>>>,
    _slot: Slot,
}

/// Room for one upload.
#[derive(Debug)]
pub(super) struct Slot(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

/// An upload that one request is at. Emptied when the upload is over.
pub(super) type Held = OwnedMutexGuard<Option<BlobWriter>>;

impl Uploads {
    pub(super) fn new(uploads_max: usize, idle_max: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(uploads_max)),
            idle_max,
            under_way: Mutex::new(HashMap::new()),
        }
    }

    /// Room for one more, if there is any.
    pub(super) fn slot(&self) -> Result<Slot, Refusal> {
        let permit = self.permits.clone().try_acquire_owned().or_else(|_| {
            self.sweep();
            self.permits.clone().try_acquire_owned()
        });
        permit.map(Slot).map_err(|_| Refusal::TooMany)
    }

    /// Takes an upload in, and says how it is known.
    pub(super) fn begin(
        &self,
        repository: Repository<'_>,
        writer: BlobWriter,
        slot: Slot,
    ) -> Result<String, Refusal> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Refusal::Store)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let upload = Upload {
            repository: repository.as_str().to_owned(),
            touched: Instant::now(),
            writer: Arc::new(tokio::sync::Mutex::new(Some(writer))),
            _slot: slot,
        };
        self.under_way.lock().insert(id.clone(), upload);
        Ok(id)
    }

    /// Takes hold of an upload.
    pub(super) fn hold(&self, repository: Repository<'_>, id: &str) -> Result<Held, Refusal> {
        let mut under_way = self.under_way.lock();
        let upload = under_way.get_mut(id).ok_or(Refusal::UploadUnknown)?;
        if upload.repository != repository.as_str() {
            return Err(Refusal::UploadUnknown);
        }
        let held = upload.writer.clone().try_lock_owned();
        let held = held.map_err(|_| Refusal::UploadBusy)?;
        if held.is_none() || upload.touched.elapsed() > self.idle_max {
            under_way.remove(id);
            return Err(Refusal::UploadUnknown);
        }
        upload.touched = Instant::now();
        Ok(held)
    }

    /// The request is done with it: its time begins anew, or it is over.
    pub(super) fn settle(&self, id: &str) {
        let mut under_way = self.under_way.lock();
        let Some(upload) = under_way.get_mut(id) else {
            return;
        };
        upload.touched = Instant::now();
        let over = upload
            .writer
            .try_lock()
            .is_ok_and(|writer| writer.is_none());
        if over {
            under_way.remove(id);
        }
    }

    /// Drops uploads that nobody has continued for too long.
    pub(super) fn sweep(&self) {
        let stays = |upload: &Upload| match upload.writer.try_lock() {
            Ok(writer) => writer.is_some() && upload.touched.elapsed() <= self.idle_max,
            // A request is at it, and has its own deadlines.
            Err(_) => true,
        };
        self.under_way.lock().retain(|_, upload| stays(upload));
    }
}
