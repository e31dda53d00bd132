//! Keeps values until the host refuses, and tells on `seen/<mode>` how far it got.

use selvedge_plugin::kv::{Bucket, KvError};
use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Stores {
    mode: String,
}

impl Lifecycle for Stores {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode })
    }
}

impl Subscriber for Stores {
    fn handle(&mut self, _: &Message) -> Result<(), Error> {
        let bucket = Bucket::open().map_err(reject)?;
        let mut kept = 0;
        let stopped_by = loop {
            let stored = match self.mode.as_str() {
                "without-end" => bucket.set(&format!("key-{kept}"), &[0; 1 << 10]),
                "keys-without-end" => bucket.set(&format!("{kept}"), &[]),
                "long-keys" => bucket.set(&"k".repeat(257), &[]),
                other => return Err(Error::reject(format!("no such mode: {other}"))),
            };
            match stored {
                Ok(()) => kept += 1,
                Err(KvError::Other(why)) => break why,
                Err(error) => return Err(reject(error)),
            }
        };
        let report = format!("{kept} kept; {stopped_by}");
        Ok(publish(Message::new(
            format!("seen/{}", self.mode),
            report,
        ))?)
    }
}

fn reject(error: KvError) -> Error {
    Error::reject(format!("{error:?}"))
}

export!(Stores: Lifecycle, Subscriber);
