//! Writes for all sessions, one after the other, as many together as there are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::warn;

use super::{Entry, LANE, Record, StoreError};
use crate::broker::inflight::Number;
use crate::storage::{Bucket, Log};

/// Entries of requests that are written together, and removals at once.
const TOGETHER_MAX: usize = 4_096;

/// A record and what it is to be; None: it goes.
pub(super) type Change = (String, Option<Vec<u8>>);

/// Who is to be told what came of it.
pub(super) type Sender = oneshot::Sender<Result<Answer, StoreError>>;

/// Something to write.
#[derive(Debug)]
pub(super) enum Request {
    Append(Vec<Bytes>, Sender),
    Set(Vec<Change>, Sender),
}

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Appended(Range<Number>),
    Done,
}

/// What is to be written, and where.
#[derive(Debug)]
pub(super) struct Work {
    records: Bucket,
    pub(super) messages: Log,
    line: Mutex<Line>,
    /// Sessions that were ever given a number.
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Line {
    requests: Vec<Request>,
    removals: Vec<Number>,
    /// Somebody is writing, and will look again.
    running: bool,
}

impl Work {
    pub(super) fn new(records: Bucket, messages: Log) -> Self {
        Self {
            records,
            messages,
            line: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// True: the caller is to [`run`](Self::run), where blocking is allowed.
    pub(super) fn line_up(&self, request: Request) -> bool {
        let mut line = self.line.lock();
        line.requests.push(request);
        !std::mem::replace(&mut line.running, true)
    }

    pub(super) fn remove(&self, entries: impl IntoIterator<Item = Number>) {
        self.line.lock().removals.extend(entries);
    }

    pub(super) fn has_removals(&self) -> bool {
        !self.line.lock().removals.is_empty()
    }

    /// A number that no session had before.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A session had this number.
    pub(super) fn gave(&self, number: u64) {
        self.numbers.fetch_max(number, Ordering::Relaxed);
    }

    /// Writes until nothing is left to write.
    pub(super) fn run(&self) {
        let running = Running(self);
        loop {
            let mut line = self.line.lock();
            if line.requests.is_empty() {
                line.running = false;
                drop(line);
                std::mem::forget(running);
                return;
            }
            let requests = std::mem::take(&mut line.requests);
            drop(line);
            self.write(requests);
            self.clear();
        }
    }

    fn write(&self, requests: Vec<Request>) {
        let (mut appends, mut sets) = (Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Append(entries, sender) => appends.push((entries, sender)),
                Request::Set(records, sender) => sets.push((records, sender)),
            }
        }
        while !appends.is_empty() {
            let (mut entries, mut count) = (0, 0);
            for (own, _) in &appends {
                entries += own.len();
                if count > 0 && entries > TOGETHER_MAX {
                    break;
                }
                count += 1;
            }
            self.append(appends.drain(..count).collect());
        }
        if !sets.is_empty() {
            self.set(sets);
        }
    }

    /// All of them in one go; if that fails, each by itself, so that one who asks
    /// for too much does not harm the others.
    fn append(&self, requests: Vec<(Vec<Bytes>, Sender)>) {
        let all: Vec<_> = requests
            .iter()
            .flat_map(|(entries, _)| entries)
            .map(|entry| (LANE, entry.clone()))
            .collect();
        match self.messages.append(&all) {
            Ok(range) => {
                let mut next = range.start;
                for (entries, sender) in requests {
                    let end = next + entries.len() as u64;
                    tell(sender, Ok(Answer::Appended(next..end)));
                    next = end;
                }
            }
            Err(error) if requests.len() == 1 => {
                let error = StoreError::from(error);
                for (_, sender) in requests {
                    tell(sender, Err(error.clone()));
                }
            }
            Err(_) => requests
                .into_iter()
                .for_each(|request| self.append(vec![request])),
        }
    }

    fn set(&self, requests: Vec<(Vec<Change>, Sender)>) {
        // Each record once: who asks again and again must not wear out the disk.
        let mut last = HashMap::new();
        for (key, value) in requests.iter().flat_map(|(records, _)| records) {
            last.insert(key.as_str(), value.as_deref());
        }
        let all: Vec<_> = last.into_iter().collect();
        let done = if all.is_empty() {
            Ok(())
        } else {
            self.records.apply(&all)
        };
        drop(all);
        match done {
            Ok(()) => {
                for (_, sender) in requests {
                    tell(sender, Ok(Answer::Done));
                }
            }
            Err(error) if requests.len() == 1 => {
                let error = StoreError::from(error);
                for (_, sender) in requests {
                    tell(sender, Err(error.clone()));
                }
            }
            Err(_) => requests
                .into_iter()
                .for_each(|request| self.set(vec![request])),
        }
    }

    /// Removes what is to be removed.
    pub(super) fn clear(&self) {
        let removals = std::mem::take(&mut self.line.lock().removals);
        for some in removals.chunks(TOGETHER_MAX) {
            let some: Vec<_> = some.iter().map(|number| (LANE, *number)).collect();
            if let Err(error) = self.messages.remove(&some) {
                // They come again at the next start, as duplicates.
                warn!(error = error.code(), "sessions' messages not removed");
            }
        }
    }

    pub(super) fn read_one(&self, number: Number) -> Result<Option<(Number, Entry)>, StoreError> {
        let after = number.checked_sub(1);
        let found = match after {
            Some(after) => self.messages.read(LANE, Some(after), 1, usize::MAX)?,
            None => self.messages.read(LANE, None, 1, usize::MAX)?,
        };
        let found = found.into_iter().find(|(own, _)| *own == number);
        Ok(found.and_then(|(number, bytes)| Some((number, self.decode(number, &bytes)?))))
    }

    pub(super) fn decode(&self, number: Number, bytes: &Bytes) -> Option<Entry> {
        let entry = Entry::decode(bytes);
        if entry.is_none() {
            warn!(number, "message of a session cannot be read: passed over");
        }
        entry
    }

    /// All records that can be read.
    pub(super) fn records(&self) -> Result<Vec<Record>, StoreError> {
        let (mut records, mut skip) = (Vec::new(), 0);
        loop {
            let (keys, more) = self.records.keys(skip)?;
            skip += keys.len() as u64;
            for key in keys {
                let Some(bytes) = self.records.get(&key)? else {
                    continue;
                };
                match Record::decode(&bytes).filter(|record| record.key() == key) {
                    Some(record) => {
                        self.gave(record.number);
                        records.push(record);
                    }
                    None => warn!(key, "session cannot be read: passed over"),
                }
            }
            if !more {
                return Ok(records);
            }
        }
    }
}

/// Should writing panic, the next one writes again.
struct Running<'a>(&'a Work);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line.lock();
        line.running = false;
        // Who stands in line hears that nothing came of it.
        line.requests.clear();
    }
}

fn tell(sender: Sender, result: Result<Answer, StoreError>) {
    // Who asked may be gone; what was written stays.
    drop(sender.send(result));
}
