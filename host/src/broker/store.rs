//! What sessions keep on the disk: who they are, and what waits for them.
//!
//! A session's record says what it has subscribed; its messages are entries of one
//! log for all sessions, in the order of their arrival, so that all who write at
//! the same time share one sync. What was written is there after `kill -9`; what
//! was removed may come back after a power failure. What cannot be read is named
//! and passed over.

mod entry;
mod record;
mod work;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::warn;

pub(super) use self::entry::{Entry, Kind};
pub(super) use self::record::{Ended, Record, key};
use self::work::{Answer, Request, Sender, Work};
use super::inflight::Number;
use crate::storage::{BucketError, LogError, Storage};

/// What records are kept in, and what waits.
const RECORDS: &str = "mqtt-sessions";
const MESSAGES: &str = "mqtt-messages";
/// Bytes of all records.
const RECORDS_BYTES_MAX: u64 = 64 << 20;
/// Entries read at once, and their bytes.
const READ_MAX: usize = 1_024;
const READ_BYTES_MAX: usize = 4 << 20;
/// What the only lane is called.
const LANE: u8 = 0;

/// Why the store did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot keep a session")]
    Record(#[source] Arc<BucketError>),
    #[error("cannot keep messages of sessions")]
    Messages(#[source] Arc<LogError>),
    #[error("writing ended before it was done")]
    Aborted,
}

impl StoreError {
    /// A stable name for logs, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        if self.is_full() {
            "sessions-full"
        } else {
            "sessions-store-failed"
        }
    }

    /// Whether a quota of ours is reached; else the disk did not take it.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Record(error) => matches!(**error, BucketError::Quota { .. }),
            Self::Messages(error) => {
                matches!(**error, LogError::Full { .. } | LogError::TooLarge(_))
            }
            Self::Aborted => false,
        }
    }
}

impl From<BucketError> for StoreError {
    fn from(error: BucketError) -> Self {
        Self::Record(Arc::new(error))
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        Self::Messages(Arc::new(error))
    }
}

/// What sessions keep. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<Work>);

/// What was there when the store was opened.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) sessions: Vec<Loaded>,
}

/// One session as it was kept.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) record: Record,
    /// What waits for it, oldest first; not the messages themselves.
    pub(super) waiting: Vec<(Number, Entry)>,
}

impl Store {
    /// Opens the store, whose messages may take `bytes_max`. Touches the disk.
    pub(super) fn open(storage: &Storage, bytes_max: u64) -> Result<(Self, Kept), StoreError> {
        let records = storage.bucket(RECORDS, RECORDS_BYTES_MAX)?;
        let messages = storage.log(MESSAGES, bytes_max)?;
        let store = Self(Arc::new(Work::new(records, messages)));
        let kept = store.load()?;
        Ok((store, kept))
    }

    /// Puts entries at the end; on the disk when this is done. It is in line from
    /// now on, whether it is waited for or not.
    pub(super) fn append(
        &self,
        entries: Vec<Bytes>,
    ) -> impl Future<Output = Result<Range<Number>, StoreError>> + Send + use<> {
        let answer = self.ask(|answer| Request::Append(entries, answer));
        async move {
            match answer.await.unwrap_or(Err(StoreError::Aborted))? {
                Answer::Appended(range) => Ok(range),
                Answer::Done => Err(StoreError::Aborted),
            }
        }
    }

    /// Sets records and removes those without a value, together; on the disk when
    /// this is done. It is in line from now on: of the same record, what was asked
    /// last stands.
    pub(super) fn set(
        &self,
        records: Vec<(String, Option<Vec<u8>>)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let answer = self.ask(|answer| Request::Set(records, answer));
        async move {
            answer.await.unwrap_or(Err(StoreError::Aborted))?;
            Ok(())
        }
    }

    /// A number that no session had before.
    pub(super) fn number(&self) -> u64 {
        self.0.number()
    }

    /// Removes entries, soon.
    pub(super) fn remove(&self, entries: impl IntoIterator<Item = Number>) {
        self.0.remove(entries);
    }

    #[cfg(test)]
    pub(super) fn recorded(&self) -> Vec<Record> {
        self.0.records().unwrap()
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> u64 {
        self.0.messages.len()
    }

    /// What was removed is removed now.
    pub(super) async fn flush(&self) {
        if !self.0.has_removals() {
            return;
        }
        let work = Arc::clone(&self.0);
        if spawn_blocking(move || work.clear()).await.is_err() {
            warn!("sessions' messages not removed");
        }
    }

    /// The entries with these numbers; those that are gone or damaged are left out.
    pub(super) async fn read(
        &self,
        numbers: Vec<Number>,
    ) -> Result<Vec<(Number, Entry)>, StoreError> {
        let work = Arc::clone(&self.0);
        let read = move || {
            let mut entries = Vec::with_capacity(numbers.len());
            for number in numbers {
                entries.extend(work.read_one(number)?);
            }
            Ok(entries)
        };
        let done = spawn_blocking(read).await;
        done.unwrap_or(Err(StoreError::Aborted))
    }

    fn ask(
        &self,
        request: impl FnOnce(Sender) -> Request,
    ) -> oneshot::Receiver<Result<Answer, StoreError>> {
        let (sender, answer) = oneshot::channel();
        if self.0.line_up(request(sender)) {
            let work = Arc::clone(&self.0);
            // All who stand in line wait for it, by their answers.
            drop(spawn_blocking(move || work.run()));
        }
        answer
    }

    fn load(&self) -> Result<Kept, StoreError> {
        let mut sessions = HashMap::new();
        for record in self.0.records()? {
            let loaded = Loaded {
                record,
                waiting: Vec::new(),
            };
            sessions.insert(loaded.record.number, loaded);
        }
        let (mut after, mut orphans) = (None, Vec::new());
        loop {
            let entries = self
                .0
                .messages
                .read(LANE, after, READ_MAX, READ_BYTES_MAX)?;
            let Some((last, _)) = entries.last() else {
                break;
            };
            after = Some(*last);
            for (number, bytes) in entries {
                let Some(entry) = self.0.decode(number, &bytes) else {
                    orphans.push(number);
                    continue;
                };
                // Also of those whose record is lost: nobody else may get them.
                self.0.gave(entry.session);
                match sessions.get_mut(&entry.session) {
                    Some(loaded) => loaded.waiting.push((number, entry.without_message())),
                    None => orphans.push(number),
                }
            }
        }
        self.0.remove(orphans);
        let mut sessions: Vec<_> = sessions.into_values().collect();
        sessions.sort_by_key(|loaded| loaded.record.number);
        Ok(Kept { sessions })
    }
}

#[cfg(test)]
mod tests;
