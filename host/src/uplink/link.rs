//! The connection to the target: made, kept, and made again.
//!
//! Whatever ends it, the next attempt waits a random part of a delay that doubles
//! and begins anew only after a stable connection, or when the target took something
//! after what it hung up on was given up. Another client with our identity is an
//! alarm, and is not fought: the next attempt waits for the longest delay.

mod error;
mod flight;
mod incoming;
mod pace;
mod session;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub(super) use self::error::LinkError;
use self::flight::Flight;
use self::incoming::Hand;
use self::pace::{Backoff, Bucket};
use self::session::{Opened, Session};
use super::config::TargetLimits;
use super::dial::{Files, dial};
use super::error::UplinkError;
use super::status::LinkState;
use super::{Ask, Shared};
use crate::error_chain::ErrorChain;
use crate::supervisor::{UnitContext, UnitResult};

/// How long a connection that is ended by us may take to say so.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Bytes of what is told of a failure.
const TOLD_BYTES_MAX: usize = 500;

/// How fast the target takes messages, over all connections.
#[derive(Debug)]
struct Pace {
    messages: Bucket,
    bytes: Bucket,
}

impl Pace {
    fn new(limits: &TargetLimits) -> Self {
        let now = Instant::now();
        Self {
            messages: Bucket::new(limits.messages_per_s, now),
            bytes: Bucket::new(limits.bytes_per_s, now),
        }
    }

    /// When the next may go; None for now.
    fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        let ready = [self.messages.ready_at(now), self.bytes.ready_at(now)];
        ready.into_iter().flatten().max()
    }

    fn took(&mut self, bytes: usize) {
        self.messages.take(1);
        self.bytes.take(bytes);
    }
}

/// What lasts from one connection to the next.
struct Link {
    files: Files,
    flight: Flight,
    pace: Pace,
    backoff: Backoff,
    /// When the last attempt began.
    tried_at: Option<Instant>,
}

/// Keeps the connection until told to stop.
pub(super) async fn run(shared: Arc<Shared>, context: UnitContext) -> UnitResult {
    let mut asked = shared.asked.lock().await;
    let times = &shared.config.times;
    let millis = |ms: NonZeroU32| Duration::from_millis(ms.get().into());
    let mut link = Link {
        files: Files::default(),
        flight: Flight::new(),
        pace: Pace::new(&shared.limits),
        backoff: Backoff::new(
            millis(times.reconnect_ms_min),
            millis(times.reconnect_ms_max),
        ),
        tried_at: None,
    };
    shared.counters.enter(LinkState::Connecting);
    context.ready();
    let mut delay = Duration::ZERO;
    while link.wait(&shared, delay, &context.stop, &mut asked).await {
        link.tried_at = Some(Instant::now());
        let error = link.connect(&shared, &mut asked, &context.stop).await;
        if context.stop.is_cancelled() {
            break;
        }
        delay = link.failed(&shared, &error);
    }
    disconnected(&shared);
    shared.counters.enter(LinkState::Stopped);
    Ok(())
}

/// What is told of a failure; much of it may be what the other side said, such as
/// all names in its certificate.
fn told(failure: &LinkError) -> String {
    let mut text = ErrorChain(failure).to_string();
    text.truncate(text.floor_char_boundary(TOLD_BYTES_MAX));
    text
}

fn disconnected(shared: &Shared) {
    shared.connected.send_if_modified(std::mem::take);
}

/// Nobody waits for an answer over a connection that is not.
fn refuse(asked: &mut mpsc::Receiver<Ask>) {
    while let Ok(ask) = asked.try_recv() {
        drop(ask.answer.send(Err(UplinkError::NotConnected)));
    }
}

impl Link {
    /// Waits before the next attempt; false if told to stop.
    async fn wait(
        &self,
        shared: &Shared,
        delay: Duration,
        stop: &CancellationToken,
        asked: &mut mpsc::Receiver<Ask>,
    ) -> bool {
        refuse(asked);
        let between = Duration::from_millis(shared.limits.connect_every_ms);
        let since = self.tried_at.map_or(between, |at| at.elapsed());
        let delay = delay.max(between.saturating_sub(since));
        tokio::select! {
            () = stop.cancelled() => false,
            () = sleep(delay) => true,
        }
    }

    /// Connects and works until that ends.
    async fn connect(
        &mut self,
        shared: &Arc<Shared>,
        asked: &mut mpsc::Receiver<Ask>,
        stop: &CancellationToken,
    ) -> LinkError {
        let (hand, incoming) = Hand::new();
        let Self {
            files,
            flight,
            pace,
            ..
        } = self;
        let most = shared.config.times.connect_ms_max.get();
        let opening = async {
            let stream = dial(shared, files).await?;
            let opened = Opened {
                shared,
                flight,
                pace,
                hand,
            };
            Session::open(stream, opened).await
        };
        let opening = timeout(Duration::from_millis(most.into()), opening);
        let opened = tokio::select! {
            () = stop.cancelled() => return LinkError::Stopped,
            opened = opening => opened,
        };
        let mut session = match opened {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return error,
            Err(_) => return LinkError::ConnectTimeout,
        };
        info!(uplink = %shared.name, "uplink connected");
        let connected_at = Instant::now();
        let error = tokio::select! {
            () = stop.cancelled() => LinkError::Stopped,
            ended = session.run(asked) => ended.err().unwrap_or(LinkError::Closed),
            () = incoming.deliver(shared) => LinkError::Stopped,
        };
        disconnected(shared);
        let ending = error.ending(session.is_asking());
        drop(timeout(CLOSE_MAX, session.close()).await);
        session.end().await;
        let stable = shared.config.times.stable_ms.get();
        if connected_at.elapsed() >= Duration::from_millis(stable.into()) {
            self.backoff.reset();
        }
        if self.flight.is_mended() {
            // What the target hung up on is gone, and it took what came next.
            self.backoff.reset();
        }
        for (entry, poison) in self.flight.ended(ending, Instant::now()) {
            warn!(uplink = %shared.name, code = poison.code(), "message given up");
            shared.bury(&entry.topic, &entry.payload, entry.hops, poison);
        }
        error
    }

    /// Tells what went wrong; how long to wait.
    fn failed(&mut self, shared: &Shared, failure: &LinkError) -> Duration {
        let text = told(failure);
        let (uplink, code) = (&shared.name, failure.code());
        shared.counters.failed(code, text.clone());
        if failure.is_taken_over() {
            error!(%uplink, error = text, code, "another client uses this gateway's identity");
            shared.counters.enter(LinkState::TakenOver);
            let most = shared.config.times.reconnect_ms_max.get();
            return Duration::from_millis(most.into());
        }
        shared.counters.enter(LinkState::Connecting);
        let delay = self.backoff.next();
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        warn!(%uplink, error = text, code, delay_ms, "uplink not connected");
        delay
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{LinkError, TOLD_BYTES_MAX, told};

    #[test]
    fn little_is_told_of_what_the_target_says_at_length() {
        let names = io::Error::other("ü.example, ".repeat(5_000));
        let text = told(&LinkError::Tls(names));
        assert!(text.starts_with("cannot speak TLS with the target: ü.example"));
        assert!(text.len() <= TOLD_BYTES_MAX);
    }
}
