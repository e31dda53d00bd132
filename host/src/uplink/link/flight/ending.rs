//! What the end of a connection says of the messages that were on their way.
//!
//! A message is given up only if the target shows, several times, that it is the
//! reason: it hangs up whenever that one comes alone, or answers what went later and
//! never that one. A target that answers nothing is waited for.

use tokio::time::Instant;

use super::{Flight, Poison};
use crate::uplink::entry::Entry;

/// Connections that end with the same message first, before it is given up.
pub(super) const BLAMED_MAX: u32 = 5;
/// Connections on which a message is passed over, before it is given up.
pub(super) const PASSED_MAX: u32 = 5;

/// How a connection ended, as far as it concerns what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::uplink::link) enum Ending {
    /// No message is the reason.
    Other,
    /// The target left something unanswered for too long.
    Silent,
    /// The target hung up, but it was asked for something else as well.
    Unclear,
    /// The target hung up, and was asked for nothing else.
    HungUp,
}

/// What is given up, and why.
pub(in crate::uplink::link) type GivenUp = Vec<(Entry, Poison)>;

impl Flight {
    /// Whether messages go one at a time, and only while the target is asked for
    /// nothing else: so it shows what it hangs up on.
    pub(in crate::uplink::link) fn is_careful(&self) -> bool {
        self.careful > 0
    }

    /// Whether the target may be asked for something else.
    pub(in crate::uplink::link) fn lets_ask(&self) -> bool {
        self.careful == 0 || !self.sent.iter().any(|sent| sent.on_wire)
    }

    /// The connection ended. Messages that are the reason are taken out.
    pub(in crate::uplink::link) fn ended(&mut self, ending: Ending, now: Instant) -> GivenUp {
        let (on_wire, _) = self.on_wire();
        let given_up = match ending {
            Ending::HungUp => self.blame(on_wire, now),
            Ending::Unclear => {
                self.careful = self.careful.max(on_wire);
                GivenUp::new()
            }
            Ending::Silent | Ending::Other if on_wire == 0 => {
                // It may never answer what must be answered before one goes alone.
                self.careful = 0;
                GivenUp::new()
            }
            Ending::Silent => self.passed_over(),
            Ending::Other => GivenUp::new(),
        };
        for sent in &mut self.sent {
            sent.on_wire = false;
            sent.passed_at = None;
        }
        self.answered_at = None;
        self.loose = 0;
        given_up
    }

    /// Suspects the first of those on their way. Once is enough if it is of a topic at
    /// which the target hung up before, and the target takes others.
    fn blame(&mut self, on_wire: usize, now: Instant) -> GivenUp {
        let Some(place) = self.sent.iter().position(|sent| sent.on_wire) else {
            return GivenUp::new();
        };
        let Some(sent) = self.sent.get(place) else {
            return GivenUp::new();
        };
        let suspect = (sent.lane, sent.number);
        let known = self.denied.holds(&sent.entry.topic, now);
        self.takes &= known;
        let times = match self.blamed {
            Some((last, times)) if last == suspect => times + 1,
            _ => 1,
        };
        self.blamed = Some((suspect, times));
        if times >= 2 || known {
            self.careful = self.careful.max(on_wire);
        }
        let enough = if self.takes { 1 } else { BLAMED_MAX };
        if times < enough || on_wire > 1 {
            return GivenUp::new();
        }
        self.blamed = None;
        self.buried = true;
        let Some(sent) = self.discard_at(place) else {
            return GivenUp::new();
        };
        let topic = sent.entry.topic.clone();
        let more = self.denied.hung_up(&topic, self.takes, now);
        self.set_aside(&topic);
        let more = self.give_up_aside(sent.lane, &topic, more);
        let mut given_up = vec![(sent.entry, Poison::EndsConnections(times))];
        let more = more.into_iter();
        given_up.extend(more.map(|entry| (entry, Poison::TopicEndsConnections)));
        given_up
    }

    /// Whether the target took something since something was given up; asked once.
    pub(in crate::uplink::link) fn is_mended(&mut self) -> bool {
        std::mem::take(&mut self.mended)
    }

    /// Counts what the target passed over.
    fn passed_over(&mut self) -> GivenUp {
        let mut given_up = GivenUp::new();
        for place in (0..self.sent.len()).rev() {
            let Some(sent) = self.sent.get_mut(place) else {
                continue;
            };
            if !sent.on_wire || sent.passed_at.is_none() {
                continue;
            }
            sent.passed += 1;
            let times = sent.passed;
            if times >= PASSED_MAX
                && let Some(sent) = self.discard_at(place)
            {
                given_up.push((sent.entry, Poison::PassedOver(times)));
            }
        }
        given_up.reverse();
        self.buried |= !given_up.is_empty();
        given_up
    }
}
