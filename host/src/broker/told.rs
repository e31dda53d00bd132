//! Where one task is told to end, and why.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use crate::mqtt::Reason;

/// No reason that anybody is told.
const NOTHING: u8 = 0;

/// What a task is told. There are many that are told nothing: it is small.
#[derive(Debug, Default)]
pub(super) struct Told {
    reason: AtomicU8,
    /// Of the task, which alone waits to be told.
    waker: AtomicWaker,
}

impl Told {
    /// The first reason stands.
    pub(super) fn tell(&self, reason: Reason) {
        if self.replace(NOTHING, reason.0) {
            self.waker.wake();
        }
    }

    /// This reason stands, whatever was said before.
    pub(super) fn overrule(&self, reason: Reason) {
        self.reason.store(reason.0, Ordering::Release);
        self.waker.wake();
    }

    /// It may be told again, if `reason` is what it was told.
    pub(super) fn forget(&self, reason: Reason) {
        self.replace(reason.0, NOTHING);
    }

    /// What it was told.
    pub(super) fn reason(&self) -> Option<Reason> {
        let reason = self.reason.load(Ordering::Acquire);
        (reason != NOTHING).then_some(Reason(reason))
    }

    /// For the task: ready when it is told.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.reason() {
            return Poll::Ready(reason);
        }
        self.waker.register(context.waker());
        self.reason().map_or(Poll::Pending, Poll::Ready)
    }

    /// As [`poll`](Self::poll).
    pub(super) async fn wait(&self) -> Reason {
        poll_fn(|context| self.poll(context)).await
    }

    fn replace(&self, known: u8, new: u8) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let replaced = self.reason.compare_exchange(known, new, done, failed);
        replaced.is_ok()
    }
}
