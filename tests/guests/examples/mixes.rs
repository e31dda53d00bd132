//! Exports a loop of its own and a subscriber: who gets the messages?

use selvedge_plugin::{Error, Message, Service, Subscriber, export};

/// The plugin.
#[derive(Debug, Default)]
pub struct Mixes;

impl Service for Mixes {
    fn run(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Subscriber for Mixes {
    fn handle(&mut self, _: &Message) -> Result<(), Error> {
        Ok(())
    }
}

export!(Mixes: Service, Subscriber);
