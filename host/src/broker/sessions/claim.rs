//! How a connection gets its session: the one that was there, or a new one.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::line::Left;
use super::{Key, Line, Owner, Sessions, lasting_error};
use crate::broker::session::{Lasting, Origins, Session};
use crate::broker::store::StoreError;
use crate::bus::{AttachError, Grant, Party};
use crate::devices::Device;
use crate::mqtt::Reason;

/// Who wants which session.
#[derive(Debug)]
pub(in crate::broker) struct Claim {
    pub(in crate::broker) device: Arc<Device>,
    /// What the device may do in this connection.
    pub(in crate::broker) grant: Grant,
    pub(in crate::broker) client_id: Arc<str>,
    /// Whatever was there is of no interest.
    pub(in crate::broker) clean_start: bool,
    /// Seconds that it is to be kept when the device goes; 0: not at all.
    pub(in crate::broker) expiry_s: u32,
    /// How long to wait for whoever has it.
    pub(in crate::broker) by: Instant,
}

/// A session and the right to it.
#[derive(Debug)]
pub(in crate::broker) struct Claimed {
    pub(in crate::broker) session: Box<Session>,
    pub(in crate::broker) owner: Owner,
    /// Whether it was there before.
    pub(in crate::broker) present: bool,
    /// As whom and for how long it goes on, once its device is let in.
    pub(in crate::broker) party: Party,
    device: Arc<Device>,
    expiry_s: u32,
}

/// Why a connection gets no session.
#[derive(Debug, thiserror::Error)]
pub(in crate::broker) enum ClaimError {
    #[error("the device has its {max} sessions")]
    TooManySessions { max: u32 },
    #[error("there are {max} lasting sessions")]
    TooManyKept { max: u32 },
    #[error("the device cannot come on the bus")]
    Attach(#[from] AttachError),
    #[error("whoever has the session does not let go")]
    Stuck,
    #[error("another connection came for the session")]
    TakenOver,
    #[error("the session cannot be kept")]
    Store(#[from] StoreError),
}

impl ClaimError {
    pub(in crate::broker) fn reason(&self) -> Reason {
        match self {
            Self::TooManySessions { .. } | Self::TooManyKept { .. } => Reason::QUOTA_EXCEEDED,
            Self::Attach(_) => Reason::SERVER_UNAVAILABLE,
            Self::Stuck => Reason::SERVER_BUSY,
            Self::TakenOver => Reason::SESSION_TAKEN_OVER,
            Self::Store(error) => lasting_error(error),
        }
    }

    /// A stable name for logs. Never reworded.
    pub(in crate::broker) fn code(&self) -> &'static str {
        match self {
            Self::TooManySessions { .. } => "sessions-exhausted",
            Self::TooManyKept { .. } => "kept-sessions-exhausted",
            Self::Attach(error) => error.code(),
            Self::Stuck => "session-stuck",
            Self::TakenOver => "session-taken-over",
            Self::Store(error) => error.code(),
        }
    }
}

impl Sessions {
    /// Gets the session for a connection, from whoever has it. Until the connection
    /// is [admitted](Self::admit) the session is as it was.
    pub(in crate::broker) async fn claim(&self, claim: Claim) -> Result<Claimed, ClaimError> {
        let (owner, before) = self.line_up(&claim);
        let known = match before {
            Some(before) => owner.inherit(before, claim.by).await?,
            None => self.left_alone(&claim),
        };
        if let Some(reason) = owner.line.told.reason() {
            owner.release(known);
            debug_assert_ne!(reason, Reason::SUCCESS);
            return Err(ClaimError::TakenOver);
        }
        let known = match known {
            Some(mut known) if claim.clean_start || !known.outlasts() => {
                // Its session ends here.
                if let Some(will) = known.will.take() {
                    will.publish(&known.party).await;
                }
                self.forget(known).await;
                None
            }
            known => known,
        };
        let (session, present) = match known {
            Some(known) => (known, true),
            None => (self.begin(&claim)?, false),
        };
        let party = match present {
            true => self.0.seats.party(&claim.device.name, &claim.grant),
            false => None,
        };
        Ok(Claimed {
            party: party.unwrap_or_else(|| session.party.clone()),
            session,
            owner,
            present,
            device: claim.device,
            expiry_s: claim.expiry_s,
        })
    }

    /// The device is let in and goes on with what was there: nothing more can keep
    /// it out, if this does not.
    pub(in crate::broker) async fn admit(&self, claimed: &mut Claimed) -> Result<(), ClaimError> {
        let session = &mut claimed.session;
        if claimed.present {
            session.suspend().await;
            session.go_on_as(Arc::clone(&claimed.device), claimed.party.clone());
            session.come_back(claimed.expiry_s).await?;
        }
        Ok(())
    }

    /// Gives back what a connection got that comes to nothing: what was there stays
    /// as it was, for a better moment.
    pub(in crate::broker) async fn put_back(&self, claimed: Claimed) {
        let Claimed { session, owner, .. } = claimed;
        if claimed.present {
            self.keep(session, owner, Default::default());
        } else {
            self.forget(session).await;
            owner.release(None);
        }
    }

    /// Takes the place of the owner, which is told.
    pub(super) fn line_up(&self, claim: &Claim) -> (Owner, Option<Arc<Line>>) {
        let key = Key {
            device: claim.device.name.clone(),
            client_id: Arc::clone(&claim.client_id),
        };
        let line = Line::new(key);
        let before = self.0.owners.lock().insert(&line);
        if let Some(before) = &before {
            before.tell(Reason::SESSION_TAKEN_OVER);
        }
        let sessions = Arc::downgrade(&self.0);
        let owner = Owner { sessions, line };
        (owner, before)
    }

    fn begin(&self, claim: &Claim) -> Result<Box<Session>, ClaimError> {
        let (party, seat) = self
            .0
            .seats
            .take(&self.0.bus, &claim.device, &claim.grant)?;
        let of = Origins {
            device: Arc::clone(&claim.device),
            client_id: Arc::clone(&claim.client_id),
            party,
            seat,
            counters: Arc::clone(&self.0.counters),
            overflow: self.overflow(),
        };
        let lasting = match claim.expiry_s {
            0 => None,
            expiry_s => Some(self.last(expiry_s, self.0.store.number())?),
        };
        Ok(Box::new(Session::new(of, lasting)))
    }

    /// What makes a session last.
    pub(super) fn last(&self, expiry_s: u32, number: u64) -> Result<Box<Lasting>, ClaimError> {
        let place = self.0.seats.keep()?;
        Ok(Box::new(Lasting::new(
            number,
            expiry_s,
            self.0.store.clone(),
            place,
        )))
    }
}

impl Owner {
    /// Waits until `before` has let go, and gets what it had.
    async fn inherit(
        &self,
        mut before: Arc<Line>,
        by: Instant,
    ) -> Result<Option<Box<Session>>, ClaimError> {
        loop {
            let left = timeout_at(by, poll_fn(|context| before.poll_left(context))).await;
            let left = left.ok().or_else(|| self.give_up(&before));
            match left.ok_or(ClaimError::Stuck)? {
                Left::Session(session) => return Ok(session),
                Left::Ask(other) => before = other,
            }
        }
    }

    /// `before` is the owner again, unless it has left meanwhile: then what it left.
    /// Somebody else who came waits for it in any case.
    pub(super) fn give_up(&self, before: &Arc<Line>) -> Option<Left> {
        let sessions = self.sessions.upgrade()?;
        let mut owners = sessions.owners.lock();
        let Some(own) = owners.place_of(&self.line) else {
            self.line.leave(Left::Ask(Arc::clone(before)));
            return None;
        };
        let left = before.take_left();
        if left.is_none() {
            *own = Arc::clone(before);
        }
        left
    }
}
