//! One connection, from its first MQTT byte to its end.
//!
//! One task, which never waits for one thing alone: reading, writing, deliveries,
//! what publishers wait for and what is written to the disk go on side by side.
//! Whatever the device sends or withholds can end its own connection and nothing
//! else. Nothing is held for it that is not bounded: it is not read while what it
//! published is not through, and gets nothing while it does not read.
//!
//! What a device may not publish: with QoS 0 it is dropped and counted. With QoS 1
//! or 2 MQTT 5.0 has a reason for it; in 3.1.1 an acknowledgement would be a lie
//! and silence would stop the device for ever, so its connection ends, as AWS IoT
//! Core does it.

mod aliases;
mod buffers;
mod connect;
mod delivering;
mod ending;
mod incoming;
mod publishing;
mod subscribing;
mod waiting;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::pin;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::aliases::{Incoming, Outgoing};
pub(super) use self::delivering::Shelf;
use self::publishing::Owed;
use self::wire::Wire;
use super::quota::Place;
use super::session::Session;
use super::sessions::Owner;
use super::shared::{Peer, Shared};
use super::will::Will;
use crate::mqtt::{DecodeError, Reason, Version};

/// Packets looked at before others have their turn.
const PACKETS_PER_TURN: usize = 128;

/// One connection that got past CONNECT.
struct Connection<S> {
    wire: Wire<S>,
    session: Box<Session>,
    owner: Owner,
    shared: Arc<Shared>,
    place: Place,
    peer: Peer,
    will: Option<Box<Will>>,
    /// QoS 1 and 2 messages under way at once: to the device, and from it.
    window: usize,
    receive_max: usize,
    /// One and a half times what the device promised; None: it need not speak.
    silence_ms_max: Option<u64>,
    heard: Instant,
    /// Until then nothing is read: the device is ahead of its rate.
    read_from: Option<Instant>,
    owed: Owed,
    shelf: Shelf,
    incoming: Incoming,
    outgoing: Option<Box<Outgoing>>,
    /// There may be more to look at than was looked at in this turn.
    unfinished: bool,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ended {
    /// The device said so. With its will, and a new expiry of its session.
    Left { will: bool, expiry_s: Option<u32> },
    /// It is not there any more.
    Lost,
    /// It did what it must not.
    Fault { reason: Reason, code: &'static str },
    /// Others want it to end.
    Told(Reason),
}

impl Ended {
    fn fault(reason: Reason, code: &'static str) -> Self {
        Self::Fault { reason, code }
    }
}

impl From<DecodeError> for Ended {
    fn from(error: DecodeError) -> Self {
        Self::fault(error.reason(), error.code())
    }
}

/// One client's connection, until it ends.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// For a client to be told why its connection ends.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// Longer than any connection takes to end once it was told: its will is given a
/// second, and its last words half of one. For what nobody thought of.
const CUT_AFTER: Duration = Duration::from_secs(3);

/// Lets one client in, and returns what serves it until it or its connection ends,
/// or `stop`: then it is told that the server shuts down, which takes no longer
/// than [`FAREWELL_MAX`]. None: it did not get in, and was told so.
pub(super) async fn accept<S>(
    stream: S,
    peer: Peer,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> Option<Serving>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = tokio::select! {
        connected = connect::accept(stream, peer, shared, &stop) => connected?,
        () = cut(&stop) => return None,
    };
    Some(Box::pin(serve(connected, stop)))
}

/// What is kept while nothing happens is this future and its connection; what it
/// takes to end comes when it ends.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function keeps room for its arguments twice"
)]
fn serve<S>(
    mut connection: Box<Connection<S>>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async move {
        let ended = connection.run(&stop).await;
        let ending = async move {
            tokio::select! {
                () = ending::end(connection, ended) => {}
                () = cut(&stop) => {}
            }
        };
        Box::pin(ending).await;
    }
}

/// Done when whoever is told to end has had its time.
async fn cut(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(CUT_AFTER).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self, stop: &CancellationToken) -> Ended {
        let stopped = stop.cancelled();
        let timer = sleep_until(self.deadline());
        pin!(stopped, timer);
        loop {
            if let Err(ended) = self.turn() {
                return ended;
            }
            let deadline = self.deadline();
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            let waited = self.wait(stopped.as_mut(), timer.as_mut()).await;
            let checked = waited.and_then(|()| self.check_time());
            if let Err(ended) = checked {
                return ended;
            }
            if self.unfinished {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does all that can be done without waiting.
    fn turn(&mut self) -> Result<(), Ended> {
        self.pay()?;
        for _ in 0..PACKETS_PER_TURN {
            if !self.may_read() {
                break;
            }
            match self.wire.next() {
                Ok(Some(packet)) => self.take_in(packet)?,
                Ok(None) => break,
                Err(error) => self.refuse_packet(error)?,
            }
        }
        self.pay()?;
        self.deliver()?;
        // Nobody would wake it for what is here already.
        self.unfinished = self.may_read() && self.wire.has_next();
        Ok(())
    }

    /// Whether one more packet may be looked at.
    fn may_read(&self) -> bool {
        !self.wire.is_clogged()
            && self.read_from.is_none()
            && !self.owed.blocks()
            && !self.shelf.is_clogged()
            && (self.wire.version() == Version::V5 || self.owed.len() < self.receive_max)
    }
}

#[cfg(test)]
mod tests;
