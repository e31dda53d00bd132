//! What of the line's messages has arrived in the cloud.
//!
//! At the stand-in, arriving is being seen there, on a bus of its own. Nobody looks
//! into a real account: there, it is that the account has acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::event::Event;
use crate::bus::{Inbox, Message};
use crate::uplink::{LinkState, Uplink};

/// What stands before the topics of the line in the cloud.
pub(super) const PREFIX: &str = "selvedge/demo/";

/// Which of the line's messages go there: the first levels of their topics.
pub(super) const SENT: [&str; 2] = ["anomaly/", "notice/"];

/// How often a real account's acknowledgements are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const BATCH_MAX: usize = 64;

/// Where the cloud is watched.
#[derive(Debug)]
pub enum Cloud {
    /// All that arrives at the stand-in.
    StandIn(Inbox),
    /// The uplink to a real account.
    Account(Uplink),
}

/// Tells what arrived.
#[derive(Debug)]
pub(super) struct Arrivals<'a> {
    cloud: &'a mut Cloud,
    batch: Vec<Arc<Message>>,
    looks: Interval,
    /// Messages of the line that go to the cloud, so far.
    sent: u64,
    /// Anomalies, and which of the messages each is, until acknowledged.
    waiting: VecDeque<(u64, Event)>,
    /// What last went wrong with a real account.
    trouble: Option<String>,
}

impl<'a> Arrivals<'a> {
    pub(super) fn new(cloud: &'a mut Cloud) -> Self {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self {
            cloud,
            batch: Vec::with_capacity(BATCH_MAX),
            looks,
            sent: 0,
            waiting: VecDeque::new(),
            trouble: None,
        }
    }

    /// Takes note of a message of the line, and of what it says.
    pub(super) fn sent(&mut self, topic: &str, event: Option<&Event>) {
        if !SENT.iter().any(|first| topic.starts_with(first)) {
            return;
        }
        self.sent += 1;
        if let (Cloud::Account(_), Some(arrival)) = (&*self.cloud, event.and_then(arrival)) {
            self.waiting.push_back((self.sent, arrival));
        }
    }

    /// What arrived since the last time, once something did. Nothing is lost if this
    /// is dropped while it waits.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        match &mut *self.cloud {
            Cloud::StandIn(inbox) => {
                inbox.receive(BATCH_MAX, &mut self.batch).await;
                self.batch
                    .drain(..)
                    .filter_map(|message| seen(&message))
                    .collect()
            }
            Cloud::Account(uplink) => {
                self.looks.tick().await;
                let uplink = uplink.clone();
                self.acknowledged(&uplink)
            }
        }
    }

    /// Acknowledgements come nearly in order: as many as there are, so many of the
    /// messages have arrived.
    fn acknowledged(&mut self, uplink: &Uplink) -> Vec<Event> {
        let status = uplink.status();
        let mut arrived = Vec::new();
        while let Some((_, event)) = self
            .waiting
            .pop_front_if(|(number, _)| *number <= status.acknowledged_total)
        {
            arrived.push(event);
        }
        let trouble = match status.state {
            LinkState::Connected => None,
            _ => status.last_error.map(|error| error.message),
        };
        if trouble != self.trouble {
            arrived.extend(trouble.as_deref().map(Event::uplink));
            self.trouble = trouble;
        }
        arrived
    }
}

/// What a message says that was seen in the cloud.
fn seen(message: &Message) -> Option<Event> {
    let topic = message.topic.as_str().strip_prefix(PREFIX)?;
    arrival(&Event::parse(topic, &message.payload)?)
}

/// That an anomaly arrived; when, nobody knows yet.
fn arrival(event: &Event) -> Option<Event> {
    let Event::Anomaly {
        device,
        state,
        kind,
    } = event
    else {
        return None;
    };
    Some(Event::Cloud {
        device: device.clone(),
        state: *state,
        kind: kind.clone(),
        after_s: None,
    })
}
