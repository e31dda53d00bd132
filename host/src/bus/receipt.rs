//! Tells a publisher when everyone who owes it has done with its message.
//!
//! A receipt is held by whoever holds the message, and only by those who answer
//! for it: see [`super::InboxLimits::answers`]. When the last one lets go it is
//! settled, whatever became of the message there: handled, on the disk, or dropped
//! by a policy that its owner chose.
//!
//! A bus that is closing settles nothing: who lets go then may merely be ending.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Held by all who owe a message to its publisher; each clone is one of them.
pub struct Receipt(Arc<Debt>);

/// Done when the last clone of the receipt is dropped. Dropped itself, it ends
/// nobody's debt.
#[must_use = "nobody else hears of it"]
pub struct Settled(Arc<Debt>);

struct Debt {
    holders: AtomicUsize,
    settled: AtomicBool,
    refused: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// Of the bus that took it: whether it is closing.
    closing: OnceLock<Arc<AtomicBool>>,
}

impl Receipt {
    /// A receipt, and how to hear of it.
    pub fn new() -> (Self, Settled) {
        let debt = Arc::new(Debt {
            holders: AtomicUsize::new(1),
            settled: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            waker: Mutex::default(),
            closing: OnceLock::new(),
        });
        (Self(Arc::clone(&debt)), Settled(debt))
    }

    /// From now on it is of no use once `closing`. The first word counts.
    pub(super) fn taken_by(&self, closing: &Arc<AtomicBool>) {
        self.0.closing.get_or_init(|| Arc::clone(closing));
    }
}

impl Receipt {
    /// Whoever holds it cannot answer for the message: its publisher is told so at
    /// once, and need not wait for the others.
    pub fn refuse(&self) {
        self.0.refused.store(true, Ordering::Release);
        self.0.settle();
    }
}

impl Debt {
    fn settle(&self) {
        let closing = self.closing.get();
        if closing.is_some_and(|closing| closing.load(Ordering::Acquire)) {
            return;
        }
        self.settled.store(true, Ordering::Release);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        // As with `Arc`: who clones holds one, so it cannot be settled meanwhile.
        self.0.holders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let debt = &self.0;
        if debt.holders.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        debt.settle();
    }
}

impl Settled {
    /// Whether nobody owes anything any more.
    pub fn is_settled(&self) -> bool {
        self.0.settled.load(Ordering::Acquire)
    }

    /// Whether somebody who owed the message could not answer for it.
    pub fn is_refused(&self) -> bool {
        self.0.refused.load(Ordering::Acquire)
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_settled() {
            return Poll::Ready(());
        }
        let mut waker = self.0.waker.lock();
        match &mut *waker {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        drop(waker);
        // Looked at again: it may have been settled before there was a waker.
        if self.is_settled() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        self.0.waker.lock().take();
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders = self.0.holders.load(Ordering::Relaxed);
        f.debug_struct("Receipt")
            .field("holders", &holders)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settled").field(&self.is_settled()).finish()
    }
}
