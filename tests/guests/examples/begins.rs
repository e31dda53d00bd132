//! Does what its `mode` says before anything else is asked of it.

use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export};

/// The plugin.
#[derive(Debug)]
pub struct Begins;

impl Lifecycle for Begins {
    fn init(config: &Config) -> Result<Self, String> {
        match config.get("mode").unwrap_or_default() {
            "spins" => loop {
                std::hint::black_box(());
            },
            "traps" => std::process::abort(),
            "refuses" => Err("the sensor table is missing".to_owned()),
            "refuses-at-length" => Err("no ".repeat(1 << 20)),
            other => Err(format!("no such mode: {other}")),
        }
    }
}

impl Subscriber for Begins {
    fn handle(&mut self, _: &Message) -> Result<(), Error> {
        Ok(())
    }
}

export!(Begins: Lifecycle, Subscriber);
