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

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};

use self::aliases::{Incoming, Outgoing};
pub(super) use self::delivering::Shelf;
use self::publishing::Owed;
use self::wire::Wire;
use super::clients::{Client, Ticket};
use super::quota::Place;
use super::session::Session;
use super::sessions::Owner;
use super::shared::{Peer, Shared};
use super::will::Will;
use crate::mqtt::{DecodeError, Reason, Version};

/// Packets looked at before others have their turn.
const PACKETS_PER_TURN: usize = 128;

/// One connection that got past CONNECT. Small while nothing happens: most do
/// nothing, and there are many.
struct Connection<S> {
    wire: Wire<S>,
    session: Box<Session>,
    owner: Owner,
    shared: Arc<Shared>,
    place: Place,
    ticket: Ticket,
    will: Option<Box<Will>>,
    /// QoS 1 and 2 messages under way at once: to the device, and from it.
    window: u16,
    receive_max: u16,
    /// What the device promised; one and a half times that it may be silent. 0: it
    /// need not speak.
    keep_alive_s: u16,
    heard: Instant,
    /// Until then nothing is read: the device is ahead of its rate.
    read_from: Option<Instant>,
    owed: Owed,
    /// Of a session that lasts.
    shelf: Option<Box<Shelf>>,
    incoming: Option<Box<Incoming>>,
    outgoing: Option<Box<Outgoing>>,
    /// None: nothing was due yet.
    timer: Option<Pin<Box<Sleep>>>,
    /// There may be more to look at than was looked at in this turn.
    unfinished: bool,
    /// All was done that could be; and whether it reads and delivers meanwhile.
    waits: bool,
    reads: bool,
    delivers: bool,
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

/// For a client to be told why its connection ends.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// Longer than any connection that serves takes to end once it was told: its will is
/// given a second, and its last words half of one. For what nobody thought of.
const CUT_AFTER: Duration = Duration::from_secs(3);

/// What a connection does until its next stage: coming in, serving, ending. Each is
/// no larger than it needs, and its task is no larger than this.
pub(super) struct Stage(Pin<Box<dyn Future<Output = Option<Self>> + Send>>);

impl Stage {
    pub(super) fn new(stage: impl Future<Output = Option<Self>> + Send + 'static) -> Self {
        Self(Box::pin(stage))
    }
}

impl Future for Stage {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        while let Some(next) = ready!(self.0.as_mut().poll(context)) {
            *self = next;
        }
        Poll::Ready(())
    }
}

/// Lets one client in, and returns what serves it until it, its connection or the
/// host ends: then it is told why, which takes no longer than [`FAREWELL_MAX`].
/// None: it did not get in, and was told so. Who is coming in is not cut off: it may
/// be the only one who knows of a session.
pub(super) async fn accept<S>(stream: S, peer: Peer, shared: Arc<Shared>) -> Option<Stage>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = connect::accept(stream, peer, shared).await?;
    Some(Stage::new(Serving(Some(connected))))
}

/// What is kept while nothing happens, and not an async block, which would keep room
/// for all that it takes to end.
struct Serving<S>(Option<Connection<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Future for Serving<S> {
    type Output = Option<Stage>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Stage>> {
        let this = self.get_mut();
        let Some(connection) = &mut this.0 else {
            return Poll::Ready(None);
        };
        let ended = ready!(connection.poll_serve(context));
        let last = this.0.take().map(|connection| {
            let client = Arc::clone(connection.ticket.client());
            Stage::new(async move {
                tokio::select! {
                    () = ending::end(connection, ended) => {}
                    () = cut(&client) => {}
                }
                None
            })
        });
        Poll::Ready(last)
    }
}

/// Done when whoever is told to end has had its time.
async fn cut(client: &Client) {
    client.end.wait().await;
    sleep(CUT_AFTER).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ready when the connection is to end.
    fn poll_serve(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if !self.waits {
                if let Err(ended) = self.turn() {
                    return Poll::Ready(ended);
                }
                self.begin_to_wait();
            }
            let waited = ready!(self.poll_wait(context));
            self.waits = false;
            if let Err(ended) = waited.and_then(|()| self.check_time()) {
                return Poll::Ready(ended);
            }
            if self.unfinished {
                // Polled once, it wakes this task when others had their turn.
                return pin!(yield_now()).poll(context).map(|()| Ended::Lost);
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
            && !self.is_clogged()
            && (self.wire.version() == Version::V5 || self.owed.len() < self.receive_max.into())
    }
}

#[cfg(test)]
mod tests;
