//! The topics that a peer named last: devices repeat theirs, and a topic that is
//! known need not be checked and copied again.

use crate::names::Topic;

/// Topics kept per connection.
const TOPICS_MAX: usize = 8;

/// Takes no memory until the first topic, and drops the one kept longest.
#[derive(Debug, Default)]
pub(super) struct TopicCache(Option<Box<Topics>>);

#[derive(Debug, Default)]
struct Topics {
    known: Vec<Topic>,
    oldest: usize,
}

impl TopicCache {
    pub(super) fn get(&self, text: &[u8]) -> Option<&Topic> {
        let mut known = self.0.as_ref()?.known.iter();
        known.find(|topic| topic.as_str().as_bytes() == text)
    }

    pub(super) fn insert(&mut self, topic: Topic) {
        let Topics { known, oldest } = &mut **self.0.get_or_insert_default();
        if known.len() < TOPICS_MAX {
            // One by one: most devices have one or two.
            known.reserve_exact(1);
            known.push(topic);
            return;
        }
        if let Some(place) = known.get_mut(*oldest) {
            *place = topic;
        }
        *oldest = (*oldest + 1) % TOPICS_MAX;
    }
}
