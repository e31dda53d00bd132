//! Messages of QoS 1, one after the other: each waits until everyone here who is to
//! get it has room, as long as it may. The target has it meanwhile, and stops sending
//! when it has enough of them unacknowledged.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{BUSY, More, Sure, refuse};
use crate::bus::{Message, PublishError, Reach, Receipt, Settled};
use crate::uplink::Shared;
use crate::uplink::target::Poison;

/// Until it is tried again where too many others wait for room.
const LINE_PAUSE: Duration = Duration::from_secs(1);

/// How long those who got it have in any case, though it waited for room until now.
const DONE_WAIT_MIN: Duration = Duration::from_secs(30);

/// What became of a message.
enum Became {
    Taken(Result<Reach, PublishError>, Settled),
    /// It has waited until it was of no use any more.
    Expired,
    /// It has waited for as long as it may.
    Late,
}

/// Hands over what waits, and what is then owed to the target.
pub(super) async fn to_bus(
    mut waiting: mpsc::Receiver<Sure<More>>,
    shared: &Shared,
    owed: mpsc::Sender<Sure<Settled>>,
) {
    while let Some((remote, more, until)) = waiting.recv().await {
        let Some(message) = shared.arrival(&remote, more) else {
            continue;
        };
        let (kept, hops) = (message.retain, message.hops);
        match hand_over(shared, message, until).await {
            Became::Taken(Ok(reach), settled) => {
                shared.reached(reach, &remote, kept);
                let until = until.max(Instant::now() + DONE_WAIT_MIN);
                // Acknowledged when settled; the order is kept where it is told.
                drop(owed.send((remote, settled, until)).await);
            }
            // It would be refused whenever it came.
            Became::Taken(Err(error), _) => {
                let poison = Poison::NotTaken(error.code());
                shared.bury(&remote.topic, &remote.payload, hops, poison);
            }
            Became::Expired => shared.counters.dropped("expired", 1),
            Became::Late => refuse(&remote, shared, BUSY),
        }
    }
}

async fn hand_over(shared: &Shared, mut message: Message, until: Instant) -> Became {
    let (receipt, settled) = Receipt::new();
    message.receipt = Some(receipt);
    let expires = message.expires_at.map(Instant::from_std);
    let taking = async {
        loop {
            match shared.party.publish_waiting(message.clone()).await {
                Err(PublishError::Busy { .. }) => sleep(LINE_PAUSE).await,
                taken => return taken,
            }
        }
    };
    let expires = expires.filter(|at| *at <= until);
    match timeout_at(expires.unwrap_or(until), taking).await {
        Ok(taken) => Became::Taken(taken, settled),
        Err(_) if expires.is_some() => Became::Expired,
        Err(_) => Became::Late,
    }
}
