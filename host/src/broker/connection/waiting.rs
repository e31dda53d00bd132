//! What a connection waits for, all at once, and how long.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFuture;

use super::{Connection, Ended};
use crate::mqtt::Reason;

/// Further away than any deadline.
const FAR_S: u64 = 30 * 365 * 24 * 60 * 60;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Waits until there may be something to do.
    pub(super) async fn wait(
        &mut self,
        mut stop: Pin<&mut WaitForCancellationFuture<'_>>,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<(), Ended> {
        let reads = self.may_read() && !self.unfinished;
        let delivers = self.may_deliver();
        if !delivers || self.session.inbox.is_none() {
            self.session.shrink();
        }
        let unfinished = self.unfinished;
        let Self {
            wire,
            session,
            owner,
            owed,
            shelf,
            heard,
            peer,
            ..
        } = self;
        let inbox = session.inbox.as_ref().filter(|_| delivers);
        let mut arrival = pin!(async move {
            match inbox {
                Some(inbox) => inbox.ready().await,
                None => pending().await,
            }
        });
        poll_fn(|context| {
            if let Poll::Ready(reason) = owner.line().poll_told(context) {
                return Poll::Ready(Err(Ended::Told(reason)));
            }
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Ended::Told(peer.ticket.end().reason())));
            }
            let mut woken = unfinished;
            match wire.poll(context, reads) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Lost)),
                Poll::Ready(Ok(moved)) => {
                    if moved == super::wire::Moved::Read {
                        *heard = Instant::now();
                    }
                    woken = true;
                }
                Poll::Pending => {}
            }
            woken |= owed.poll(context);
            woken |= shelf.poll(context);
            woken |= arrival.as_mut().poll(context).is_ready();
            woken |= timer.as_mut().poll(context).is_ready();
            if woken {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// When something is due, if nothing happens before.
    pub(super) fn deadline(&self) -> Instant {
        let limits = &self.shared.config.limits;
        let stall = Duration::from_millis(limits.write_stall_ms_max.get().into());
        let silent = self.silence_ms_max.map(Duration::from_millis);
        let ends = [
            // What is not read cannot be heard.
            silent
                .filter(|_| self.may_read())
                .map(|silent| self.heard + silent),
            self.wire.stalled_since().map(|since| since + stall),
            self.read_from,
            self.spill_at(),
            self.overdue_at(),
        ];
        let far = || self.heard + Duration::from_secs(FAR_S);
        ends.into_iter().flatten().min().unwrap_or_else(far)
    }

    /// Ends what is overdue.
    pub(super) fn check_time(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        if self.read_from.is_some_and(|from| from <= now) {
            self.read_from = None;
            // It was us who did not listen.
            self.heard = now;
        }
        let limits = &self.shared.config.limits;
        let stall = Duration::from_millis(limits.write_stall_ms_max.get().into());
        if let Some(since) = self.wire.stalled_since()
            && since + stall <= now
        {
            return Err(Ended::fault(Reason::UNSPECIFIED, "write-stalled"));
        }
        if let Some(silence) = self.silence_ms_max
            && self.may_read()
            && self.heard + Duration::from_millis(silence) <= now
        {
            return Err(Ended::fault(Reason::KEEP_ALIVE_TIMEOUT, "keep-alive"));
        }
        self.give_up_overdue(now)
    }
}
