//! The next version of `update_counts` that wants more than it: a bucket, and
//! a second topic. It takes over that one's state.
//!
//! Configuration: that of `shared/counting.rs`, and `second_topic`: where each
//! message is published as well; `more/counts`. The number of the last message
//! is in its bucket, as text under `count`.

#[path = "../shared/counting.rs"]
pub mod counting;

use counting::{Counts, setting};
use selvedge_plugin::kv::Bucket;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Stateful, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct WantsMore {
    counts: Counts<1>,
    second_topic: String,
    count: u64,
}

impl Lifecycle for WantsMore {
    fn init(config: &Config) -> Result<Self, String> {
        let counts = Counts::init(config)?;
        let second_topic = setting("second_topic")?.unwrap_or_else(|| "more/counts".to_owned());
        Ok(Self {
            counts,
            second_topic,
            count: 0,
        })
    }
}

impl Subscriber for WantsMore {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        self.count += 1;
        Bucket::open()
            .and_then(|bucket| bucket.set("count", self.count.to_string().as_bytes()))
            .map_err(|error| Error::retry(format!("{error:?}")))?;
        let copy = self.counts.numbered(message);
        publish(copy.with_topic(self.second_topic.clone()))?;
        self.counts.handle(message)
    }
}

impl Stateful for WantsMore {
    const SCHEMA: u32 = <Counts<1> as Stateful>::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        self.counts.snapshot()
    }

    fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
        self.counts.restore(schema, state)
    }
}

export!(WantsMore: Lifecycle, Subscriber, Stateful);
