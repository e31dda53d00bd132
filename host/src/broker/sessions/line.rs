//! Between the owner of a session and who wants it next.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::Key;
use crate::broker::session::Session;
use crate::broker::told::Told;
use crate::mqtt::Reason;

/// Where one owner is told to let go, and leaves what it owned.
#[derive(Debug)]
pub(in crate::broker) struct Line {
    /// Of the session.
    pub(super) key: Key,
    /// What the owner is told.
    pub(in crate::broker) told: Told,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None: the owner is neither a connection yet, nor keeps the session.
    connected: Option<bool>,
    /// What is left, or who waits for it.
    left: Option<Box<Bequest>>,
    gone: bool,
}

#[derive(Debug)]
enum Bequest {
    Left(Left),
    Heir(Waker),
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
            told: Told::default(),
            state: Mutex::default(),
        })
    }

    /// Tells the owner to let go, with the reason to give its device. The first
    /// word counts, unless somebody else came for the session: that stands.
    pub(in crate::broker) fn tell(&self, reason: Reason) {
        if reason == Reason::SESSION_TAKEN_OVER {
            self.told.overrule(reason);
        } else {
            self.told.tell(reason);
        }
    }

    /// Whether the owner is a connection.
    #[cfg(test)]
    pub(in crate::broker) fn is_connected(&self) -> bool {
        self.state.lock().connected == Some(true)
    }

    /// Whether the owner keeps the session while its device is away.
    pub(super) fn is_kept(&self) -> bool {
        self.state.lock().connected == Some(false)
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
            .told
            .reason()
            .filter(|told| *told != Reason::SESSION_TAKEN_OVER)?;
        if !connected {
            self.told.forget(told);
        }
        Some(told)
    }

    /// Whoever comes next finds this; only the first word counts.
    pub(super) fn leave(&self, left: Left) {
        let mut state = self.state.lock();
        if !state.gone {
            state.gone = true;
            let heir = state.left.replace(Box::new(Bequest::Left(left)));
            drop(state);
            if let Some(Bequest::Heir(heir)) = heir.map(|heir| *heir) {
                heir.wake();
            }
        }
    }

    /// For the one who came next and waits no more: what the owner has left.
    pub(super) fn take_left(&self) -> Option<Left> {
        match *self.state.lock().left.take()? {
            Bequest::Left(left) => Some(left),
            Bequest::Heir(_) => None,
        }
    }

    /// For the one who comes next: ready when the owner has left.
    pub(super) fn poll_left(&self, context: &mut Context<'_>) -> Poll<Left> {
        let mut state = self.state.lock();
        match state.left.take().map(|left| *left) {
            Some(Bequest::Left(left)) => Poll::Ready(left),
            _ => {
                let heir = Bequest::Heir(context.waker().clone());
                // Once it was taken there is nothing to wait for.
                state.left = (!state.gone).then(|| Box::new(heir));
                Poll::Pending
            }
        }
    }
}
