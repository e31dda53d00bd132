//! Stops what takes too long: runs at their deadlines, and the loading of models.
//!
//! A thread of its own, since a run may be made on the thread of whoever asked for
//! it. It sleeps until the first deadline it knows of; a run that ends in time
//! does not wake it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ort::session::RunOptions;
use ort::session::builder::LoadCanceler;
use parking_lot::{Condvar, Mutex};

/// As good as for ever.
const IDLE: Duration = Duration::from_secs(3_600);

/// What can be stopped.
pub(super) enum Stop {
    Run(Arc<RunOptions>, Arc<AtomicBool>),
    Load(LoadCanceler),
}

impl Stop {
    fn now(&self) {
        let stopped = match self {
            Self::Run(options, stopped) => {
                stopped.store(true, Ordering::Release);
                options.terminate()
            }
            Self::Load(canceler) => canceler.cancel(),
        };
        if let Err(error) = stopped {
            tracing::warn!(error = error.message(), "cannot stop ONNX Runtime");
        }
    }
}

pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    watched: BTreeMap<(Instant, u64), Stop>,
    wakes_at: Option<Instant>,
    ended: bool,
}

/// As long as it lives, what it stands for is stopped at its deadline.
#[must_use]
pub(super) struct Watched<'a> {
    shared: &'a Shared,
    key: (Instant, u64),
}

impl Watch {
    pub(super) fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("onnxruntime-deadlines".to_owned())
            .spawn(move || its.keep())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn until(&self, deadline: Instant, stop: Stop) -> Watched<'_> {
        let mut state = self.shared.state.lock();
        let key = (deadline, state.next);
        state.next += 1;
        state.watched.insert(key, stop);
        if state.wakes_at.is_none_or(|wakes_at| deadline < wakes_at) {
            state.wakes_at = Some(deadline);
            self.shared.changed.notify_one();
        }
        Watched {
            shared: &self.shared,
            key,
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // Once this is gone nothing stops it any more: it is stopped under the
        // same lock.
        self.shared.state.lock().watched.remove(&self.key);
    }
}

impl Shared {
    fn keep(&self) {
        let mut state = self.state.lock();
        while !state.ended {
            let now = Instant::now();
            while let Some(first) = state.watched.first_entry() {
                if first.key().0 > now {
                    break;
                }
                first.remove().now();
            }
            let next = state.watched.first_key_value().map(|((at, _), _)| *at);
            let wakes_at = next.unwrap_or(now + IDLE);
            state.wakes_at = Some(wakes_at);
            self.changed.wait_until(&mut state, wakes_at);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does nothing that could fail.
            drop(thread.join());
        }
    }
}
