//! What a plugin has still to say while the bus is busy.

use std::collections::VecDeque;

use crate::error::{Error, PublishError, Refusal};
use crate::message::Message;

/// The most that the contract takes in one call.
const BATCH_MAX: usize = 1_024;

/// Messages not yet accepted by the bus, oldest first.
///
/// A plugin with state cannot make its messages again when the bus was busy:
/// it puts them here and flushes at every call. When full, the oldest message
/// gives way and is counted.
#[derive(Debug, Clone)]
pub struct Outbox {
    waiting: VecDeque<Message>,
    max: usize,
    displaced: u64,
}

impl Outbox {
    /// Empty, for at most `max` messages (at least one).
    pub fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            max: max.max(1),
            displaced: 0,
        }
    }

    /// Puts `message` last.
    pub fn push(&mut self, message: Message) {
        if self.waiting.len() >= self.max {
            self.waiting.pop_front();
            self.displaced += 1;
        }
        self.waiting.push_back(message);
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The messages waiting, oldest first: a [`crate::Stateful`] plugin keeps
    /// them over an update, and [`push`](Self::push)es them again.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.waiting.iter()
    }

    /// Messages that gave way to newer ones.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Hands all to `publish_all`, usually [`crate::publish_all`]. A message
    /// refused for good is given up and the others go on; a busy bus leaves
    /// the rest waiting.
    ///
    /// # Errors
    /// [`Error::Retry`] if the bus was busy, else [`Error::Reject`] with the
    /// last refusal.
    pub fn flush(
        &mut self,
        publish_all: impl Fn(&[Message]) -> Result<(), PublishError>,
    ) -> Result<(), Error> {
        let mut outcome = Ok(());
        while !self.waiting.is_empty() {
            let waiting = self.waiting.make_contiguous();
            let batch = waiting.get(..BATCH_MAX).unwrap_or(waiting);
            let refused = match publish_all(batch) {
                Ok(()) => {
                    let accepted = batch.len();
                    self.waiting.drain(..accepted);
                    continue;
                }
                Err(refused) => refused,
            };
            let accepted = (refused.index as usize).min(self.waiting.len());
            self.waiting.drain(..accepted);
            if matches!(refused.reason, Refusal::Busy(_)) {
                return Err(refused.into());
            }
            self.waiting.pop_front();
            outcome = Err(refused.into());
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn filled(topics: &[&str]) -> Outbox {
        let mut outbox = Outbox::new(3);
        for topic in topics {
            outbox.push(Message::new(*topic, ""));
        }
        outbox
    }

    /// A bus that refuses one topic and writes down the others.
    fn flush(outbox: &mut Outbox, refused: &str, reason: &Refusal) -> (Vec<String>, bool) {
        let accepted = RefCell::new(Vec::new());
        let outcome = outbox.flush(|messages| {
            for (index, message) in (0..).zip(messages) {
                if message.topic == refused {
                    let reason = *reason;
                    return Err(PublishError { index, reason });
                }
                accepted.borrow_mut().push(message.topic.clone());
            }
            Ok(())
        });
        (
            accepted.into_inner(),
            matches!(outcome, Err(Error::Retry(_))),
        )
    }

    #[test]
    fn a_busy_bus_leaves_the_rest_waiting_in_order() {
        let mut outbox = filled(&["a", "b", "c"]);
        let (accepted, retry) = flush(&mut outbox, "b", &Refusal::Busy(5));
        assert_eq!((accepted, retry), (vec!["a".to_owned()], true));
        assert_eq!(outbox.len(), 2);
        let (accepted, retry) = flush(&mut outbox, "", &Refusal::Busy(5));
        assert_eq!(
            (accepted, retry),
            (vec!["b".to_owned(), "c".to_owned()], false)
        );
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_refused_message_does_not_hold_up_the_others() {
        let mut outbox = filled(&["a", "b", "c"]);
        let (accepted, retry) = flush(&mut outbox, "b", &Refusal::NotGranted);
        assert_eq!(
            (accepted, retry),
            (vec!["a".to_owned(), "c".to_owned()], false)
        );
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut outbox = filled(&["a", "b", "c", "d"]);
        let waiting: Vec<_> = outbox.waiting().map(|message| &message.topic).collect();
        assert_eq!(waiting, ["b", "c", "d"]);
        let (accepted, _) = flush(&mut outbox, "", &Refusal::NotGranted);
        assert_eq!(accepted, ["b", "c", "d"]);
        assert_eq!(outbox.displaced(), 1);
    }
}
