//! What is remembered, in memory and on the disk, as one.
//!
//! A change counts once it is on the disk: whoever reads never sees more than
//! what a power loss would leave. The one exception is the end of a deployment
//! when the disk does not take it any more; then the memory is ahead, the host
//! says so, and the next write that succeeds brings both together again.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::error;

use super::fault_point;
use super::journal::{Journal, JournalError, changes};
use super::state::State;
use crate::error_chain::ErrorChain;
use crate::storage::Storage;

/// What is remembered. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    /// Held while one writes, so that changes come one after the other.
    writing: Mutex<()>,
    book: Mutex<Book>,
    /// Counts the changes.
    revision: watch::Sender<u64>,
}

#[derive(Debug)]
struct Book {
    state: State,
    /// What is on the disk for certain.
    durable: State,
    /// Records of which it is not certain what the disk has: a write failed.
    doubtful: BTreeSet<String>,
    /// Why the disk does not take what is to be remembered.
    failure: Option<String>,
    /// What could not be read at the start.
    unreadable: Vec<String>,
}

impl Ledger {
    /// Reads what is remembered. Blocks.
    pub(super) fn open(storage: &Storage) -> Result<Self, JournalError> {
        Self::of(Journal::open(storage)?)
    }

    fn of(journal: Journal) -> Result<Self, JournalError> {
        let (state, unreadable) = journal.read()?;
        let mut told = Vec::new();
        for record in unreadable {
            let record = ErrorChain(&record).to_string();
            error!(error = record, "record left out");
            told.push(record);
        }
        let book = Book {
            durable: state.clone(),
            state,
            doubtful: BTreeSet::new(),
            failure: None,
            unreadable: told,
        };
        Ok(Self(Arc::new(Inner {
            journal,
            writing: Mutex::default(),
            book: Mutex::new(book),
            revision: watch::channel(0).0,
        })))
    }

    /// Looks at what is remembered.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.book.lock().state)
    }

    /// Changes what is remembered, as the step called `step`; on the disk when
    /// this returns. On an error nothing has changed.
    ///
    /// Goes on to its end even if nobody waits for it any more.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        step: &'static str,
        change: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, JournalError> {
        let ledger = self.clone();
        let write = move || {
            fault_point::before(step);
            let outcome = ledger.write_now(change)?;
            fault_point::after(step);
            Ok(outcome)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(|_| JournalError::Interrupted)?
    }

    fn write_now<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, JournalError> {
        let _writing = self.0.writing.lock();
        let (mut new, durable, doubtful) = {
            let book = self.0.book.lock();
            let doubtful = book.doubtful.clone();
            (book.state.clone(), book.durable.clone(), doubtful)
        };
        let outcome = change(&mut new);
        let mut writes = changes(&durable, &new);
        if !doubtful.is_empty() {
            let mut all = changes(&State::default(), &new);
            let now = doubtful.into_iter().map(|key| {
                let value = all.remove(&key).flatten();
                (key, value)
            });
            writes.extend(now.collect::<Vec<_>>());
        }
        let written = self.0.journal.write(&writes);
        let mut book = self.0.book.lock();
        if let Err(error) = written {
            let text = ErrorChain(&error).to_string();
            error!(error = text, "deployments cannot be remembered");
            book.failure = Some(text);
            book.doubtful.extend(writes.into_keys());
            return Err(error);
        }
        book.failure = None;
        book.doubtful.clear();
        book.durable = new.clone();
        book.state = new;
        drop(book);
        self.0.revision.send_modify(|revision| *revision += 1);
        Ok(outcome)
    }

    /// Changes what is remembered, also if the disk does not take it: how
    /// something ended is true whether or not it can be written.
    pub(super) async fn write_or_hold(
        &self,
        step: &'static str,
        change: impl Fn(&mut State) + Clone + Send + 'static,
    ) {
        if self.write(step, change.clone()).await.is_ok() {
            return;
        }
        let ledger = self.clone();
        let hold = move || {
            let _writing = ledger.0.writing.lock();
            change(&mut ledger.0.book.lock().state);
            ledger.0.revision.send_modify(|revision| *revision += 1);
        };
        if tokio::task::spawn_blocking(hold).await.is_err() {
            error!("what ended cannot even be held in memory");
        }
    }

    /// Whether the memory is ahead of the disk.
    pub(super) fn is_ahead(&self) -> bool {
        self.0.book.lock().failure.is_some()
    }

    /// What is wrong with it.
    pub(super) fn troubles(&self) -> Vec<String> {
        let book = self.0.book.lock();
        let failure = book.failure.iter();
        failure.chain(&book.unreadable).cloned().collect()
    }

    /// Is told of each change.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }
}

#[cfg(test)]
mod tests;
