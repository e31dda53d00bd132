//! One connection, from CONNECT to its end.
//!
//! A single loop over what can happen: packets, room to write, entries read ahead,
//! acknowledgements due, questions, time. Nothing in it waits for anybody here:
//! what comes in is handed to [`super::incoming`].

mod packets;
mod sending;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::flight::{AHEAD, AHEAD_BYTES, Flight};
use super::incoming::Hand;
use super::{LinkError, Pace};
use crate::mqtt::{
    Connect, Decoder, Disconnect, Packet, PacketId, PacketLimits, Peer, Reason, Version, encode,
};
use crate::storage::{Lane, LogError};
use crate::uplink::config::Protocol;
use crate::uplink::dial::{Stream, password};
use crate::uplink::error::UplinkError;
use crate::uplink::status::{LinkState, add};
use crate::uplink::{Ask, Shared};

use self::subscriptions::Subscriptions;

/// Messages of the target that may be unacknowledged. It is told so if it speaks
/// MQTT 5.
pub(super) const UNSETTLED_MAX: u16 = 100;
/// The same where it cannot be told.
const UNSETTLED_V311_MAX: usize = 1_000;

/// Bytes of one packet of the target.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;
/// Bytes that wait to be written before more is encoded.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes that may wait to be written: beyond what is encoded at once, these are
/// acknowledgements, which a target that reads none of them has no right to.
const OUTPUT_BYTES_MAX: usize = 2 << 20;
/// User properties of one message of the target.
const USER_PROPERTIES_MAX: usize = 64;
/// Questions unanswered at once.
const ASKS_MAX: usize = 16;

/// Entries read ahead, by lane.
type Loaded = Vec<(Lane, Vec<(u64, Bytes)>)>;
type Loading = tokio::task::JoinHandle<Result<Loaded, LogError>>;
type Removing = tokio::task::JoinHandle<Result<(), (LogError, Vec<(Lane, u64)>)>>;

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
    /// What came, in order, and whether it is done with.
    unsettled: VecDeque<(PacketId, Arc<AtomicBool>, Reason)>,
    settled: Arc<Notify>,
    loading: Option<Loading>,
    removing: Option<Removing>,
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
            settled: Arc::default(),
            loading: None,
            removing: None,
        };
        session.greet(keep_alive).await?;
        Ok(session)
    }

    async fn greet(&mut self, keep_alive_s: u16) -> Result<(), LinkError> {
        let config = self.shared.config.clone();
        let password = tokio::task::spawn_blocking(move || password(&config)).await;
        let password = password.map_err(|_| LinkError::Stopped)??;
        let config = &self.shared.config;
        self.put(&Packet::Connect(Box::new(Connect {
            version: self.version,
            clean_start: false,
            keep_alive_s,
            client_id: self.shared.identity.client_id.as_str().into(),
            will: None,
            username: config.username.as_deref().map(Into::into),
            password: password.map(Bytes::from),
            session_expiry_s: config.session_expiry_s.get(),
            receive_max: nonzero!(NonZeroU16, UNSETTLED_MAX),
            packet_bytes_max: Some(nonzero!(NonZeroU32, PACKET_BYTES_MAX)),
            topic_alias_max: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user: Vec::new(),
        })))?;
        while !self.output.is_empty() {
            let written = self.writer.write_buf(&mut self.output).await;
            written.map_err(LinkError::Io)?;
        }
        self.writer.flush().await.map_err(LinkError::Io)?;
        loop {
            if let Some(packet) = self.decode()? {
                return self.greeted(packet);
            }
            self.read().await?;
        }
    }

    fn greeted(&mut self, packet: Packet) -> Result<(), LinkError> {
        let ack = match packet {
            Packet::ConnAck(ack) => ack,
            Packet::Disconnect(told) => return Err(LinkError::Disconnected(told.reason)),
            _ => return Err(LinkError::Protocol("the first packet is not CONNACK")),
        };
        if ack.reason.is_failure() {
            return Err(LinkError::Refused(ack.reason));
        }
        if ack.qos_max == Some(crate::names::Qos::AtMostOnce) {
            return Err(LinkError::QosUnsupported);
        }
        let told = ack.receive_max.map_or(u16::MAX, NonZeroU16::get);
        self.window = self.window.min(told.into());
        self.retain_available = ack.retain_available;
        self.session_present = ack.session_present;
        self.peer = Peer::new(self.version, ack.packet_bytes_max);
        if let Some(seconds) = ack.keep_alive_s {
            self.keep_alive = Duration::from_secs(seconds.into());
        }
        Ok(())
    }

    /// Works until the connection ends. Dropped before, it has ended.
    pub(super) async fn run(&mut self, asked: &mut mpsc::Receiver<Ask>) -> Result<(), LinkError> {
        self.flight.news();
        self.resume_subscriptions().await?;
        // What came together with the answer to the greeting.
        self.take_all()?;
        loop {
            self.settle()?;
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
            let may_ask = self.asks.len() < ASKS_MAX && self.output.len() < WRITE_BYTES;
            tokio::select! {
                read = read(&mut self.reader, &mut self.input) => {
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

    /// When something is to be done without being asked.
    fn due(&mut self, now: Instant) -> Result<Instant, LinkError> {
        let times = &self.shared.config.times;
        let millis = |ms: NonZeroU32| Duration::from_millis(ms.get().into());
        let mut due = now + Duration::from_secs(3_600);
        if let Some(probed) = self.probed_at {
            let late = probed + millis(times.response_ms_max);
            if late <= now {
                return Err(LinkError::NoResponse);
            }
            due = due.min(late);
        } else if !self.keep_alive.is_zero() {
            // Before the target may take us for gone.
            let probe = self.written_at + self.keep_alive * 3 / 4;
            if probe <= now {
                self.put(&Packet::PingReq)?;
                self.probed_at = Some(now);
                return Ok(now);
            }
            due = due.min(probe);
        }
        let asked = self.asks.values().map(|(_, at)| *at).min();
        let pending = self.subscriptions.pending_since();
        let first = [self.flight.first_sent_at(), asked, pending];
        if let Some(first) = first.into_iter().flatten().min() {
            let late = first + millis(times.acknowledge_ms_max);
            if late <= now {
                return Err(LinkError::NoAcknowledgement);
            }
            due = due.min(late);
        }
        Ok(due)
    }

    fn read_ahead(&mut self) {
        if self.loading.is_some() {
            return;
        }
        let wanting = self.flight.wanting();
        if wanting.is_empty() {
            return;
        }
        let shared = Arc::clone(self.shared);
        self.loading = Some(tokio::task::spawn_blocking(move || {
            let mut loaded = Vec::with_capacity(wanting.len());
            for (lane, after) in wanting {
                let entries = shared.queue.take_up(lane, after, AHEAD, AHEAD_BYTES)?;
                loaded.push((lane, entries));
            }
            Ok(loaded)
        }));
    }

    fn loaded(&mut self, loaded: Option<Result<Loaded, LogError>>) -> Result<(), LinkError> {
        for (lane, entries) in loaded.ok_or(LinkError::Stopped)?? {
            let unreadable = self.flight.load(lane, entries);
            self.shared.counters.dropped("unreadable", unreadable);
        }
        Ok(())
    }

    fn remove_gone(&mut self) {
        if self.removing.is_some() || !self.flight.has_gone() {
            return;
        }
        let gone = self.flight.take_gone();
        let shared = Arc::clone(self.shared);
        self.removing = Some(tokio::task::spawn_blocking(move || {
            let removed = shared.queue.remove(&gone);
            removed.map_err(|error| (error, gone))
        }));
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

/// What the task under way gives; None if it was lost.
async fn wait<T>(task: &mut Option<tokio::task::JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}

async fn read(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    input: &mut BytesMut,
) -> Result<(), LinkError> {
    input.reserve(READ_BYTES);
    match reader.read_buf(input).await {
        Ok(0) => Err(LinkError::Closed),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(LinkError::Closed),
        Err(error) => Err(LinkError::Io(error)),
    }
}

async fn write(
    writer: &mut WriteHalf<Box<dyn Stream>>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> Result<(), LinkError> {
    if output.is_empty() {
        writer.flush().await.map_err(LinkError::Io)?;
        *unflushed = false;
    } else {
        let written = writer.write(output).await.map_err(LinkError::Io)?;
        if written == 0 {
            return Err(LinkError::Closed);
        }
        output.advance(written);
        *unflushed = true;
    }
    Ok(())
}
