//! Keeps a session while its device is away: everything that comes goes to the
//! disk, and its publishers are told only then.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Session;
use crate::broker::connection::Shelf;
use crate::broker::inflight::Stage;
use crate::broker::sessions::Owner;
use crate::broker::store::{Ended, StoreError};
use crate::broker::will::Will;
use crate::mqtt::Reason;

/// Messages written at once.
const TOGETHER_MAX: usize = 256;
/// How long to wait before the disk is asked again that did not take something.
const RETRY_MS: u64 = 1_000;
/// Further away than any session is kept.
const FAR_S: u64 = 30 * 365 * 24 * 60 * 60;

/// What a connection left that is not done yet.
#[derive(Default)]
pub(in crate::broker) struct Left {
    pub(in crate::broker) will: Option<Will>,
    /// What was on its way to and from the disk.
    pub(in crate::broker) shelf: Option<Box<Shelf>>,
}

/// What became of a session that was kept.
pub(in crate::broker) enum Kept {
    /// Somebody else has it now, or the host stops.
    Passed,
    /// It is over, and to be removed.
    Over(Box<Session>, Owner),
    /// What its device may do has changed, and what is not done yet is left.
    Told(Box<Session>, Owner, Box<Left>),
}

/// Keeps a session until it is over, or something else happens to it.
pub(in crate::broker) async fn keep(
    mut session: Box<Session>,
    owner: Owner,
    left: Left,
    stop: CancellationToken,
) -> Kept {
    if let Some(shelf) = left.shelf {
        shelf.clear(&mut session).await;
    }
    let mut will = left.will;
    let delayed = |will: &mut Will| session.outlasts() && will.delay > Duration::ZERO;
    if let Some(due) = will.take_if(|will| !delayed(will)) {
        due.publish(&session.party).await;
    }
    let mut will = will.map(|will| (Instant::now() + will.delay, will));
    if let Some(told) = owner.line().told.reason() {
        return heard(told, session, owner, will);
    }
    let ends = session.begin_absence().await;
    let mut retry = None;
    loop {
        let (wait, due) = match (&will, retry) {
            (Some((at, _)), _) if *at <= ends => (*at, true),
            _ => (ends, false),
        };
        let reads = retry.is_none();
        tokio::select! {
            biased;
            told = owner.line().told.wait() => {
                return heard(told, session, owner, will);
            }
            () = stop.cancelled() => {
                session.put_away().await;
                owner.release(None);
                return Kept::Passed;
            }
            () = sleep_until(wait) => {
                if let Some((_, will)) = will.take() {
                    will.publish(&session.party).await;
                }
                if !due {
                    debug!(device = %session.device.name, "session over");
                    return Kept::Over(session, owner);
                }
            }
            () = ready(&mut session), if reads => {
                retry = session.put_away().await.then(retry_at);
            }
            () = sleep_until(retry.unwrap_or(ends)), if !reads => {
                retry = session.put_away().await.then(retry_at);
            }
        }
    }
}

fn retry_at() -> Instant {
    Instant::now() + Duration::from_millis(RETRY_MS)
}

/// A connection came for it, or its device may do something else.
fn heard(
    told: Reason,
    mut session: Box<Session>,
    owner: Owner,
    will: Option<(Instant, Will)>,
) -> Kept {
    let will = will.map(|(at, mut will)| {
        will.delay = at.saturating_duration_since(Instant::now());
        will
    });
    if told != Reason::SESSION_TAKEN_OVER {
        return Kept::Told(session, owner, Box::new(Left { will, shelf: None }));
    }
    session.will = will.map(Box::new);
    debug!(device = %session.device.name, "session handed over");
    owner.release(Some(session));
    Kept::Passed
}

/// There is something to write.
async fn ready(session: &mut Session) {
    poll_fn(|context| {
        let settled = session.poll_settled(context);
        match &session.inbox {
            Some(inbox) if settled.is_pending() => inbox.poll_ready(context),
            _ => settled,
        }
    })
    .await;
}

impl Session {
    /// Puts everything away; when the session is over.
    async fn begin_absence(&mut self) -> Instant {
        self.suspend().await;
        self.shrink();
        let known = self.lasting.as_ref().and_then(|lasting| lasting.ended);
        let known = known.filter(|ended| ended.is_known());
        let ended = known.unwrap_or_else(Ended::now);
        if known.is_none()
            && let Err(error) = self.write(Some(ended)).await
        {
            warn!(device = %self.device.name, error = error.code(), "session not written");
        }
        let Some(lasting) = &mut self.lasting else {
            return Instant::now();
        };
        lasting.ended = Some(ended);
        let left = match lasting.expiry_s {
            u32::MAX => FAR_S,
            expiry_s => u64::from(expiry_s).saturating_sub(ended.elapsed_s()),
        };
        Instant::now() + Duration::from_secs(left.min(FAR_S))
    }

    /// Writes everything that is only in memory, and lets what was under way wait
    /// again: it will be sent first, as it was.
    pub(in crate::broker) async fn suspend(&mut self) {
        self.store_all().await;
        for sent in self.inflight.iter_mut() {
            if sent.stage == Stage::Answered {
                // That PUBREC came is not on the disk, and so PUBREL did not go out: a
                // PUBREL from memory alone would be forgotten by a crash, and the
                // message come again as a new one.
                sent.stage = match sent.stored {
                    Some(_) => Stage::Sent,
                    None => Stage::Released,
                };
            }
        }
        let unanswered = self.inflight.take_unanswered();
        let (mut older, mut unstored) = (Vec::new(), Vec::new());
        for sent in unanswered {
            match (sent.stored_form(), sent.message) {
                (Some(stored), _) => older.push(stored),
                (None, message) => unstored.extend(message),
            }
        }
        if let Some(lasting) = &mut self.lasting {
            lasting.backlog.put_back(older);
        }
        // The disk did not take them: they are new again.
        for message in unstored.into_iter().rev() {
            self.taken.push_front(message);
        }
    }

    /// Writes what has come, and what the device's own messages have come to. True:
    /// the disk did not take it.
    async fn put_away(&mut self) -> bool {
        let kept = self.store_all().await;
        self.write_settled().await || kept
    }

    /// Writes everything that waits only in memory. True: the disk did not take it,
    /// and it is still there.
    async fn store_all(&mut self) -> bool {
        loop {
            let mut messages: Vec<_> = self.taken.drain().collect();
            if let Some(inbox) = &self.inbox {
                inbox.try_receive(TOGETHER_MAX, &mut messages);
            }
            let more = !messages.is_empty();
            let mut spill = self.spill(messages);
            if !spill.is_empty() {
                let Some(store) = self.lasting.as_ref().map(|lasting| lasting.store.clone()) else {
                    return false;
                };
                match store.append(spill.entries()).await {
                    Ok(numbers) => self.spilled(spill, numbers),
                    Err(error) => {
                        warn!(device = %self.device.name, error = error.code(), "messages not kept");
                        if !self.not_spilled(spill, &error) {
                            return true;
                        }
                    }
                }
            }
            if !more {
                return false;
            }
        }
    }

    /// Writes what the session is. Nothing, if it does not last or was never
    /// written and has nothing worth it.
    pub(in crate::broker) async fn write(
        &mut self,
        ended: Option<Ended>,
    ) -> Result<(), StoreError> {
        self.note_settled();
        let Some(record) = self.record(ended) else {
            return Ok(());
        };
        let Some(lasting) = &mut self.lasting else {
            return Ok(());
        };
        lasting.ended = ended;
        let value = record.encode();
        lasting.store.set(vec![(record.key(), Some(value))]).await?;
        lasting.recorded = true;
        self.settled_written();
        Ok(())
    }
}
