//! The other end of an uplink, written by a test: it takes, refuses, is silent or
//! hangs up as the test says, and remembers what it acknowledged.
//!
//! Its memory is what a durable broker has on its disk: a message is in it before
//! it is acknowledged, and outlasts [`FarEnd::cut`].

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};
use selvedge::mqtt::{
    Ack, ConnAck, Connect, Decoder, Disconnect, Packet, PacketId, PacketLimits, Publish,
    PublishProperties, Reason, SubAck, Version, encode,
};
use selvedge::names::Qos;

use crate::process::DEADLINE;

/// What it does with a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// Remembers and acknowledges it.
    Take,
    /// Remembers it, and hangs up before it acknowledges it.
    TakeAndHangUp,
    Refuse(Reason),
    HangUp,
    /// Says nothing.
    Silence,
    /// Says this, and hangs up.
    Say(&'static [u8]),
    Disconnect(Reason),
}

type Behaviour = Box<dyn FnMut(&Publish) -> Reply + Send>;

/// A message that came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: Qos,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) expiry_s: Option<u32>,
    pub(super) user: HashMap<String, String>,
}

impl Came {
    fn new(publish: &Publish) -> Self {
        let pairs = publish.properties.user.iter();
        Self {
            topic: publish.topic.as_ref().unwrap().to_string(),
            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            expiry_s: publish.properties.expiry_s,
            user: pairs
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }

    /// By what a receiver knows that it has a message already.
    pub(super) fn identity(&self) -> (String, u64) {
        let seq = self.user["selvedge-seq"].parse().unwrap();
        (self.user["selvedge-queue"].clone(), seq)
    }
}

#[derive(Default)]
struct State {
    came: Vec<Came>,
    connects: Vec<(Connect, Instant)>,
    subscribed: Vec<String>,
    unsubscribed: Vec<String>,
    acknowledged: Vec<u16>,
    streams: Vec<TcpStream>,
    /// What it says to whoever it lets in, at once.
    greeting: Vec<u8>,
    known: bool,
    refuses: bool,
    refuses_filters: bool,
    over: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    behaviour: Mutex<Behaviour>,
}

/// The far end. Dropped, it is gone.
pub(super) struct FarEnd {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

impl FarEnd {
    pub(super) fn start(behaviour: impl FnMut(&Publish) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            behaviour: Mutex::new(Box::new(behaviour)),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut state = own.state.lock();
                if state.over {
                    return;
                }
                if state.refuses {
                    continue;
                }
                state.streams.push(stream.try_clone().unwrap());
                drop(state);
                let own = Arc::clone(&own);
                // What the peer does wrong ends its connection only.
                std::thread::spawn(move || drop(own.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// One that takes everything.
    pub(super) fn kind() -> Self {
        Self::start(|_| Reply::Take)
    }

    pub(super) fn behave(&self, behaviour: impl FnMut(&Publish) -> Reply + Send + 'static) {
        *self.shared.behaviour.lock() = Box::new(behaviour);
    }

    /// Ends all connections as a crash would.
    pub(super) fn cut(&self) {
        for stream in self.shared.state.lock().streams.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Whether it lets nobody in.
    pub(super) fn refuse(&self, refuses: bool) {
        self.shared.state.lock().refuses = refuses;
        if refuses {
            self.cut();
        }
    }

    /// Whether it hangs up on whoever subscribes.
    pub(super) fn refuse_filters(&self, refuses: bool) {
        self.shared.state.lock().refuses_filters = refuses;
    }

    /// Waits until the state is as wished, and reads from it.
    fn wait<T>(&self, what: &str, found: impl Fn(&State) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(found) = found(&state) {
                return found;
            }
            let late = self.shared.changed.wait_until(&mut state, deadline);
            assert!(!late.timed_out(), "{what}; came: {}", state.came.len());
        }
    }

    /// Waits until `count` messages came; all of them.
    pub(super) fn came(&self, count: usize) -> Vec<Came> {
        self.wait(&format!("not {count} messages"), |state| {
            (state.came.len() >= count).then(|| state.came.clone())
        })
    }

    /// Waits until so many connected.
    pub(super) fn connects(&self, count: usize) -> Vec<(Connect, Instant)> {
        self.wait(&format!("not {count} connections"), |state| {
            (state.connects.len() >= count).then(|| state.connects.clone())
        })
    }

    pub(super) fn subscribed(&self, filter: &str) {
        self.wait(filter, |state| {
            state
                .subscribed
                .iter()
                .any(|own| own == filter)
                .then_some(())
        });
    }

    pub(super) fn unsubscribed(&self, filter: &str) {
        self.wait(filter, |state| {
            let own = |own: &String| own == filter;
            state.unsubscribed.iter().any(own).then_some(())
        });
    }

    /// Waits until so many messages of ours were acknowledged; which, in order.
    pub(super) fn acknowledged(&self, count: usize) -> Vec<u16> {
        self.wait(&format!("not {count} acknowledged"), |state| {
            (state.acknowledged.len() >= count).then(|| state.acknowledged.clone())
        })
    }

    /// How many of ours were acknowledged so far.
    pub(super) fn acknowledged_now(&self) -> usize {
        self.shared.state.lock().acknowledged.len()
    }

    pub(super) fn came_now(&self) -> usize {
        self.shared.state.lock().came.len()
    }

    /// Sends a message to whoever is connected.
    pub(super) fn send(&self, topic: &str, payload: &str, id: u16, user: &[(&str, &str)]) {
        let pairs = user.iter();
        let publish = Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: Some(topic.parse().unwrap()),
            packet_id: PacketId::new(id),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            properties: PublishProperties {
                user: pairs
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
                ..PublishProperties::default()
            },
        };
        let state = self.shared.state.lock();
        let stream = state.streams.last().expect("nobody is connected");
        put(stream, &Packet::Publish(publish), Version::V5).unwrap();
    }

    /// From now on says this to whoever it lets in, at once.
    pub(super) fn greet(&self, bytes: &[u8]) {
        self.shared.state.lock().greeting = bytes.to_vec();
    }

    /// Sends bytes to whoever is connected.
    pub(super) fn send_bytes(&self, bytes: &[u8]) {
        let state = self.shared.state.lock();
        let mut stream = state.streams.last().expect("nobody is connected");
        stream.write_all(bytes).unwrap();
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.shared.state.lock().over = true;
        self.cut();
        // The thread that accepts looks whether it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn put(mut stream: &TcpStream, packet: &Packet, version: Version) -> std::io::Result<()> {
    let mut bytes = BytesMut::new();
    encode(packet, version, &mut bytes).unwrap();
    stream.write_all(&bytes)
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let limits = PacketLimits {
            packet_bytes_max: 8 << 20,
            ..PacketLimits::default()
        };
        let mut decoder = Decoder::new(None, limits);
        let (mut buffer, mut bytes) = (BytesMut::new(), vec![0; 65_536]);
        loop {
            let packet = decoder.decode(&mut buffer);
            let packet = packet.map_err(|error| std::io::Error::other(error.to_string()))?;
            let version = decoder.version().unwrap_or(Version::V5);
            if let Some(packet) = packet {
                if !self.take(&stream, packet, version)? {
                    stream.shutdown(Shutdown::Both)?;
                    return Ok(());
                }
                continue;
            }
            let read = stream.read(&mut bytes)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            buffer.extend_from_slice(&bytes[..read]);
        }
    }

    /// False: it hangs up.
    fn take(&self, stream: &TcpStream, packet: Packet, version: Version) -> std::io::Result<bool> {
        match packet {
            Packet::Connect(connect) => self.connected(stream, *connect)?,
            Packet::Publish(publish) => return self.published(stream, &publish, version),
            Packet::PubAck(ack) => {
                self.change(|state| state.acknowledged.push(ack.packet_id.get()));
            }
            Packet::Subscribe(_) if self.state.lock().refuses_filters => return Ok(false),
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.subscriptions.iter();
                let filters: Vec<_> = filters.map(|own| own.filter.clone().unwrap()).collect();
                let ack = SubAck {
                    packet_id: subscribe.packet_id,
                    reason_text: None,
                    user: Vec::new(),
                    reasons: vec![Reason::GRANTED_QOS_1; filters.len()],
                };
                put(stream, &Packet::SubAck(ack), version)?;
                let filters = filters.into_iter().map(|filter| filter.to_string());
                self.change(|state| state.subscribed.extend(filters));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.filters.into_iter().map(Result::unwrap);
                let filters: Vec<_> = filters.map(|filter| filter.to_string()).collect();
                let ack = SubAck {
                    packet_id: unsubscribe.packet_id,
                    reason_text: None,
                    user: Vec::new(),
                    reasons: vec![Reason::SUCCESS; filters.len()],
                };
                put(stream, &Packet::UnsubAck(ack), version)?;
                self.change(|state| state.unsubscribed.extend(filters));
            }
            Packet::PingReq => put(stream, &Packet::PingResp, version)?,
            Packet::Disconnect(_) => return Ok(false),
            other => panic!("a client sent {other:?}"),
        }
        Ok(true)
    }

    fn connected(&self, stream: &TcpStream, connect: Connect) -> std::io::Result<()> {
        let version = connect.version;
        let present = std::mem::replace(&mut self.state.lock().known, true);
        let mut ack = ConnAck::new(Reason::SUCCESS);
        ack.session_present = present && !connect.clean_start;
        put(stream, &Packet::ConnAck(Box::new(ack)), version)?;
        let (mut stream, greeting) = (stream, self.state.lock().greeting.clone());
        stream.write_all(&greeting)?;
        self.change(|state| state.connects.push((connect, Instant::now())));
        Ok(())
    }

    fn published(
        &self,
        stream: &TcpStream,
        publish: &Publish,
        version: Version,
    ) -> std::io::Result<bool> {
        let reply = (self.behaviour.lock())(publish);
        let remember = || self.change(|state| state.came.push(Came::new(publish)));
        let answer = |reason| match publish.packet_id {
            Some(packet_id) => {
                let ack = Ack {
                    packet_id,
                    reason,
                    reason_text: None,
                    user: Vec::new(),
                };
                put(stream, &Packet::PubAck(ack), version)
            }
            None => Ok(()),
        };
        match reply {
            Reply::Take => {
                remember();
                answer(Reason::SUCCESS)?;
            }
            Reply::TakeAndHangUp => {
                remember();
                return Ok(false);
            }
            Reply::Refuse(reason) => answer(reason)?,
            Reply::HangUp => return Ok(false),
            Reply::Silence => {}
            Reply::Say(bytes) => {
                let mut stream = stream;
                stream.write_all(bytes)?;
                // Read, or a reset would take back what was said.
                std::thread::sleep(Duration::from_millis(5));
                return Ok(false);
            }
            Reply::Disconnect(reason) => {
                put(
                    stream,
                    &Packet::Disconnect(Disconnect::new(reason)),
                    version,
                )?;
                return Ok(false);
            }
        }
        Ok(true)
    }
}
