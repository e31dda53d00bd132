//! Writes down what it was told before it says that it knows: keeps each
//! message's payload, a sequence number, in its bucket under `seq`, and then
//! publishes that payload as an acknowledgement. What was acknowledged is in the
//! bucket, or a higher number is: a message that is tried again comes late.
//!
//! Configuration: `topic`: where acknowledgements go; `seen/remembers`.

use selvedge_plugin::kv::Bucket;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Remembers {
    bucket: Bucket,
    topic: String,
    highest: u64,
}

impl Lifecycle for Remembers {
    fn init(config: &Config) -> Result<Self, String> {
        let bucket = Bucket::open().map_err(|error| format!("no bucket: {error:?}"))?;
        let topic = config.get("topic").unwrap_or("seen/remembers").to_owned();
        let kept = bucket.get("seq");
        let kept = kept.map_err(|error| format!("no number: {error:?}"))?;
        let highest = kept.as_deref().and_then(number).unwrap_or(0);
        Ok(Self {
            bucket,
            topic,
            highest,
        })
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Subscriber for Remembers {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let number = number(&message.payload).ok_or_else(|| Error::reject("not a number"))?;
        if number > self.highest {
            self.bucket
                .set("seq", &message.payload)
                .map_err(|error| Error::retry(format!("{error:?}")))?;
            self.highest = number;
        }
        Ok(publish(Message::new(
            self.topic.clone(),
            message.payload.clone(),
        ))?)
    }
}

export!(Remembers: Lifecycle, Subscriber);
