//! One connection, from CONNECT to its end.
//!
//! A single loop over what can happen: packets, room to write, entries read ahead,
//! acknowledgements due, questions, time. Nothing in it waits for anybody here:
//! what comes in is handed to [`super::incoming`].

mod entries;
mod greeting;
mod packets;
mod sending;
mod stream;
mod subscriptions;
#[cfg(test)]
mod tests;
mod times;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::flight::Flight;
use super::incoming::Hand;
use super::{LinkError, Pace};
use crate::mqtt::{
    Decoder, Disconnect, Packet, PacketId, PacketLimits, Peer, Reason, Version, encode,
};
use crate::uplink::config::Protocol;
use crate::uplink::dial::Stream;
use crate::uplink::error::UplinkError;
use crate::uplink::remote::Fate;
use crate::uplink::status::{LinkState, add};
use crate::uplink::{Ask, Shared};

use self::entries::{Loading, Removing, wait};
use self::stream::{read, write};
use self::subscriptions::Subscriptions;

/// Messages of the target that may be unacknowledged. It is told so if it speaks
/// MQTT 5. If it has more, nothing is read until some are: mosquitto sends more of
/// what it has of a session from before it was killed.
const UNSETTLED_MAX: u16 = 100;
/// The same where it cannot be told.
pub(super) const UNSETTLED_V311_MAX: usize = 1_000;

/// Bytes of messages of the target that may be unacknowledged: more than AWS IoT Core
/// sends of its largest ones. If it has more, nothing is read until some are.
const UNSETTLED_BYTES_MAX: usize = 32 << 20;

/// Bytes of one packet of the target.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// Bytes that wait to be written before more is encoded.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes that may wait to be written: beyond what is encoded at once, these are
/// acknowledgements, which a target that reads none of them has no right to.
const OUTPUT_BYTES_MAX: usize = 2 << 20;
/// User properties of one message of the target.
const USER_PROPERTIES_MAX: usize = 64;
/// Questions unanswered at once.
const ASKS_MAX: usize = 16;

/// A connection at work.
pub(super) struct Session<'a> {
    shared: &'a Arc<Shared>,
    flight: &'a mut Flight,
    pace: &'a mut Pace,
    hand: Hand,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    version: Version,
    peer: Peer,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    unflushed: bool,
    window: usize,
    retain_available: bool,
    session_present: bool,
    keep_alive: Duration,
    /// When something was last written.
    written_at: Instant,
    /// When a probe was sent that is unanswered.
    probed_at: Option<Instant>,
    subscriptions: Subscriptions,
    asks: HashMap<PacketId, (oneshot::Sender<Result<(), UplinkError>>, Instant)>,
    /// What came, in order, and the bytes of it.
    unsettled: VecDeque<Expected>,
    unsettled_bytes: usize,
    settled: Arc<Notify>,
    /// There may be packets in `input` that there was no room for.
    unread: bool,
    loading: Option<Loading>,
    removing: Option<Removing>,
}

/// A message that came, to be acknowledged.
struct Expected {
    id: PacketId,
    fate: Arc<Fate>,
    /// What it is answered, unless it is refused.
    reason: Reason,
    bytes: usize,
}

/// What to do when the target has let us in.
pub(super) struct Opened<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) flight: &'a mut Flight,
    pub(super) pace: &'a mut Pace,
    pub(super) hand: Hand,
}

impl<'a> Session<'a> {
    /// Says who we are, and waits for the answer.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        opened: Opened<'a>,
    ) -> Result<Self, LinkError> {
        let config = &opened.shared.config;
        let version = match config.protocol {
            Protocol::V5 => Version::V5,
            Protocol::V311 => Version::V311,
        };
        let (reader, writer) = tokio::io::split(stream);
        let limits = PacketLimits {
            packet_bytes_max: PACKET_BYTES_MAX,
            user_properties_max: USER_PROPERTIES_MAX,
            ..PacketLimits::default()
        };
        let keep_alive = u16::try_from(config.keep_alive_s.get()).unwrap_or(u16::MAX);
        let now = Instant::now();
        let mut session = Self {
            shared: opened.shared,
            flight: opened.flight,
            pace: opened.pace,
            hand: opened.hand,
            reader,
            writer,
            version,
            peer: Peer::from(version),
            decoder: Decoder::new(Some(version), limits),
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            window: opened.shared.limits.in_flight_max.into(),
            retain_available: true,
            session_present: false,
            keep_alive: Duration::from_secs(keep_alive.into()),
            written_at: now,
            probed_at: None,
            subscriptions: Subscriptions::default(),
            asks: HashMap::new(),
            unsettled: VecDeque::new(),
            unsettled_bytes: 0,
            settled: Arc::default(),
            unread: false,
            loading: None,
            removing: None,
        };
        session.greet(keep_alive).await?;
        Ok(session)
    }

    /// Works until the connection ends. Dropped before, it has ended.
    pub(super) async fn run(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), LinkError> {
        self.flight.news();
        self.resume_subscriptions().await?;
        // What came together with the answer to the greeting.
        self.take_all()?;
        loop {
            self.settle()?;
            if self.unread && !self.is_full() {
                self.take_all()?;
                continue;
            }
            self.ask_all(asked)?;
            let wake = self.fill()?;
            if self.output.len() > OUTPUT_BYTES_MAX {
                return Err(LinkError::Protocol("it goes on sending and reads nothing"));
            }
            self.read_ahead();
            self.remove_gone();
            let now = Instant::now();
            let due = self.due(now)?;
            let wake = wake.map_or(due, |wake| wake.min(due));
            let writes = !self.output.is_empty() || self.unflushed;
            let reads = !self.is_full();
            let may_ask = self.may_ask(now);
            tokio::select! {
                read = read(&mut self.reader, &mut self.input), if reads => {
                    read?;
                    self.take_all()?;
                }
                written = write(&mut self.writer, &mut self.output, &mut self.unflushed), if writes => {
                    written?;
                    self.written_at = Instant::now();
                }
                loaded = wait(&mut self.loading), if self.loading.is_some() => {
                    self.loading = None;
                    self.loaded(loaded)?;
                }
                removed = wait(&mut self.removing), if self.removing.is_some() => {
                    self.removing = None;
                    if let Some(Err((error, entries))) = removed {
                        self.flight.not_gone(entries);
                        return Err(error.into());
                    }
                }
                () = self.settled.notified() => {}
                () = self.shared.queue.news.notified() => self.flight.news(),
                () = self.shared.remotes.changed.notified() => self.subscribe_changes()?,
                Some(ask) = asked.recv(), if may_ask => self.ask(ask)?,
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Says that the connection ends, if that is still heard.
    pub(super) async fn close(&mut self) {
        let bye = Packet::Disconnect(Disconnect {
            reason: Reason::SUCCESS,
            session_expiry_s: None,
            reason_text: None,
            user: Vec::new(),
            server_reference: None,
        });
        if self.put(&bye).is_ok() {
            while !self.output.is_empty() {
                if self.writer.write_buf(&mut self.output).await.is_err() {
                    return;
                }
            }
            drop(self.writer.shutdown().await);
        }
    }

    /// Waits for what is being removed, so that it is not sent again. When this
    /// returns, nothing of this connection goes on.
    pub(super) async fn end(mut self) {
        if let Some(removing) = self.removing.take()
            && let Ok(Err((_, entries))) = removing.await
        {
            self.flight.not_gone(entries);
        }
        if let Some(loading) = self.loading.take()
            && let Ok(Ok(loaded)) = loading.await
        {
            for (lane, entries) in loaded {
                self.flight.load(lane, entries);
            }
        }
        for (_, (answer, _)) in self.asks.drain() {
            drop(answer.send(Err(UplinkError::Lost)));
        }
        self.shared.counters.in_flight.store(0, Ordering::Relaxed);
        self.shared.remotes.confirm(|_| false);
    }

    /// Appends a packet to what is to be written.
    fn put(&mut self, packet: &Packet) -> Result<(), LinkError> {
        encode(packet, self.peer, &mut self.output).map_err(LinkError::Encode)
    }

    async fn read(&mut self) -> Result<(), LinkError> {
        read(&mut self.reader, &mut self.input).await
    }

    /// Everything that is subscribed is confirmed, or refused.
    fn confirmed(&self) {
        let subscriptions = &self.subscriptions;
        let shared = self.shared;
        shared
            .remotes
            .confirm(|filter| subscriptions.is_confirmed(filter));
        if !subscriptions.is_pending() && !*shared.connected.borrow() {
            shared.counters.enter(LinkState::Connected);
            shared.connected.send_replace(true);
            add(&shared.counters.connections, 1);
        }
    }
}
