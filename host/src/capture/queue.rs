//! What waits to be brought out: bounded in records and in bytes. When it is full,
//! the oldest goes, since what is new says more of how things are.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::record::Record;

/// Records that wait.
const RECORDS_MAX: usize = 256;
/// Their bytes.
const BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Record>,
    bytes: usize,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    pub records: usize,
    pub bytes: usize,
}

impl Queue {
    /// Puts a record in line; those that made room for it.
    pub(super) fn push(&self, record: Record) -> Vec<Record> {
        let mut lost = Vec::new();
        let mut waiting = self.waiting.lock();
        waiting.bytes += record.size();
        waiting.records.push_back(record);
        while waiting.records.len() > RECORDS_MAX || waiting.bytes > BYTES_MAX {
            let Some(oldest) = waiting.take() else { break };
            lost.push(oldest);
        }
        drop(waiting);
        self.filled.notify_one();
        lost
    }

    /// The oldest, if any waits.
    pub(super) fn pop(&self) -> Option<Record> {
        self.waiting.lock().take()
    }

    /// The oldest, as soon as one waits. Dropped before, it has taken none.
    pub(super) async fn next(&self) -> Record {
        loop {
            if let Some(record) = self.pop() {
                return record;
            }
            self.filled.notified().await;
        }
    }

    pub(super) fn status(&self) -> QueueStatus {
        let waiting = self.waiting.lock();
        QueueStatus {
            records: waiting.records.len(),
            bytes: waiting.bytes,
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Record> {
        let record = self.records.pop_front()?;
        self.bytes -= record.size();
        Some(record)
    }
}
