//! How long a guest has computed without waiting.
//!
//! The preemption clock makes a guest yield each millisecond. Each such yield is
//! counted; waking up from anything else starts the count anew, and so does
//! taking messages, for a service with more to do than it can do never waits.
//! So a guest may wait for as long as it likes, and a host that is busy
//! elsewhere does not count against it, but it cannot compute past its limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use wasmtime::{Store, UpdateDeadline};

use super::instance::WAIT_FACTOR;
use crate::capabilities::PluginState;

/// Shared between a store's deadline callback and the future that is polled.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    yielded: AtomicBool,
    ticks: AtomicU32,
}

/// A guest computed for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("computed for more than {0} ms")]
pub(super) struct Overrun(pub(super) u32);

impl Pace {
    /// Makes `store` yield at each tick, and trap after `ticks_max` in a row.
    pub(super) fn govern(&self, store: &mut Store<PluginState>, ticks_max: u32) {
        let counters = Arc::clone(&self.0);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut store| {
            if store.data_mut().progressed() {
                counters.ticks.store(0, Ordering::Relaxed);
            }
            if counters.ticks.fetch_add(1, Ordering::Relaxed) >= ticks_max {
                return Err(Overrun(ticks_max).into());
            }
            counters.yielded.store(true, Ordering::Relaxed);
            Ok(UpdateDeadline::Yield(1))
        });
    }

    /// Runs a call into the guest, counting its ticks from zero.
    pub(super) fn call<F: Future>(&self, call: F) -> Paced<F> {
        self.0.yielded.store(false, Ordering::Relaxed);
        Paced {
            counters: Arc::clone(&self.0),
            call: Box::pin(call),
        }
    }
}

/// A call into a guest.
pub(super) struct Paced<F> {
    counters: Arc<Counters>,
    call: Pin<Box<F>>,
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.counters.yielded.swap(false, Ordering::Relaxed) {
            self.counters.ticks.store(0, Ordering::Relaxed);
        }
        let began = Instant::now();
        let outcome = self.call.as_mut().poll(cx);
        // Host functions cannot be preempted: a long one is counted here. The
        // clock also runs while other processes have the core, so it counts for
        // as little as in a call that waits.
        let extra = began.elapsed().as_millis() / u128::from(WAIT_FACTOR);
        if extra > 0 {
            let extra = u32::try_from(extra).unwrap_or(u32::MAX >> 1);
            self.counters.ticks.fetch_add(extra, Ordering::Relaxed);
        }
        outcome
    }
}
