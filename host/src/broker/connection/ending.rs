//! The end of a connection: what the device is told, what becomes of its will and
//! of its session.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::info;

use super::wire::Wire;
use super::{Connection, Ended};
use crate::broker::will::Will;
use crate::mqtt::{Disconnect, Packet, Reason, Version};

/// How long the last bytes may take to go out.
const LAST_WORDS_MS_MAX: u64 = 1_000;

pub(super) async fn end<S>(connection: Connection<S>, ended: Ended)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Connection {
        mut wire,
        mut session,
        owner,
        shared,
        peer,
        will,
        shelf,
        place,
        ..
    } = connection;
    log(&session.device.name, &session.client_id, &ended, &peer);
    match &ended {
        Ended::Told(Reason::SESSION_TAKEN_OVER) => shared.counters.taken_over_total.add(1),
        Ended::Fault { .. } => shared.counters.faults_total.add(1),
        _ => {}
    }
    let will = match &ended {
        Ended::Left { will: false, .. } => None,
        _ => will,
    };
    if let (
        Ended::Left {
            expiry_s: Some(new),
            ..
        },
        Some(lasting),
    ) = (&ended, &mut session.lasting)
    {
        lasting.expiry_s = (*new).min(shared.config.sessions.expiry_s_max);
    }
    let heir = ended == Ended::Told(Reason::SESSION_TAKEN_OVER);
    // Whoever comes for the session needs the place, and must not wait for a slow
    // device.
    drop(place);
    shelf.clear(&mut session).await;
    let outlasts = session.outlasts();
    let will = publish_due(will, &session.party, outlasts, &ended).await;
    match (heir, outlasts) {
        // A delayed will is said only if the newcomer begins anew.
        (true, true) => {
            session.will = will.map(Box::new);
            owner.release(Some(session));
        }
        (false, true) => shared.sessions.keep(session, owner, will),
        (_, false) => {
            shared.sessions.forget(session).await;
            owner.release(None);
        }
    }
    say_goodbye(&mut wire, &ended).await;
}

/// Publishes what is due; returns what is to be said later.
async fn publish_due(
    will: Option<Box<Will>>,
    party: &crate::bus::Party,
    outlasts: bool,
    ended: &Ended,
) -> Option<Will> {
    let will = *will?;
    if *ended == Ended::Told(Reason::SERVER_SHUTTING_DOWN) {
        will.publish_now(party);
        return None;
    }
    if outlasts && will.delay > Duration::ZERO {
        return Some(will);
    }
    will.publish(party).await;
    None
}

/// Tells the device why, as far as its version lets us and it takes it.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, ended: &Ended) {
    let reason = match ended {
        Ended::Left { .. } => None,
        Ended::Lost => return,
        Ended::Fault { reason, .. } | Ended::Told(reason) => Some(*reason),
    };
    if let Some(reason) = reason.filter(|_| wire.version() == Version::V5) {
        let disconnect = Packet::Disconnect(Disconnect {
            reason,
            session_expiry_s: None,
            reason_text: None,
            user: Vec::new(),
            server_reference: None,
        });
        // Too large for the device: then it hears nothing.
        wire.write(&disconnect).ok();
    }
    close(wire).await;
}

/// Writes what is left and closes, within bounds.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
    let last = async {
        poll_fn(|context| wire.poll_write(context)).await?;
        poll_fn(|context| wire.poll_shutdown(context)).await
    };
    let wait = Duration::from_millis(LAST_WORDS_MS_MAX);
    // Whatever comes of it, the stream is dropped next.
    timeout(wait, last).await.ok();
}

fn log(
    device: &crate::names::PartyName,
    client_id: &str,
    ended: &Ended,
    peer: &crate::broker::shared::Peer,
) {
    let address = peer.address;
    match ended {
        Ended::Left { .. } => info!(%device, client_id, %address, "device disconnected"),
        Ended::Lost => info!(%device, client_id, %address, "device lost"),
        Ended::Fault { reason, code } => {
            info!(%device, client_id, %address, %reason, code, "device's connection ended");
        }
        Ended::Told(reason) => {
            info!(%device, client_id, %address, %reason, "device's connection ended");
        }
    }
}
