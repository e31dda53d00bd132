//! The topics that a peer named last: devices repeat theirs, and a topic that is
//! known need not be checked and copied again.

use crate::names::Topic;

/// Topics kept per connection.
const TOPICS_MAX: usize = 8;

/// Takes no memory until the first topic, and drops the one kept longest.
#[derive(Debug, Default)]
pub(super) struct TopicCache {
    topics: Vec<Topic>,
    oldest: usize,
}

impl TopicCache {
    pub(super) fn get(&self, text: &[u8]) -> Option<&Topic> {
        let mut topics = self.topics.iter();
        topics.find(|topic| topic.as_str().as_bytes() == text)
    }

    pub(super) fn insert(&mut self, topic: Topic) {
        if self.topics.len() < TOPICS_MAX {
            // One by one: most devices have one or two.
            self.topics.reserve_exact(1);
            self.topics.push(topic);
            return;
        }
        if let Some(oldest) = self.topics.get_mut(self.oldest) {
            *oldest = topic;
        }
        self.oldest = (self.oldest + 1) % TOPICS_MAX;
    }
}
