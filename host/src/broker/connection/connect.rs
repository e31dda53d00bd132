//! CONNECT: who it is, what it may do, and which session it gets.
//!
//! In this order, so that nothing costs much before it is known whose it is: the
//! packet, the device and its client id, the device's connections, its will, its
//! session. Whoever does not get past that is told why, if it can be told.

use std::future::poll_fn;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::aliases::{ALIASES_MAX, Outgoing};
use super::publishing::{Owed, ack};
use super::wire::Wire;
use super::{Connection, ending};
use crate::broker::admission::{self, Admitted, Credentials};
use crate::broker::inflight::Stage;
use crate::broker::quota::Place;
use crate::broker::sessions::{Claim, ClaimError, Claimed};
use crate::broker::shared::{Peer, Shared};
use crate::broker::will::Will;
use crate::bus::Grant;
use crate::devices::Device;
use crate::mqtt;
use crate::mqtt::{ConnAck, Connect, DecodeError, Packet, PacketLimits, Reason, Version};

/// Bytes of a CONNECT, whoever it is from.
const CONNECT_BYTES_MAX: u32 = 64 << 10;

/// Why a client is not let in, and whether that was told of already.
#[derive(Debug)]
struct Refused {
    reason: Reason,
    code: Option<&'static str>,
}

impl Refused {
    fn new(reason: Reason, code: &'static str) -> Self {
        let code = Some(code);
        Self { reason, code }
    }
}

impl From<admission::Refused> for Refused {
    fn from(refused: admission::Refused) -> Self {
        let reason = refused.reason();
        Self { reason, code: None }
    }
}

/// A client that got in, before it is told.
struct Accepted {
    admitted: Admitted,
    place: Place,
    claimed: Claimed,
    expiry_s: u32,
    will: Option<Box<Will>>,
}

impl Accepted {
    /// Messages that it may have under way.
    fn receive_max(&self) -> u16 {
        let quota = &self.admitted.device.quota;
        u16::try_from(quota.inflight_max.get()).unwrap_or(u16::MAX)
    }
}

/// Takes one client in. None: it was not, and its connection is closed.
pub(super) async fn accept<S>(stream: S, peer: Peer, shared: Arc<Shared>) -> Option<Connection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = PacketLimits {
        packet_bytes_max: CONNECT_BYTES_MAX,
        ..PacketLimits::default()
    };
    let mut wire = Wire::new(stream, limits);
    let connect = tokio::select! {
        connect = timeout_at(peer.connect_by, first(&mut wire)) => connect.ok()?,
        _ = peer.ticket.end().wait() => return None,
    };
    let connect = match connect {
        Some(Ok(connect)) => connect,
        None => return None,
        Some(Err(error)) => {
            shared.counters.refused_total.add(1);
            let text = error.to_string();
            shared
                .refusals
                .turned_away(error.code(), peer.address, &text);
            // In the version that it was written in, if it is known.
            let version = match &error {
                DecodeError::Version { level } if *level > 5 => Some(Version::V5),
                _ => wire.announced(),
            };
            if let Some(version) = version {
                wire.agree(mqtt::Peer::new(version, None), limits);
            }
            if error.is_connect() {
                refuse(&mut wire, error.reason()).await;
            }
            return None;
        }
    };
    wire.agree(
        mqtt::Peer::new(connect.version, connect.packet_bytes_max),
        limits,
    );
    let checked = check(&connect, &peer, &shared).await;
    let accepted = match checked {
        Ok(accepted) => welcome(&mut wire, &connect, accepted, (&peer, &shared)).await,
        Err(refused) => Err(refused),
    };
    match accepted {
        Ok(Some(accepted)) => Some(begin(wire, &connect, accepted, (peer, shared))),
        Ok(None) => None,
        Err(Refused { reason, code }) => {
            if let Some(code) = code {
                shared.counters.refused_total.add(1);
                shared
                    .refusals
                    .turned_away(code, peer.address, reason.text());
            }
            refuse(&mut wire, reason).await;
            None
        }
    }
}

/// The first packet; None: the stream ended.
async fn first<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
) -> Option<Result<Box<Connect>, DecodeError>> {
    loop {
        match wire.next() {
            Ok(Some(Packet::Connect(connect))) => return Some(Ok(connect)),
            Ok(Some(_)) => return Some(Err(DecodeError::NotConnect)),
            Err(error) => return Some(Err(error)),
            Ok(None) => {}
        }
        poll_fn(|context| wire.poll(context, true)).await.ok()?;
    }
}

/// Only the question who it is may be cut off by its end: whoever waits for a
/// session, or has it, must put it back. It waits no longer than `connect_by`, and
/// after that for the disk alone.
async fn check(connect: &Connect, peer: &Peer, shared: &Arc<Shared>) -> Result<Accepted, Refused> {
    if connect.authentication_method.is_some() {
        let reason = Reason::BAD_AUTHENTICATION_METHOD;
        return Err(Refused::new(reason, "authentication-method"));
    }
    let credentials = Credentials {
        client_id: Arc::clone(&connect.client_id),
        username: connect.username.clone(),
        password: connect.password.clone(),
    };
    let admitted = tokio::select! {
        admitted = shared.admit(peer, credentials) => admitted?,
        reason = peer.ticket.end().wait() => {
            return Err(Refused { reason, code: None });
        }
    };
    let expiry_max = shared.config.sessions.expiry_s_max;
    let expiry_s = match connect.version {
        Version::V5 => connect.session_expiry_s.min(expiry_max),
        Version::V311 if connect.clean_start => 0,
        Version::V311 => expiry_max,
    };
    let claim = Claim {
        grant: Grant {
            publish: admitted.device.publish.clone(),
            subscribe: admitted.device.subscribe.clone(),
        },
        device: Arc::clone(&admitted.device),
        client_id: Arc::clone(&admitted.client_id),
        clean_start: connect.clean_start,
        expiry_s,
        by: peer.connect_by,
    };
    let claimed = shared.sessions.claim(claim).await;
    let claimed = claimed.map_err(|error| not_served(&error, (&admitted.device, peer), shared))?;
    let origin = claimed.session.origin;
    let will = connect.will.as_ref();
    let will = will.map(|will| Will::new((**will).clone(), origin));
    let checked = match &will {
        Some(will) => will.check(&claimed.party),
        None => Ok(()),
    };
    let placed = checked
        .map_err(|error| Refused::new(Reason::NOT_AUTHORIZED, error.code()))
        .and_then(|()| Ok(shared.connect(peer, &admitted)?));
    let place = match placed {
        Ok(place) => place,
        Err(refused) => {
            shared.sessions.put_back(claimed).await;
            return Err(refused);
        }
    };
    Ok(Accepted {
        admitted,
        place,
        claimed,
        expiry_s,
        will: will.map(Box::new),
    })
}

fn not_served(error: &ClaimError, (device, peer): (&Device, &Peer), shared: &Shared) -> Refused {
    shared.counters.refused_total.add(1);
    shared
        .refusals
        .not_served(error, (&device.name, peer.address));
    let reason = error.reason();
    Refused { reason, code: None }
}

/// Tells the client that it is in, and lets it in: from now on its session is
/// another. None: it does not take so much as that.
async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    connect: &Connect,
    mut accepted: Accepted,
    (peer, shared): (&Peer, &Shared),
) -> Result<Option<Accepted>, Refused> {
    let quota = &accepted.admitted.device.quota;
    let limits = PacketLimits {
        packet_bytes_max: quota.packet_bytes_max.get(),
        ..PacketLimits::default()
    };
    let speaks = mqtt::Peer::new(connect.version, connect.packet_bytes_max);
    wire.agree(speaks, limits);
    let keep_alive_s = keep_alive_s(connect, shared.config.limits.keep_alive_s_max);
    let ack = ConnAck {
        session_present: accepted.claimed.present,
        session_expiry_s: (accepted.expiry_s != connect.session_expiry_s)
            .then_some(accepted.expiry_s),
        receive_max: NonZeroU16::new(accepted.receive_max()),
        packet_bytes_max: NonZeroU32::new(limits.packet_bytes_max),
        assigned_client_id: accepted
            .admitted
            .is_assigned
            .then(|| Arc::clone(&accepted.admitted.client_id)),
        topic_alias_max: ALIASES_MAX,
        keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        ..answer(Reason::SUCCESS)
    };
    if wire.write(&Packet::ConnAck(Box::new(ack))).is_err() {
        // Its session stays for a client that takes packets so large.
        shared.sessions.put_back(accepted.claimed).await;
        return Ok(None);
    }
    if let Err(error) = shared.sessions.admit(&mut accepted.claimed).await {
        wire.take_back();
        shared.sessions.put_back(accepted.claimed).await;
        let device = &accepted.admitted.device;
        return Err(not_served(&error, (device, peer), shared));
    }
    accepted.claimed.session.shrink();
    Ok(Some(accepted))
}

/// The client is in.
fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    wire: Wire<S>,
    connect: &Connect,
    accepted: Accepted,
    (peer, shared): (Peer, Arc<Shared>),
) -> Connection<S> {
    let receive_max = accepted.receive_max();
    let window = match connect.version {
        Version::V5 => receive_max.min(connect.receive_max.get()),
        Version::V311 => receive_max,
    };
    let keep_alive_s = keep_alive_s(connect, shared.config.limits.keep_alive_s_max);
    let Claimed { session, owner, .. } = accepted.claimed;
    owner.line().set_connected(true);
    if let Some(left_out) = shared.refusals.visit() {
        let (device, client_id) = (&session.device.name, &*session.client_id);
        info!(%device, client_id, address = %peer.address, left_out, "device connected");
    }
    shared.counters.connected_total.add(1);
    let shelf = session.lasting.is_some().then(Box::default);
    let mut connection = Connection {
        wire,
        session,
        owner,
        ticket: peer.ticket,
        place: accepted.place,
        will: accepted.will,
        window,
        receive_max,
        keep_alive_s,
        heard: Instant::now(),
        read_from: None,
        owed: Owed::default(),
        shelf,
        incoming: None,
        outgoing: (connect.topic_alias_max > 0)
            .then(|| Box::new(Outgoing::new(connect.topic_alias_max))),
        timer: None,
        unfinished: false,
        waits: false,
        reads: false,
        delivers: false,
        shared,
    };
    connection.release_again();
    connection
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// What the device has answered and not heard of since is released again.
    fn release_again(&mut self) {
        for sent in self.session.inflight.iter() {
            if sent.stage == Stage::Released {
                let released = Packet::PubRel(ack(sent.id, Reason::SUCCESS));
                // One that takes hardly any bytes will not get past its first packet.
                self.wire.write(&released).ok();
            }
        }
    }
}

/// Seconds of silence that are agreed on. A 3.1.1 device cannot be told.
fn keep_alive_s(connect: &Connect, max: u16) -> u16 {
    match (connect.version, connect.keep_alive_s) {
        (Version::V5, 0) => max,
        (Version::V5, asked) if max > 0 => asked.min(max),
        (_, asked) => asked,
    }
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, reason: Reason) {
    let ack = Packet::ConnAck(Box::new(answer(reason)));
    if wire.write(&ack).is_ok() {
        ending::close(wire).await;
    }
}

/// A CONNACK with nothing but its reason.
fn answer(reason: Reason) -> ConnAck {
    ConnAck {
        session_present: false,
        reason,
        session_expiry_s: None,
        receive_max: None,
        qos_max: None,
        retain_available: true,
        packet_bytes_max: None,
        assigned_client_id: None,
        topic_alias_max: 0,
        reason_text: None,
        user: Vec::new(),
        wildcards_available: true,
        subscription_ids_available: true,
        shared_available: true,
        keep_alive_s: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    }
}
