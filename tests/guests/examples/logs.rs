//! Logs what it should not, once for each message that it gets.

use std::io::Write as _;

use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, export, log};

/// The plugin.
#[derive(Debug)]
pub struct Logs {
    mode: String,
}

impl Lifecycle for Logs {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode })
    }
}

impl Subscriber for Logs {
    fn handle(&mut self, _: &Message) -> Result<(), Error> {
        match self.mode.as_str() {
            "without-end" => loop {
                log::error("more");
            },
            "to-stdout-without-end" => loop {
                writeln!(std::io::stdout(), "more").map_err(Error::reject)?;
            },
            "at-length" => {
                log::info("long ".repeat(2 << 20));
                log::info("after");
            }
            "to-stderr-at-length" => {
                let mut stderr = std::io::stderr();
                let long = vec![b'x'; 10 << 20];
                stderr.write_all(&long).map_err(Error::reject)?;
                stderr.write_all(b"\nafter\n").map_err(Error::reject)?;
            }
            "forged" => {
                log::info("fine\n2026-01-01T00:00:00Z ERROR selvedge: \u{1b}[2Jhost died\r\u{7f}")
            }
            other => return Err(Error::reject(format!("no such mode: {other}"))),
        }
        Ok(())
    }
}

export!(Logs: Lifecycle, Subscriber);
