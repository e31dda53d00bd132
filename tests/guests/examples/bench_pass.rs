//! Publishes each message again on the topic that its configuration names: the
//! least that a plugin can do, so that all that is measured is the way there.

use selvedge_plugin::{Config, Error, Filter, Lifecycle, Message, export};

/// The plugin.
#[derive(Debug)]
pub struct Pass {
    to: String,
}

impl Lifecycle for Pass {
    fn init(config: &Config) -> Result<Self, String> {
        let to = config.get("to").ok_or("`to` is missing")?.to_owned();
        Ok(Self { to })
    }
}

impl Filter for Pass {
    fn filter(&mut self, message: Message) -> Result<Option<Message>, Error> {
        Ok(Some(message.with_topic(self.to.as_str())))
    }
}

export!(Pass: Lifecycle, Filter);
