//! What a connection waits for, all at once, and how long.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::{Connection, Ended};
use crate::mqtt::Reason;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// What is waited for, now that nothing can be done.
    pub(super) fn begin_to_wait(&mut self) {
        self.waits = true;
        self.reads = self.may_read() && !self.unfinished;
        self.delivers = self.may_deliver();
        if !self.unfinished {
            self.session.shrink();
        }
        self.set_timer();
    }

    fn set_timer(&mut self) {
        match (self.deadline(), &mut self.timer) {
            (Some(due), None) => self.timer = Some(Box::pin(sleep_until(due))),
            // Later than it is set is soon enough.
            (Some(due), Some(timer)) if due < timer.deadline() || timer.is_elapsed() => {
                timer.as_mut().reset(due);
            }
            (None, Some(timer)) if timer.is_elapsed() => self.timer = None,
            _ => {}
        }
    }

    /// Ready when there may be something to do.
    pub(super) fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if let Poll::Ready(reason) = self.owner.line().told.poll(context) {
            return Poll::Ready(Err(Ended::Told(reason)));
        }
        if let Poll::Ready(reason) = self.ticket.end().poll(context) {
            return Poll::Ready(Err(Ended::Told(reason)));
        }
        let mut woken = self.unfinished;
        let stalled = self.wire.stalled_since();
        match self.wire.poll(context, self.reads) {
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Lost)),
            Poll::Ready(Ok(moved)) => {
                if moved == super::wire::Moved::Read {
                    self.heard = Instant::now();
                }
                woken = true;
            }
            // Nothing else may ever wake it.
            Poll::Pending if stalled.is_none() && self.wire.stalled_since().is_some() => {
                self.set_timer();
            }
            Poll::Pending => {}
        }
        woken |= self.owed.poll(context);
        if let Some(shelf) = &mut self.shelf {
            woken |= shelf.poll(context);
        }
        if let Some(inbox) = self.session.inbox.as_ref().filter(|_| self.delivers) {
            woken |= inbox.poll_ready(context).is_ready();
        }
        if let Some(timer) = &mut self.timer {
            woken |= timer.as_mut().poll(context).is_ready();
        }
        if woken {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// How long the device may be silent, if that has an end.
    fn silence_max(&self) -> Option<Duration> {
        let keep_alive_s = u64::from(self.keep_alive_s);
        (keep_alive_s > 0).then(|| Duration::from_millis(keep_alive_s * 1_500))
    }

    /// When something is due, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let limits = &self.shared.config.limits;
        let stall = Duration::from_millis(limits.write_stall_ms_max.get().into());
        let ends = [
            // What is not read cannot be heard.
            self.silence_max()
                .filter(|_| self.may_read())
                .map(|silent| self.heard + silent),
            self.wire.stalled_since().map(|since| since + stall),
            self.read_from,
            self.spill_at(),
            self.overdue_at(),
        ];
        ends.into_iter().flatten().min()
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
        if let Some(silence) = self.silence_max()
            && self.may_read()
            && self.heard + silence <= now
        {
            return Err(Ended::fault(Reason::KEEP_ALIVE_TIMEOUT, "keep-alive"));
        }
        self.give_up_overdue(now)
    }
}
