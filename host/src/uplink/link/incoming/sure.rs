//! Messages of QoS 1, one after the other: each waits until everyone here who is to
//! get it has room. The target has it meanwhile, and stops sending when it has enough
//! of them unacknowledged.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::More;
use crate::bus::{Message, PublishError, Reach, Receipt, Settled};
use crate::uplink::Shared;
use crate::uplink::remote::Remote;
use crate::uplink::target::Poison;

/// Until it is tried again where too many others wait for room.
const LINE_PAUSE: Duration = Duration::from_secs(1);

/// Hands over what waits, and what is then owed to the target.
pub(super) async fn to_bus(
    mut waiting: mpsc::Receiver<(Remote, More)>,
    shared: &Shared,
    owed: mpsc::Sender<(Settled, Remote)>,
) {
    while let Some((remote, more)) = waiting.recv().await {
        let Some(message) = shared.arrival(&remote, more) else {
            continue;
        };
        let (kept, hops) = (message.retain, message.hops);
        match taken(shared, message).await {
            Some((Ok(reach), settled)) => {
                shared.reached(reach, &remote, kept);
                // Acknowledged when settled; the order is kept where it is told.
                drop(owed.send((settled, remote)).await);
            }
            // It would be refused whenever it came.
            Some((Err(error), _)) => {
                let poison = Poison::NotTaken(error.code());
                shared.bury(&remote.topic, &remote.payload, hops, poison);
            }
            None => shared.counters.dropped("expired", 1),
        }
    }
}

/// What became of a message, and when it is settled. None if it has waited until it
/// is of no use any more.
async fn taken(
    shared: &Shared,
    mut message: Message,
) -> Option<(Result<Reach, PublishError>, Settled)> {
    let (receipt, settled) = Receipt::new();
    message.receipt = Some(receipt);
    let taking = async {
        loop {
            match shared.party.publish_waiting(message.clone()).await {
                Err(PublishError::Busy { .. }) => sleep(LINE_PAUSE).await,
                taken => return taken,
            }
        }
    };
    let taken = match message.expires_at {
        Some(at) => timeout_at(Instant::from_std(at), taking).await.ok()?,
        None => taking.await,
    };
    Some((taken, settled))
}
