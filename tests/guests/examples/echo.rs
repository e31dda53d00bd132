//! Publishes each message again under `echo/`. It harms nobody: the tests that
//! need a good neighbour use it.

use selvedge_plugin::{Error, Filter, Message, export};

/// The plugin.
#[derive(Debug, Default)]
pub struct Echo;

impl Filter for Echo {
    fn filter(&mut self, message: Message) -> Result<Option<Message>, Error> {
        let topic = format!("echo/{}", message.topic);
        Ok(Some(message.with_topic(topic)))
    }
}

export!(Echo: Filter);
