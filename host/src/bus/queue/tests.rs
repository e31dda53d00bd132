use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::{InboxLimits, Queue};
use crate::bus::Message;
use crate::spec::Overflow;

/// The four policies written down naively, over (topic, serial number, size).
#[derive(Default)]
struct Model {
    waiting: Vec<(u8, u64, u64)>,
    dropped: u64,
}

impl Model {
    fn fits(&self, limits: &InboxLimits, size: u64) -> bool {
        let bytes: u64 = self.waiting.iter().map(|(.., size)| size).sum();
        self.waiting.len() < limits.messages_max as usize && bytes + size <= limits.bytes_max
    }

    fn push(&mut self, limits: &InboxLimits, message: (u8, u64, u64)) {
        let (topic, _, size) = message;
        if size > limits.bytes_max {
            self.dropped += 1;
            return;
        }
        if !self.fits(limits, size) {
            let newest = self.waiting.iter().rposition(|(other, ..)| *other == topic);
            match (limits.overflow, newest) {
                (Overflow::Block | Overflow::DropNewest, _) => {
                    self.dropped += 1;
                    return;
                }
                (Overflow::LatestPerTopic, Some(place)) => {
                    let mut replaced = self.waiting.clone();
                    replaced[place] = message;
                    if replaced.iter().map(|(.., size)| size).sum::<u64>() <= limits.bytes_max {
                        self.waiting = replaced;
                        self.dropped += 1;
                        return;
                    }
                }
                _ => {}
            }
            while !self.fits(limits, size) {
                self.waiting.remove(0);
                self.dropped += 1;
            }
        }
        self.waiting.push(message);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push { topic: u8, payload: usize },
    Take(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..3u8, 0..40usize).prop_map(|(topic, payload)| Step::Push { topic, payload });
    let take = (0..6usize).prop_map(Step::Take);
    prop::collection::vec(prop_oneof![4 => push, 1 => take], 0..120)
}

fn overflows() -> impl Strategy<Value = Overflow> {
    prop::sample::select(vec![
        Overflow::Block,
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::LatestPerTopic,
    ])
}

proptest! {
    #[test]
    fn every_policy_does_what_its_model_does(
        overflow in overflows(),
        messages_max in 1..8u32,
        bytes_max in 0..120u64,
        steps in steps(),
    ) {
        let limits = InboxLimits { messages_max, bytes_max, overflow, answers: false };
        let (mut queue, mut model) = (Queue::new(limits), Model::default());
        let mut dropped = 0;
        for (serial, step) in (0u64..).zip(steps) {
            match step {
                Step::Push { topic, payload } => {
                    let topic_text = format!("t{topic}").parse().unwrap();
                    let mut message = Message::new(topic_text, vec![0; payload]);
                    message.published_at = serial;
                    let size = message.size();
                    model.push(&limits, (topic, serial, size));
                    dropped += queue.push_or_drop(&Arc::new(message), size);
                }
                Step::Take(max) => {
                    let mut taken = Vec::new();
                    let (count, expired) = queue.take(max, &mut taken);
                    prop_assert_eq!(expired, 0);
                    prop_assert_eq!(count, model.waiting.len().min(max));
                    let expected: Vec<_> = model.waiting.drain(..count).collect();
                    let serials: Vec<_> = taken.iter().map(|one| one.published_at).collect();
                    let wanted: Vec<_> = expected.iter().map(|(_, serial, _)| *serial).collect();
                    prop_assert_eq!(serials, wanted);
                }
            }
            let serials: Vec<_> = queue.waiting.iter().map(|one| one.published_at).collect();
            let wanted: Vec<_> = model.waiting.iter().map(|(_, serial, _)| *serial).collect();
            prop_assert_eq!(serials, wanted);
            prop_assert_eq!(dropped, model.dropped);
            prop_assert_eq!(queue.bytes(), model.waiting.iter().map(|(.., size)| size).sum::<u64>());
            prop_assert!(queue.len() <= messages_max as usize && queue.bytes() <= bytes_max);
            let topics: HashSet<_> = queue.waiting.iter().map(|one| &one.topic).collect();
            prop_assert!(queue.newest.iter().flat_map(|newest| newest.keys()).all(|topic| topics.contains(topic)));
        }
    }
}
