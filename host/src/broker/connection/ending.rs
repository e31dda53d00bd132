//! The end of a connection: what the device is told, what becomes of its will and
//! of its session.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::info;

use super::wire::Wire;
use super::{Connection, Ended};
use crate::broker::session::Session;
use crate::broker::session::away::Left;
use crate::mqtt::{Disconnect, Packet, Reason, Version};

/// How long the last bytes may take to go out.
const LAST_WORDS_MS_MAX: u64 = 500;

pub(super) async fn end<S>(connection: Connection<S>, ended: Ended)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let unreleased_max = connection.unreleased_max();
    let Connection {
        mut wire,
        mut session,
        owner,
        shared,
        ticket,
        will,
        shelf,
        owed,
        place,
        ..
    } = connection;
    if let Some(left_out) = shared.refusals.visit() {
        log(&session, &ended, ticket.address(), left_out);
    }
    match &ended {
        Ended::Told(Reason::SESSION_TAKEN_OVER) => shared.counters.taken_over_total.add(1),
        Ended::Fault { .. } => shared.counters.faults_total.add(1),
        _ => {}
    }
    let will = match &ended {
        Ended::Left { will: false, .. } => None,
        _ => will,
    };
    if let Ended::Left {
        expiry_s: Some(new),
        ..
    } = &ended
        && let Some(lasting) = &mut session.lasting
    {
        lasting.expiry_s = (*new).min(shared.config.sessions.expiry_s_max);
    }
    // Whoever comes for the session needs the place, and must not wait for a slow
    // device.
    drop(place);
    owed.leave(&mut session, unreleased_max);
    let will = match will {
        Some(will) if ended == Ended::Told(Reason::SERVER_SHUTTING_DOWN) => {
            will.publish_now(&session.party);
            None
        }
        will => will.map(|will| *will),
    };
    if session.lasting.is_some() {
        // At once: whatever becomes of this task, the session is kept.
        shared.sessions.keep(session, owner, Left { will, shelf });
    } else {
        if let Some(will) = will {
            will.publish(&session.party).await;
        }
        drop(session);
        owner.release(None);
    }
    say_goodbye(&mut wire, &ended).await;
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

fn log(session: &Session, ended: &Ended, address: SocketAddr, left_out: Option<u64>) {
    let (device, client_id) = (&session.device.name, &*session.client_id);
    match ended {
        Ended::Left { .. } => {
            info!(%device, client_id, %address, left_out, "device disconnected");
        }
        Ended::Lost => info!(%device, client_id, %address, left_out, "device lost"),
        Ended::Fault { reason, code } => {
            info!(%device, client_id, %address, %reason, code, left_out, "device's connection ended");
        }
        Ended::Told(reason) => {
            info!(%device, client_id, %address, %reason, left_out, "device's connection ended");
        }
    }
}
