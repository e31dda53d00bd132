//! What waits for a plugin, beyond the inbox: the batch in hand, messages that
//! killed an instance, messages to be tried again.
//!
//! Everything here outlives the instance. Pure: it decides, others deliver.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::Message;
use crate::capabilities::port::Disposition;
use crate::names::Topic;

/// The delay before the first further delivery; it doubles each time.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);

/// A message on its way, and how often it has been delivered.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) message: Arc<Message>,
    pub(super) deliveries: u32,
    /// How many of them were to a predecessor.
    earlier: u32,
}

impl Held {
    /// A message that was never delivered.
    pub(super) fn fresh(message: Arc<Message>) -> Self {
        Self {
            message,
            deliveries: 0,
            earlier: 0,
        }
    }
}

/// A message that will never be delivered again, and why.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) held: Held,
    pub(super) reason: String,
}

/// What a mailbox may hold to be tried again, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Deliveries of one message after the first.
    pub(super) retries_max: u32,
    pub(super) messages_max: u32,
    pub(super) bytes_max: u64,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    bounds: Bounds,
    delayed_bytes: u64,
    hand: Vec<Held>,
    /// From a batch that killed an instance; delivered first and one by one, so
    /// that the guilty one is found and the order is kept.
    suspects: VecDeque<Held>,
    /// To be tried again at a time; these come out of order.
    delayed: Vec<(Instant, Held)>,
}

impl Mailbox {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            delayed_bytes: 0,
            hand: Vec::new(),
            suspects: VecDeque::new(),
            delayed: Vec::new(),
        }
    }

    /// Takes what was delivered before and is due again, as the batch in hand.
    /// Empty if it is the inbox's turn.
    pub(super) fn take_held(&mut self, max: usize, now: Instant) -> Vec<Arc<Message>> {
        let held: Vec<Held> = match self.suspects.pop_front() {
            Some(suspect) => vec![suspect],
            None if self.next_due(now).is_none_or(|due| due > now) => Vec::new(),
            None => self.take_due(max, now),
        };
        self.deliver(held)
    }

    fn take_due(&mut self, max: usize, now: Instant) -> Vec<Held> {
        self.delayed.sort_by_key(|&(due, _)| due);
        let due = self.delayed.iter().take(max);
        let due = due.take_while(|(due, _)| *due <= now).count();
        let held: Vec<Held> = self.delayed.drain(..due).map(|(_, held)| held).collect();
        let bytes = held.iter().map(|held| held.message.size()).sum();
        self.delayed_bytes = self.delayed_bytes.saturating_sub(bytes);
        held
    }

    /// Takes messages from the inbox as the batch in hand.
    pub(super) fn take_fresh(&mut self, messages: Vec<Arc<Message>>) -> Vec<Arc<Message>> {
        self.deliver(messages.into_iter().map(Held::fresh).collect())
    }

    fn deliver(&mut self, mut held: Vec<Held>) -> Vec<Arc<Message>> {
        for held in &mut held {
            held.deliveries = held.deliveries.saturating_add(1);
        }
        let messages = held.iter().map(|held| Arc::clone(&held.message)).collect();
        self.hand.append(&mut held);
        messages
    }

    /// Whether a batch is in hand.
    pub(super) fn has_in_hand(&self) -> bool {
        !self.hand.is_empty()
    }

    /// When the next message is due again: `None` if none waits.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.suspects.is_empty() {
            self.delayed.iter().map(|&(due, _)| due).min()
        } else {
            Some(now)
        }
    }

    /// Puts away the batch in hand; returns what is given up.
    pub(super) fn settle(&mut self, dispositions: Vec<Disposition>, now: Instant) -> Vec<Dead> {
        let mut dead = Vec::new();
        let hand = std::mem::take(&mut self.hand);
        let rest = std::iter::repeat(Disposition::Done);
        for (held, disposition) in hand.into_iter().zip(dispositions.into_iter().chain(rest)) {
            match disposition {
                Disposition::Done => {}
                Disposition::Reject(reason) => dead.push(Dead { held, reason }),
                Disposition::Retry(reason) if held.deliveries > self.bounds.retries_max => {
                    dead.push(Dead { held, reason });
                }
                Disposition::Retry(_) if self.is_full_for(&held) => {
                    let reason = "too many messages wait to be tried again".to_owned();
                    dead.push(Dead { held, reason });
                }
                Disposition::Retry(_) => {
                    let doublings = (held.deliveries - 1).min(16);
                    let delay = RETRY_DELAY_MIN
                        .saturating_mul(1 << doublings)
                        .min(RETRY_DELAY_MAX);
                    self.delayed_bytes = self.delayed_bytes.saturating_add(held.message.size());
                    self.delayed.push((now + delay, held));
                }
            }
        }
        dead
    }

    fn is_full_for(&self, held: &Held) -> bool {
        let bytes = self.delayed_bytes.saturating_add(held.message.size());
        let messages = u32::try_from(self.delayed.len()).unwrap_or(u32::MAX);
        messages >= self.bounds.messages_max || bytes > self.bounds.bytes_max
    }

    /// Takes other bounds; what is to be tried again stays, even beyond them.
    pub(super) fn relimit(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// From now on a successor is handed what waits here.
    pub(super) fn hand_on(&mut self) {
        self.recall();
        self.each(|held| held.earlier = held.deliveries);
    }

    /// From now on the predecessor is handed what waits here again: what its
    /// successor did to a message counts no more.
    pub(super) fn hand_back(&mut self) {
        self.recall();
        self.each(|held| held.deliveries = held.earlier);
    }

    /// Gives up what is not `wanted`, because of `reason`. What is in hand is to be
    /// delivered again.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Topic) -> bool, reason: &str) -> Vec<Dead> {
        self.recall();
        let unwanted = |held: &Held| !wanted(&held.message.topic);
        let suspects = std::mem::take(&mut self.suspects);
        let (mut gone, kept): (Vec<_>, Vec<_>) = suspects.into_iter().partition(unwanted);
        self.suspects = kept.into();
        let delayed = self.delayed.extract_if(.., |(_, held)| unwanted(held));
        gone.extend(delayed.map(|(_, held)| held));
        let bytes = self.delayed.iter().map(|(_, held)| held.message.size());
        self.delayed_bytes = bytes.sum();
        let dead = |held| Dead {
            held,
            reason: reason.to_owned(),
        };
        gone.into_iter().map(dead).collect()
    }

    /// The batch in hand is to be delivered again; nobody is guilty.
    fn recall(&mut self) {
        for held in std::mem::take(&mut self.hand).into_iter().rev() {
            self.suspects.push_front(held);
        }
    }

    fn each(&mut self, change: impl Fn(&mut Held)) {
        self.suspects.iter_mut().for_each(&change);
        self.delayed.iter_mut().for_each(|(_, held)| change(held));
    }

    /// The instance died with a batch in hand, because of `reason`. A message
    /// that was alone is guilty and, when that has happened before or may not be
    /// tried again, given up; unless the instance was `on_trial`: then it may be the
    /// guilty one, and the predecessor gets the message when it comes back.
    pub(super) fn bereave(&mut self, reason: &str, on_trial: bool) -> Vec<Dead> {
        let mut hand = std::mem::take(&mut self.hand);
        let alone = hand.len() == 1;
        let retries_max = self.bounds.retries_max;
        let guilty = |held: &Held| alone && !on_trial && held.deliveries > retries_max.min(1);
        let dead = hand.extract_if(.., |held| guilty(held));
        let dead = dead
            .map(|held| Dead {
                held,
                reason: reason.to_owned(),
            })
            .collect();
        self.hand = hand;
        self.recall();
        dead
    }
}

#[cfg(test)]
mod tests;
