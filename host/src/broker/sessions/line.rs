//! Between the owner of a session and who wants it next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::Key;
use crate::broker::session::Session;
use crate::mqtt::Reason;

/// No reason that anybody is told.
const NOTHING: u8 = 0;

/// Where one owner is told to let go, and leaves what it owned.
#[derive(Debug)]
pub(in crate::broker) struct Line {
    /// Of the session.
    pub(super) key: Key,
    told: AtomicU8,
    owner: AtomicWaker,
    heir: AtomicWaker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None: the owner is neither a connection yet, nor keeps the session.
    connected: Option<bool>,
    left: Option<Left>,
    gone: bool,
}

/// What an owner left.
#[derive(Debug)]
pub(super) enum Left {
    /// The session, if there is one any more.
    Session(Option<Box<Session>>),
    /// It never got it: its own predecessor has it.
    Ask(Arc<Line>),
}

impl Line {
    pub(super) fn new(key: Key) -> Arc<Self> {
        Arc::new(Self {
            key,
            told: AtomicU8::new(NOTHING),
            owner: AtomicWaker::new(),
            heir: AtomicWaker::new(),
            state: Mutex::default(),
        })
    }

    /// Tells the owner to let go, with the reason to give its device. The first
    /// word counts, unless somebody else came for the session: that stands.
    pub(in crate::broker) fn tell(&self, reason: Reason) {
        if reason == Reason::SESSION_TAKEN_OVER {
            self.told.store(reason.0, Ordering::Release);
        } else {
            self.replace(NOTHING, reason.0);
        }
        self.owner.wake();
    }

    fn replace(&self, known: u8, new: u8) {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // If something else is known, that stands.
        self.told.compare_exchange(known, new, done, failed).ok();
    }

    /// What the owner was told.
    pub(in crate::broker) fn told(&self) -> Option<Reason> {
        let told = self.told.load(Ordering::Acquire);
        (told != NOTHING).then_some(Reason(told))
    }

    /// For the owner: ready when it is told.
    pub(in crate::broker) fn poll_told(&self, context: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.told() {
            return Poll::Ready(reason);
        }
        self.owner.register(context.waker());
        self.told().map_or(Poll::Pending, Poll::Ready)
    }

    /// Whether the owner is a connection.
    #[cfg(test)]
    pub(in crate::broker) fn is_connected(&self) -> bool {
        self.state.lock().connected == Some(true)
    }

    /// Whether the owner has the session: as a connection, or to keep it.
    pub(in crate::broker) fn has_session(&self) -> bool {
        self.state.lock().connected.is_some()
    }

    /// False: the owner is no connection any more, and is free again to be told
    /// something. What it was told so far, if nobody came for the session.
    pub(in crate::broker) fn set_connected(&self, connected: bool) -> Option<Reason> {
        self.state.lock().connected = Some(connected);
        let told = self
            .told()
            .filter(|told| *told != Reason::SESSION_TAKEN_OVER)?;
        if !connected {
            self.replace(told.0, NOTHING);
        }
        Some(told)
    }

    /// Whoever comes next finds this; only the first word counts.
    pub(super) fn leave(&self, left: Left) {
        let mut state = self.state.lock();
        if !state.gone {
            state.gone = true;
            state.left = Some(left);
            drop(state);
            self.heir.wake();
        }
    }

    /// For the one who comes next: ready when the owner has left.
    pub(super) fn poll_left(&self, context: &mut Context<'_>) -> Poll<Left> {
        self.heir.register(context.waker());
        let left = self.state.lock().left.take();
        left.map_or(Poll::Pending, Poll::Ready)
    }
}
