//! What is to be done with the disk next: notes first, then reading and writing by
//! turns.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Busy, Connection};
use crate::broker::connection::delivering::{SHELVED_MAX, TAKEN_MAX};
use crate::broker::connection::wire::OUTPUT_BYTES_MAX;
use crate::broker::store::{Entry, Kind};
use crate::bus::Message;
use crate::names::Qos;

/// Bytes that are read at once, unless it is one message: as many as may wait to go
/// out.
const LOADED_BYTES_MAX: u64 = OUTPUT_BYTES_MAX as u64;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins the next thing to do with the disk, if nothing is under way.
    pub(in crate::broker::connection::delivering) fn shelve(&mut self) {
        let Some(shelf) = &mut self.shelf else {
            return;
        };
        let now = Instant::now();
        if shelf.retry_at.is_some_and(|at| at <= now) {
            shelf.retry_at = None;
        }
        if shelf.note_at.is_some_and(|at| at <= now) {
            shelf.note_at = None;
        }
        if shelf.busy.is_some() || shelf.done.is_some() || shelf.retry_at.is_some() {
            return;
        }
        let begun = if !shelf.notes.is_empty() && shelf.note_at.is_none() {
            self.begin_noting()
        } else if std::mem::take(&mut shelf.has_loaded) {
            self.begin_spilling(now).or_else(|| self.begin_loading())
        } else {
            self.begin_loading().or_else(|| self.begin_spilling(now))
        };
        if let Some(shelf) = &mut self.shelf {
            shelf.has_loaded |= matches!(begun, Some(Busy::Loading(..)));
            shelf.busy = begun;
        }
    }

    fn begin_noting(&mut self) -> Option<Busy> {
        let notes = std::mem::take(&mut self.shelf.as_mut()?.notes);
        let lasting = self.session.lasting.as_ref()?;
        let entry = |id| Entry {
            session: lasting.number,
            id,
            kind: Kind::Released,
            bytes: 0,
        };
        let entries = notes.iter().map(|(id, _)| entry(*id).encode()).collect();
        let doing = lasting.store.append(entries);
        Some(Busy::Noting(notes, Box::pin(doing)))
    }

    /// Reads messages, if there are any that may be under way. Also while the device
    /// does not read: so they are there before what is held in memory fills the
    /// stream again.
    fn begin_loading(&mut self) -> Option<Busy> {
        let room = self.room().min(TAKEN_MAX);
        if room == 0 || !self.shelf.as_ref()?.loaded.is_empty() {
            return None;
        }
        let backlog = &mut self.session.lasting.as_mut()?.backlog;
        let stored = backlog.lend(room, LOADED_BYTES_MAX);
        if stored.is_empty() {
            return None;
        }
        let numbers = stored.iter().map(|stored| stored.number).collect();
        let store = self.session.lasting.as_ref()?.store.clone();
        let doing = async move { store.read(numbers).await };
        Some(Busy::Loading(stored, Box::pin(doing)))
    }

    /// Writes messages, if any have to be.
    fn begin_spilling(&mut self, now: Instant) -> Option<Busy> {
        let wanted = std::mem::take(&mut self.shelf.as_mut()?.wanted);
        let late = self.spill_at().is_some_and(|at| at <= now);
        if !wanted && !late && !self.is_shelving() {
            return None;
        }
        self.take_more(SHELVED_MAX);
        let mut shelved = Vec::new();
        let mut ids = Vec::new();
        for message in std::mem::take(&mut self.session.taken).drain() {
            match self.session.serve(&message, &mut ids) {
                // It need not arrive, and does not wait for those that must.
                Some(served) if served.qos == Qos::AtMostOnce => self.send_or_hold(message),
                Some(_) => shelved.push(message),
                None => {}
            }
        }
        let mut spill = self.session.spill(shelved);
        let lasting = self
            .session
            .lasting
            .as_ref()
            .filter(|_| !spill.is_empty())?;
        let doing = lasting.store.append(spill.entries());
        Some(Busy::Spilling(spill, Box::pin(doing)))
    }

    /// Sends what need not arrive, or holds it while the device does not read.
    fn send_or_hold(&mut self, message: Arc<Message>) {
        match &mut self.shelf {
            Some(shelf) if self.wire.is_full() || !shelf.held.is_empty() => {
                self.session.hold(&mut shelf.held, message);
            }
            _ => {
                self.send_one(message);
            }
        }
    }
}
