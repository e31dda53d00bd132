//! CONNECT: who it is, what it may do, and which session it gets.
//!
//! In this order, so that nothing costs much before it is known whose it is: the
//! packet, the device and its client id, the device's connections, its will, its
//! session. Whoever does not get past that is told why, if it can be told.

use std::future::poll_fn;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::aliases::{ALIASES_MAX, Outgoing};
use super::delivering::Shelf;
use super::permission::{self, Permitted};
use super::publishing::{Owed, ack};
use super::wire::Wire;
use super::{Connection, Incoming, ending, identifier};
use crate::broker::inflight::Stage;
use crate::broker::sessions::{Claim, Claimed, Connected};
use crate::broker::shared::{Peer, Shared};
use crate::broker::will::Will;
use crate::mqtt::{ConnAck, Connect, DecodeError, Packet, PacketLimits, Reason, Version};
use crate::{mqtt, names};

/// Bytes of a CONNECT, whoever it is from.
const CONNECT_BYTES_MAX: u32 = 64 << 10;

/// Why a client is not let in.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) code: &'static str,
}

impl Refused {
    pub(super) fn new(reason: Reason, code: &'static str) -> Self {
        Self { reason, code }
    }
}

/// A client that got in, before it is told.
struct Accepted {
    permitted: Permitted,
    place: crate::broker::quota::Place,
    claimed: Claimed,
    given_id: Option<Arc<str>>,
    expiry_s: u32,
    will: Option<Box<Will>>,
}

/// Takes one client in. None: it was not, and its connection is closed.
pub(super) async fn accept<S>(
    stream: S,
    peer: Peer,
    shared: Arc<Shared>,
    stop: &CancellationToken,
) -> Option<Connection<S>>
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
        () = stop.cancelled() => return None,
    };
    let connect = match connect {
        Some(Ok(connect)) => connect,
        None => return None,
        Some(Err(error)) => {
            let (reason, code) = (error.reason(), error.code());
            info!(address = %peer.address, %reason, code, "client refused");
            shared.counters.refused_total.add(1);
            if let DecodeError::Version { level } = error
                && level > 5
            {
                wire.agree(mqtt::Peer::new(Version::V5, None), limits);
            }
            if error.is_connect() {
                refuse(&mut wire, reason).await;
            }
            return None;
        }
    };
    wire.agree(
        mqtt::Peer::new(connect.version, connect.packet_bytes_max),
        limits,
    );
    let accepted = tokio::select! {
        accepted = check(&connect, &peer, &shared) => accepted,
        () = stop.cancelled() => Err(Refused::new(Reason::SERVER_SHUTTING_DOWN, "stopping")),
    };
    match accepted {
        Ok(accepted) => welcome(wire, *connect, accepted, peer, shared),
        Err(Refused { reason, code }) => {
            let (address, client_id) = (peer.address, &*connect.client_id);
            let client_id = client_id.chars().take(64).collect::<String>();
            info!(%address, client_id, %reason, code, "client refused");
            shared.counters.refused_total.add(1);
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

async fn check(connect: &Connect, peer: &Peer, shared: &Arc<Shared>) -> Result<Accepted, Refused> {
    if connect.authentication_method.is_some() {
        let reason = Reason::BAD_AUTHENTICATION_METHOD;
        return Err(Refused::new(reason, "authentication-method"));
    }
    let permitted = permission::ask(connect, peer, shared).await?;
    let device = &permitted.device;
    let given_id = given_id(connect, &device.name)?;
    let client_id = given_id
        .clone()
        .unwrap_or_else(|| Arc::clone(&connect.client_id));
    let place = shared
        .quotas
        .connect(device)
        .map_err(|_| Refused::new(Reason::QUOTA_EXCEEDED, "connections-exhausted"))?;
    let expiry_max = shared.config.sessions.expiry_s_max;
    let expiry_s = match connect.version {
        Version::V5 => connect.session_expiry_s.min(expiry_max),
        Version::V311 if connect.clean_start => 0,
        Version::V311 => expiry_max,
    };
    let claim = Claim {
        device: Arc::clone(device),
        grant: permitted.grant.clone(),
        client_id,
        clean_start: connect.clean_start,
        expiry_s,
        by: peer.connect_by,
    };
    let claimed = shared.sessions.claim(claim).await;
    let mut claimed = claimed.map_err(|error| Refused::new(error.reason(), error.code()))?;
    let origin = claimed.session.origin;
    let will = connect
        .will
        .as_ref()
        .map(|will| Will::new((**will).clone(), origin));
    if let Some(will) = &will
        && let Err(error) = will.check(&claimed.session.party)
    {
        if claimed.session.outlasts() {
            shared.sessions.keep(claimed.session, claimed.owner, None);
        } else {
            shared.sessions.forget(claimed.session).await;
        }
        return Err(Refused::new(Reason::NOT_AUTHORIZED, error.code()));
    }
    claimed.session.shrink();
    Ok(Accepted {
        permitted,
        place,
        claimed,
        given_id,
        expiry_s,
        will: will.map(Box::new),
    })
}

/// A client id for a client that has none; None: it has one that it may use.
fn given_id(connect: &Connect, device: &names::PartyName) -> Result<Option<Arc<str>>, Refused> {
    if !connect.client_id.is_empty() {
        if identifier::belongs(device, &connect.client_id) {
            return Ok(None);
        }
        let reason = Reason::CLIENT_ID_NOT_VALID;
        return Err(Refused::new(reason, "client-id-of-another"));
    }
    let given = identifier::give(device);
    given
        .map(Some)
        .map_err(|_| Refused::new(Reason::SERVER_UNAVAILABLE, "no-randomness"))
}

/// Tells the client that it is in; None: it does not take so much as that.
fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    connect: Connect,
    accepted: Accepted,
    peer: Peer,
    shared: Arc<Shared>,
) -> Option<Connection<S>> {
    let quota = &accepted.permitted.device.quota;
    let limits = PacketLimits {
        packet_bytes_max: quota.packet_bytes_max.get(),
        ..PacketLimits::default()
    };
    let speaks = mqtt::Peer::new(connect.version, connect.packet_bytes_max);
    wire.agree(speaks, limits);
    let inflight = u16::try_from(quota.inflight_max.get()).unwrap_or(u16::MAX);
    let window = match connect.version {
        Version::V5 => inflight.min(connect.receive_max.get()),
        Version::V311 => inflight,
    };
    let keep_alive_s = keep_alive_s(&connect, shared.config.limits.keep_alive_s_max);
    let ack = ConnAck {
        session_present: accepted.claimed.present,
        session_expiry_s: (accepted.expiry_s != connect.session_expiry_s)
            .then_some(accepted.expiry_s),
        receive_max: NonZeroU16::new(inflight),
        packet_bytes_max: NonZeroU32::new(limits.packet_bytes_max),
        assigned_client_id: accepted.given_id,
        topic_alias_max: ALIASES_MAX,
        keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        ..answer(Reason::SUCCESS)
    };
    let written = wire.write(&Packet::ConnAck(Box::new(ack)));
    let Claimed { session, owner, .. } = accepted.claimed;
    if written.is_err() {
        return None;
    }
    owner.line().set_connected(Some(Connected {
        address: peer.address,
        since: SystemTime::now(),
        version: connect.version,
    }));
    let (device, client_id) = (&session.device.name, &*session.client_id);
    info!(%device, client_id, address = %peer.address, "device connected");
    shared.counters.connected_total.add(1);
    let mut connection = Connection {
        wire,
        session,
        owner,
        peer,
        place: accepted.place,
        will: accepted.will,
        window: window.into(),
        receive_max: inflight.into(),
        silence_ms_max: (keep_alive_s > 0).then(|| u64::from(keep_alive_s) * 1_500),
        valid_until: accepted.permitted.valid_until,
        heard: Instant::now(),
        read_from: None,
        owed: Owed::default(),
        shelf: Shelf::default(),
        incoming: Incoming::default(),
        outgoing: (connect.topic_alias_max > 0)
            .then(|| Box::new(Outgoing::new(connect.topic_alias_max))),
        unfinished: false,
        shared,
    };
    connection.release_again();
    Some(connection)
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

/// How long a permission of so many seconds holds.
pub(super) fn until(seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(seconds.into())
}
