//! Writes down what it was told before it says that it knows: keeps each
//! message's payload, a sequence number, in its bucket under `seq`, and then
//! publishes that payload as an acknowledgement. What was acknowledged is in the
//! bucket, or something newer is.
//!
//! Configuration: `topic`: where acknowledgements go; `seen/remembers`.

use selvedge_plugin::kv::Bucket;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Remembers {
    bucket: Bucket,
    topic: String,
}

impl Lifecycle for Remembers {
    fn init(config: &Config) -> Result<Self, String> {
        let bucket = Bucket::open().map_err(|error| format!("no bucket: {error:?}"))?;
        let topic = config.get("topic").unwrap_or("seen/remembers").to_owned();
        Ok(Self { bucket, topic })
    }
}

impl Subscriber for Remembers {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        self.bucket
            .set("seq", &message.payload)
            .map_err(|error| Error::retry(format!("{error:?}")))?;
        Ok(publish(Message::new(
            self.topic.clone(),
            message.payload.clone(),
        ))?)
    }
}

export!(Remembers: Lifecycle, Subscriber);
