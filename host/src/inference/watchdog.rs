//! Stops runs at their deadlines where nobody is there to do it: a run that was
//! made in place holds the thread that would.
//!
//! Only backends that can be stopped from another thread put their runs on
//! watch, and only for as long as they last. The thread that watches sleeps while
//! there are none, and ends with the last watchdog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::control::Shared;

/// Watches runs. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchdog(Arc<Owner>);

/// Dropped with the last watchdog; the thread has only what is within.
#[derive(Debug, Default)]
struct Owner {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<(Instant, u64), Arc<Shared>>,
    next: u64,
    /// When the thread wakes by itself.
    wakes: Option<Instant>,
    ended: bool,
}

/// As long as it lives, a run is on watch.
#[derive(Debug)]
pub(super) struct OnWatch<'a> {
    inner: &'a Inner,
    key: (Instant, u64),
}

impl Watchdog {
    /// Cancels `run` at its deadline, unless it has ended before.
    pub(super) fn watch(&self, deadline: Instant, run: &Arc<Shared>) -> OnWatch<'_> {
        let inner = &self.0.inner;
        let mut state = inner.state.lock();
        let key = (deadline, state.next);
        state.next += 1;
        state.runs.insert(key, Arc::clone(run));
        let sooner = state.wakes.is_none_or(|wakes| deadline < wakes);
        drop(state);
        if sooner {
            self.0.begin();
            inner.changed.notify_one();
        }
        OnWatch { inner, key }
    }
}

impl Owner {
    /// Starts the thread, once. Without one, runs end by themselves or with whoever
    /// waits for them.
    fn begin(&self) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let inner = Arc::clone(&self.inner);
            let named = thread::Builder::new().name("inference-watchdog".to_owned());
            *thread = named.spawn(move || inner.watch()).ok();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.state.lock().ended = true;
        self.inner.changed.notify_one();
        if let Some(thread) = self.thread.get_mut().take() {
            // It does not panic, and would have nothing to say if it did.
            drop(thread.join());
        }
    }
}

impl Inner {
    fn watch(&self) {
        let mut state = self.state.lock();
        while !state.ended {
            let now = Instant::now();
            while let Some(first) = state.runs.first_entry() {
                if first.key().0 > now {
                    break;
                }
                first.remove().cancel();
            }
            state.wakes = state.runs.first_key_value().map(|((at, _), _)| *at);
            match state.wakes {
                Some(at) => drop(self.changed.wait_until(&mut state, at)),
                None => self.changed.wait(&mut state),
            }
        }
    }
}

impl Drop for OnWatch<'_> {
    fn drop(&mut self) {
        self.inner.state.lock().runs.remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
