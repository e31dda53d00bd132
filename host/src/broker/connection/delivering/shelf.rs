//! What a connection has on its way to and from the disk, one thing at a time.

mod beginning;

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::warn;

use super::{Connection, Ended};
use crate::broker::connection::publishing::ack;
use crate::broker::inflight::Number;
use crate::broker::session::{Held, Session, Spill, Stored};
use crate::broker::store::{Entry, Kind, StoreError};
use crate::bus::Message;
use crate::mqtt::{Packet, PacketId, Reason};

/// How long to wait before the disk is asked again that did not take something.
const RETRY_MS: u64 = 1_000;
/// Acknowledgements of subscriptions that wait for the disk; then nothing is read.
const ACKS_MAX: usize = 16;

type Doing<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// PUBREC came of these; where the message is in the store.
type Notes = Vec<(PacketId, Option<Number>)>;

/// What is on its way, and what has come from the disk.
#[derive(Default)]
pub(in crate::broker) struct Shelf {
    busy: Option<Busy>,
    done: Option<Done>,
    notes: Notes,
    acks: VecDeque<(Packet, Doing<()>)>,
    acked: Option<Result<(), StoreError>>,
    loaded: VecDeque<(Stored, Arc<Message>)>,
    held: Held,
    /// Something in memory has to be on the disk before it is sent.
    wanted: bool,
    /// The last thing done was reading: writing comes first now.
    has_loaded: bool,
    retry_at: Option<Instant>,
    /// Until then notes wait, and all else goes on: there was no room for them.
    note_at: Option<Instant>,
}

enum Busy {
    Spilling(Spill, Doing<Range<Number>>),
    Loading(Vec<Stored>, Doing<Vec<(Number, Entry)>>),
    Noting(Notes, Doing<Range<Number>>),
}

enum Done {
    Spilled(Spill, Result<Range<Number>, StoreError>),
    Loaded(Vec<Stored>, Result<Vec<(Number, Entry)>, StoreError>),
    Noted(Notes, Result<Range<Number>, StoreError>),
}

impl Busy {
    fn poll(self, context: &mut Context<'_>) -> Result<Done, Self> {
        match self {
            Self::Spilling(spill, mut doing) => match doing.as_mut().poll(context) {
                Poll::Ready(done) => Ok(Done::Spilled(spill, done)),
                Poll::Pending => Err(Self::Spilling(spill, doing)),
            },
            Self::Loading(stored, mut doing) => match doing.as_mut().poll(context) {
                Poll::Ready(done) => Ok(Done::Loaded(stored, done)),
                Poll::Pending => Err(Self::Loading(stored, doing)),
            },
            Self::Noting(notes, mut doing) => match doing.as_mut().poll(context) {
                Poll::Ready(done) => Ok(Done::Noted(notes, done)),
                Poll::Pending => Err(Self::Noting(notes, doing)),
            },
        }
    }
}

impl Shelf {
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some() || self.done.is_some() || self.wanted
    }

    /// Whether something may be put on the disk now.
    pub(super) fn is_free(&self, now: Instant) -> bool {
        self.busy.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// When notes that found no room are to be tried again.
    pub(super) fn note_at(&self) -> Option<Instant> {
        self.note_at
    }

    /// Messages that have come from the disk and are not sent yet, or are coming.
    pub(super) fn loaded(&self) -> usize {
        let coming = match &self.busy {
            Some(Busy::Loading(stored, _)) => stored.len(),
            _ => 0,
        };
        let come = match &self.done {
            Some(Done::Loaded(stored, _)) => stored.len(),
            _ => 0,
        };
        self.loaded.len() + coming + come
    }

    pub(super) fn next_loaded(&mut self) -> Option<(Stored, Arc<Message>)> {
        self.loaded.pop_front()
    }

    pub(super) fn next_held(&mut self) -> Option<Arc<Message>> {
        self.held.pop()
    }

    /// What is in memory has to be on the disk first.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// PUBREC of a message came: to be noted before it is released.
    pub(in crate::broker::connection) fn note(&mut self, id: PacketId, stored: Option<Number>) {
        self.notes.push((id, stored));
    }

    /// Sends `packet` when `written` is done.
    pub(in crate::broker::connection) fn acknowledge(
        &mut self,
        packet: Packet,
        written: Doing<()>,
    ) {
        self.acks.push_back((packet, written));
    }

    /// Whether so much waits for the disk that nothing more is to be read.
    pub(in crate::broker::connection) fn is_clogged(&self) -> bool {
        self.acks.len() >= ACKS_MAX
    }

    /// True: something moved.
    pub(in crate::broker::connection) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some(busy) = self.busy.take() {
            match busy.poll(context) {
                Ok(done) => {
                    self.done = Some(done);
                    moved = true;
                }
                Err(busy) => self.busy = Some(busy),
            }
        }
        if self.acked.is_none()
            && let Some((_, written)) = self.acks.front_mut()
            && let Poll::Ready(written) = written.as_mut().poll(context)
        {
            self.acked = Some(written);
            moved = true;
        }
        moved
    }

    /// Lets go of the session: what was on its way is done, and what came from the
    /// disk waits there again.
    pub(in crate::broker) async fn clear(mut self, session: &mut Session) {
        let done = match (self.done.take(), self.busy.take()) {
            (Some(done), _) => Some(done),
            (None, Some(Busy::Spilling(spill, doing))) => Some(Done::Spilled(spill, doing.await)),
            (None, Some(Busy::Loading(stored, _))) => {
                Some(Done::Loaded(stored, Err(StoreError::Aborted)))
            }
            (None, Some(Busy::Noting(notes, doing))) => Some(Done::Noted(notes, doing.await)),
            (None, None) => None,
        };
        match done {
            Some(Done::Spilled(spill, Ok(numbers))) => session.spilled(spill, numbers),
            Some(Done::Spilled(spill, Err(error))) => {
                session.not_spilled(spill, &error);
            }
            Some(Done::Noted(notes, Ok(numbers))) => noted(session, &notes, numbers),
            // Sent again when the device is back.
            Some(Done::Noted(_, Err(_))) | None => {}
            Some(Done::Loaded(stored, _)) => {
                if let Some(lasting) = &mut session.lasting {
                    lasting.backlog.put_back(stored);
                }
            }
        }
        let unsent = self.loaded.into_iter().map(|(stored, _)| stored).collect();
        if let Some(lasting) = &mut session.lasting {
            lasting.backlog.put_back(unsent);
        }
    }
}

/// The store knows now that these have only to be released.
fn noted(session: &mut Session, notes: &Notes, numbers: Range<Number>) {
    for ((id, before), number) in notes.iter().zip(numbers) {
        let Some(lasting) = &session.lasting else {
            return;
        };
        lasting.store.remove(*before);
        if !session.inflight.noted(*id, Some(number)) {
            lasting.store.remove([number]);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Goes on with what has come from the disk.
    pub(super) fn unshelve(&mut self) -> Result<(), Ended> {
        let Some(shelf) = &mut self.shelf else {
            return Ok(());
        };
        if let Some(acked) = shelf.acked.take()
            && let Some((packet, _)) = shelf.acks.pop_front()
        {
            if let Err(error) = acked {
                let code = error.code();
                let full = error.is_full();
                let reason = if full {
                    Reason::QUOTA_EXCEEDED
                } else {
                    Reason::IMPLEMENTATION_SPECIFIC
                };
                return Err(Ended::fault(reason, code));
            }
            self.send(&packet)?;
        }
        match self.shelf.as_mut().and_then(|shelf| shelf.done.take()) {
            None => Ok(()),
            Some(Done::Spilled(spill, Ok(numbers))) => {
                self.session.spilled(spill, numbers);
                Ok(())
            }
            Some(Done::Spilled(spill, Err(error))) => {
                self.warn(&error, "messages not kept");
                if !self.session.not_spilled(spill, &error) {
                    self.retry_later();
                }
                Ok(())
            }
            Some(Done::Loaded(stored, Ok(entries))) => {
                self.loaded(stored, entries);
                Ok(())
            }
            Some(Done::Loaded(stored, Err(error))) => {
                self.warn(&error, "messages not read");
                if let Some(lasting) = &mut self.session.lasting {
                    lasting.backlog.put_back(stored);
                }
                self.retry_later();
                Ok(())
            }
            Some(Done::Noted(notes, Ok(numbers))) => {
                noted(&mut self.session, &notes, numbers);
                for (id, _) in notes {
                    self.send(&Packet::PubRel(ack(id, Reason::SUCCESS)))?;
                }
                Ok(())
            }
            Some(Done::Noted(notes, Err(error))) => {
                self.warn(&error, "answers not kept");
                if let Some(shelf) = &mut self.shelf {
                    shelf.notes.splice(0..0, notes);
                }
                if error.is_full() {
                    self.note_later();
                } else {
                    self.retry_later();
                }
                Ok(())
            }
        }
    }

    fn warn(&self, error: &StoreError, what: &'static str) {
        let device = &self.session.device.name;
        warn!(%device, error = error.code(), what, "disk did not take what a session needs");
    }

    fn retry_later(&mut self) {
        if let Some(shelf) = &mut self.shelf {
            shelf.retry_at = Some(Instant::now() + Duration::from_millis(RETRY_MS));
        }
    }

    /// Others fill the store: whoever publishes must not wait until they make room.
    fn note_later(&mut self) {
        if let Some(shelf) = &mut self.shelf {
            shelf.note_at = Some(Instant::now() + Duration::from_millis(RETRY_MS));
        }
    }

    /// Puts what was read beside what it was asked for; what is damaged is gone.
    fn loaded(&mut self, stored: Vec<Stored>, entries: Vec<(Number, Entry)>) {
        let mut entries = entries.into_iter().peekable();
        for stored in stored {
            let entry = entries.next_if(|(number, _)| *number == stored.number);
            match entry.map(|(_, entry)| entry.kind) {
                Some(Kind::Message {
                    message: Some(message),
                    ..
                }) => {
                    if let Some(shelf) = &mut self.shelf {
                        shelf.loaded.push_back((stored, message));
                    }
                }
                _ => self.remove_stored(&stored),
            }
        }
        self.send_loaded();
    }
}
