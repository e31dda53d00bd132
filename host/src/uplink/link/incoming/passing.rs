//! Messages of QoS 0: each waits a while for room, in order of its topic, and holds
//! up no other topic.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::{BUSY, More, PASSING_BYTES_MAX};
use crate::bus::{Message, PublishError, Reach};
use crate::names::Topic;
use crate::uplink::Shared;
use crate::uplink::remote::Remote;
use crate::uplink::target::Poison;

/// How long a message waits for subscribers that make publishers wait; then it is
/// given up.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(30);

/// Messages of one topic that wait for room, and of all; the next one is dropped.
const LANE_MAX: usize = 128;
const LANES_MAX: usize = 1_024;
/// Bytes of all that wait: what waits leaves room for topics that do not.
const LANES_BYTES_MAX: usize = PASSING_BYTES_MAX / 2;

/// A message, and until when it may wait.
struct Waiting {
    remote: Remote,
    message: Message,
    until: Instant,
}

/// What became of a message.
struct Done {
    remote: Remote,
    /// Its topic here.
    topic: Topic,
    kept: bool,
    hops: u8,
    /// None: it has waited long enough.
    taken: Option<Result<Reach, PublishError>>,
}

type Publishing<'a> = Pin<Box<dyn Future<Output = Done> + Send + 'a>>;

/// What waits for room: of each topic one is being published, and more stand behind
/// it.
struct Lanes<'a> {
    shared: &'a Shared,
    room: &'a Semaphore,
    first: FuturesUnordered<Publishing<'a>>,
    behind: HashMap<Topic, VecDeque<Waiting>>,
    count: usize,
}

/// Hands over what waits.
pub(super) async fn to_bus(
    mut waiting: mpsc::Receiver<(Remote, More)>,
    shared: &Shared,
    room: &Arc<Semaphore>,
) {
    let mut lanes = Lanes {
        shared,
        room,
        first: FuturesUnordered::new(),
        behind: HashMap::new(),
        count: 0,
    };
    loop {
        tokio::select! {
            Some((remote, more)) = waiting.recv() => {
                let Some(message) = shared.arrival(&remote, more) else {
                    continue;
                };
                let until = Instant::now() + ROOM_WAIT_MAX;
                lanes.take(Waiting { remote, message, until });
            }
            Some(done) = lanes.first.next(), if !lanes.first.is_empty() => lanes.left(done),
            else => return,
        }
    }
}

impl<'a> Lanes<'a> {
    /// Publishes it, unless one of its topic waits.
    fn take(&mut self, waiting: Waiting) {
        let topic = waiting.message.topic.clone();
        let full = self.count >= LANES_MAX || self.is_out_of_room();
        if let Some(behind) = self.behind.get_mut(&topic) {
            if full || behind.len() >= LANE_MAX {
                self.shared.counters.dropped("busy", 1);
            } else {
                behind.push_back(waiting);
                self.count += 1;
            }
            return;
        }
        if let Some(publishing) = self.publish(waiting) {
            if full {
                self.shared.counters.dropped("busy", 1);
                return;
            }
            self.first.push(publishing);
            self.behind.insert(topic, VecDeque::new());
            self.count += 1;
        }
    }

    fn is_out_of_room(&self) -> bool {
        self.room.available_permits() < PASSING_BYTES_MAX - LANES_BYTES_MAX
    }

    /// The first of a topic is through or given up: those behind it follow, as far as
    /// there is room.
    fn left(&mut self, done: Done) {
        let topic = done.topic.clone();
        self.count = self.count.saturating_sub(1);
        self.told(done);
        while let Some(behind) = self.behind.get_mut(&topic) {
            let Some(next) = behind.pop_front() else {
                self.behind.remove(&topic);
                return;
            };
            if let Some(publishing) = self.publish(next) {
                self.first.push(publishing);
                return;
            }
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Publishes a message. If it must wait, that is what is returned.
    fn publish(&self, waiting: Waiting) -> Option<Publishing<'a>> {
        let shared = self.shared;
        let mut publishing: Publishing<'a> = Box::pin(async move {
            let Waiting {
                remote,
                message,
                until,
            } = waiting;
            let (topic, kept, hops) = (message.topic.clone(), message.retain, message.hops);
            let published = shared.party.publish_waiting(message);
            let taken = timeout_at(until, published).await.ok();
            Done {
                remote,
                topic,
                kept,
                hops,
                taken,
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        match publishing.as_mut().poll(&mut context) {
            Poll::Ready(done) => {
                self.told(done);
                None
            }
            // Polled again, with a waker, among those that wait.
            Poll::Pending => Some(publishing),
        }
    }

    fn told(&self, done: Done) {
        let Done { remote, hops, .. } = done;
        let refused = match done.taken {
            Some(Ok(reach)) => return self.shared.reached(reach, &remote, done.kept),
            Some(Err(error)) => error.code(),
            None => BUSY,
        };
        let poison = Poison::NotTaken(refused);
        self.shared
            .bury(&remote.topic, &remote.payload, hops, poison);
    }
}
