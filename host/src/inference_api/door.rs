//! Where callers come in: who they are, and whether there is a place for them.
//!
//! One user has at most half of all places, so that nobody keeps the others out. Who
//! has no right gets a place for as long as it takes to be told so.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Shared;
use super::client::Client;
use super::connection::Connection;
use crate::api::access::{Role, Users};

/// Callers of whom it is not yet known who they are.
const ENTERING_MAX: usize = 32;
/// Places for those who have no right, over all of them.
const STRANGERS_MAX: usize = 8;
/// Before the next attempt, when the system lets nobody in.
const PAUSE: Duration = Duration::from_millis(100);

/// Everyone who is connected.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<HashMap<Seat, usize>>>, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Seat {
    User(u32),
    Stranger,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Place(Places, Seat);

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::default(), max)
    }

    fn take(&self, seat: Seat) -> Option<Place> {
        let mut taken = self.0.lock();
        let of_users = |taken: &HashMap<Seat, usize>| -> usize {
            let users = taken.iter().filter(|(seat, _)| **seat != Seat::Stranger);
            users.map(|(_, count)| count).sum()
        };
        let own = taken.get(&seat).copied().unwrap_or_default();
        let has_room = match seat {
            Seat::Stranger => own < STRANGERS_MAX,
            Seat::User(_) => own < self.1.div_ceil(2) && of_users(&taken) < self.1,
        };
        if !has_room {
            return None;
        }
        taken.insert(seat, own + 1);
        Some(Place(self.clone(), seat))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(places, seat) = self;
        let mut taken = places.0.lock();
        if let Some(count) = taken.get_mut(seat) {
            *count -= 1;
            if *count == 0 {
                taken.remove(seat);
            }
        }
    }
}

/// A door.
pub(super) struct Door {
    pub(super) listener: UnixListener,
    pub(super) users: Arc<Users>,
    pub(super) shared: Arc<Shared>,
    pub(super) places: Places,
    pub(super) stopping: CancellationToken,
    pub(super) cut: CancellationToken,
}

type Entering = FuturesUnordered<BoxFuture<'static, Option<Connection>>>;

impl Door {
    /// Those who came in.
    pub(super) fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        let begin = (self, Entering::new());
        stream::unfold(begin, async |(door, mut entering)| {
            let connection = door.next(&mut entering).await;
            Some((Ok(connection), (door, entering)))
        })
    }

    async fn next(&self, entering: &mut Entering) -> Connection {
        loop {
            let has_room = entering.len() < ENTERING_MAX;
            tokio::select! {
                Some(entered) = entering.next(), if !entering.is_empty() => {
                    if let Some(connection) = entered {
                        return connection;
                    }
                }
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, _)) => entering.push(self.enter(stream)),
                    Err(error) => {
                        warn!(error = %error, "connection not accepted");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    fn enter(&self, stream: UnixStream) -> BoxFuture<'static, Option<Connection>> {
        let (users, shared) = (Arc::clone(&self.users), Arc::clone(&self.shared));
        let (places, stopping) = (self.places.clone(), self.stopping.clone());
        let cut = self.cut.child_token();
        Box::pin(async move {
            let credentials = stream.peer_cred().ok()?;
            let (uid, gid) = (credentials.uid(), credentials.gid());
            let caller = spawn_blocking(move || users.caller(uid, gid)).await.ok()?;
            let seat = match caller.role {
                Role::Anyone => Seat::Stranger,
                Role::Viewer | Role::Operator => Seat::User(uid),
            };
            let Some(place) = places.take(seat) else {
                shared.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                debug!(client = caller.who, "connection refused: there is no place");
                return None;
            };
            let client = Client::new(caller, stopping, shared.budget.share(uid));
            Some(Connection::new(stream, client, cut, place))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, STRANGERS_MAX, Seat};

    #[test]
    fn one_user_leaves_half_of_the_places_and_strangers_leave_all() {
        let places = Places::new(4);
        let strangers: Vec<_> = (0..STRANGERS_MAX + 5)
            .filter_map(|_| places.take(Seat::Stranger))
            .collect();
        assert_eq!(strangers.len(), STRANGERS_MAX);
        let first: Vec<_> = (0..9).filter_map(|_| places.take(Seat::User(1))).collect();
        assert_eq!(first.len(), 2);
        let second: Vec<_> = (0..9).filter_map(|_| places.take(Seat::User(2))).collect();
        assert_eq!(second.len(), 2);
        assert!(places.take(Seat::User(3)).is_none());
        drop(first);
        assert!(places.take(Seat::User(3)).is_some());
    }
}
