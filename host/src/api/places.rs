//! Places for connections: so many for each role.
//!
//! Whoever has no role cannot take the places of those who have one. When a
//! role's places are all taken, the connection that has waited longest without a
//! request makes room; if all are at work, the newcomer is sent away.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::access::Role;
use super::connection::Peer;

/// Connections of those without a role, of viewers and of operators.
const ANYONE_MAX: usize = 8;
const VIEWERS_MAX: usize = 24;
const OPERATORS_MAX: usize = 32;
/// How long a connection that makes room may take to notice it.
const LEAVING_MAX: Duration = Duration::from_secs(1);

/// The places of one server.
#[derive(Debug)]
pub(super) struct Places {
    rows: [Row; 3],
}

/// The places of one role.
#[derive(Debug)]
struct Row {
    free: Arc<Semaphore>,
    taken: Mutex<Vec<Peer>>,
    max: usize,
}

impl Row {
    fn new(max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(max)),
            taken: Mutex::default(),
            max,
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            rows: [ANYONE_MAX, VIEWERS_MAX, OPERATORS_MAX].map(Row::new),
        }
    }
}

impl Places {
    /// A place for `peer`; none if all who have one are at work.
    pub(super) async fn take(&self, peer: &Peer) -> Option<OwnedSemaphorePermit> {
        let [anyone, viewers, operators] = &self.rows;
        let row = match peer.caller.role {
            Role::Anyone => anyone,
            Role::Viewer => viewers,
            Role::Operator => operators,
        };
        let free = Arc::clone(&row.free);
        let place = match free.try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                row.make_room()?;
                let leaving = Arc::clone(&row.free).acquire_owned();
                timeout(LEAVING_MAX, leaving).await.ok()?.ok()?
            }
        };
        let mut taken = row.taken.lock();
        if taken.len() >= row.max * 2 {
            // Those that ended by themselves.
            taken.retain(|peer| !peer.is_gone());
        }
        taken.push(peer.clone());
        Some(place)
    }
}

impl Row {
    /// Cuts off who waits for nothing, the longest first.
    fn make_room(&self) -> Option<()> {
        let mut taken = self.taken.lock();
        taken.retain(|peer| !peer.is_gone());
        let waiting = taken.iter().enumerate();
        let waiting = waiting.filter_map(|(index, peer)| Some((peer.waiting_since()?, index)));
        let (_, index) = waiting.min()?;
        taken.swap_remove(index).cut.cancel();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::{ANYONE_MAX, OPERATORS_MAX, Peer, Places, Role};
    use crate::api::access::Caller;

    fn peer(role: Role) -> Peer {
        let who = "someone".to_owned();
        let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
        Peer::new(Caller { who, role }, stopping, cut)
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_makes_room_and_who_works_does_not() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..OPERATORS_MAX {
            let peer = peer(Role::Operator);
            taken.push((places.take(&peer).await.unwrap(), peer));
        }
        let busy: Vec<_> = taken.iter().skip(1).map(|(_, peer)| peer.busy()).collect();
        let newcomer = peer(Role::Operator);
        let (place, first) = taken.remove(0);
        let leaves = async move {
            first.cut.cancelled().await;
            drop((place, first));
        };
        let (entered, ()) = tokio::join!(places.take(&newcomer), leaves);
        let working = newcomer.busy();
        assert!(entered.is_some());
        assert!(places.take(&peer(Role::Operator)).await.is_none());
        drop((working, busy));
    }

    #[tokio::test]
    async fn those_without_a_role_take_nobody_elses_place() {
        let places = Places::default();
        let mut held = Vec::new();
        for _ in 0..ANYONE_MAX {
            let peer = peer(Role::Anyone);
            let busy = peer.busy();
            held.push((places.take(&peer).await.unwrap(), peer, busy));
        }
        assert!(places.take(&peer(Role::Anyone)).await.is_none());
        assert!(places.take(&peer(Role::Viewer)).await.is_some());
        assert!(places.take(&peer(Role::Operator)).await.is_some());
    }
}
