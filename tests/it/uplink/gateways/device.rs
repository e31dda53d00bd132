//! A device that publishes numbers, and remembers which were acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::mqtt::raw::{Client, Connect, Packet, Publish, Step, Version};
use crate::mqtt::target::Target;
use crate::process::DEADLINE;

/// Topics of one device, each with numbers of its own.
pub(super) const TOPICS: usize = 3;
/// Messages unacknowledged at once.
pub(super) const WINDOW: usize = 16;
/// Messages published in each [`PAUSE`].
const BURST: usize = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// A device.
pub(super) struct Device {
    target: Target,
    connect: Connect,
    /// In the order in which they were first sent; identifiers stay theirs.
    unacknowledged: VecDeque<Publish>,
    id: u16,
    topics: [Topic; TOPICS],
    turn: usize,
    pub(super) connections: u64,
}

#[derive(Clone)]
struct Topic {
    name: String,
    next: u64,
    acknowledged: u64,
}

impl Device {
    pub(super) fn new(name: &str, version: Version, target: Target) -> Self {
        Self {
            target,
            connect: Connect::kept(version, name),
            unacknowledged: VecDeque::new(),
            id: 0,
            topics: std::array::from_fn(|own| Topic {
                name: format!("out/{name}/{own}"),
                next: 0,
                acknowledged: 0,
            }),
            turn: 0,
            connections: 0,
        }
    }

    /// How many of each topic were acknowledged.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (String, u64)> {
        let topics = self.topics.iter();
        topics.map(|topic| (topic.name.clone(), topic.acknowledged))
    }

    /// Publishes until it is over and all is acknowledged.
    pub(super) async fn publish(&mut self, over: &AtomicBool) {
        let mut progress = Instant::now();
        while !(over.load(Ordering::Relaxed) && self.unacknowledged.is_empty()) {
            assert!(progress.elapsed() < DEADLINE, "nothing is acknowledged");
            let connected = match self.target.try_dial().await {
                Ok(stream) => Client::open(stream, &self.connect).await.ok(),
                Err(_) => None,
            };
            match connected {
                Some(client) => {
                    self.connections += 1;
                    if self.session(client, over).await {
                        progress = Instant::now();
                    }
                }
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Publishes until the connection ends; whether anything was acknowledged.
    async fn session(&mut self, mut client: Client, over: &AtomicBool) -> bool {
        let version = self.connect.version;
        let mut any = false;
        for publish in &mut self.unacknowledged {
            publish.dup = true;
            client.send(&publish.bytes(version)).await;
        }
        let mut pace = interval(PAUSE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = client.next() => match packet {
                    Some(packet) => self.take(&packet),
                    None => return any,
                },
                _ = pace.tick() => {
                    if over.load(Ordering::Relaxed) && self.unacknowledged.is_empty() {
                        return true;
                    }
                    for _ in 0..BURST {
                        if over.load(Ordering::Relaxed) || self.unacknowledged.len() >= WINDOW {
                            break;
                        }
                        let publish = self.new_publish();
                        client.send(&publish.bytes(version)).await;
                        self.unacknowledged.push_back(publish);
                    }
                    continue;
                }
            }
            any = true;
        }
    }

    fn new_publish(&mut self) -> Publish {
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.turn = (self.turn + 1) % TOPICS;
        let topic = &mut self.topics[self.turn];
        let publish = Publish::new(&topic.name, &topic.next.to_string(), 1);
        topic.next += 1;
        publish.with(|publish| publish.id = self.id)
    }

    /// Acknowledgements come in the order of the messages.
    fn take(&mut self, packet: &Packet) {
        let publish = self.unacknowledged.pop_front();
        let publish = publish.unwrap_or_else(|| panic!("{packet:?} for nothing"));
        let expected = Packet::Step {
            step: Step::Ack,
            id: publish.id,
            reason: 0,
        };
        assert_eq!(*packet, expected, "of {publish:?}");
        let topic = self
            .topics
            .iter_mut()
            .find(|topic| topic.name == publish.topic);
        topic.unwrap().acknowledged += 1;
    }
}
