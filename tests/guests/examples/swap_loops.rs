//! Feeds itself: publishes each message again where it comes from, counting the
//! rounds, when its `mode` says.

use selvedge_plugin::{Config, Error, Lifecycle, Message, Subscriber, Ticker, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Loops {
    mode: String,
    kept: Vec<Message>,
}

impl Lifecycle for Loops {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        let kept = Vec::new();
        Ok(Self { mode, kept })
    }
}

impl Subscriber for Loops {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        match self.mode.as_str() {
            "at-once" => feed(message),
            "by-tick" => self.kept.push(message.clone()),
            other => return Err(Error::reject(format!("no such mode: {other}"))),
        }
        Ok(())
    }
}

impl Ticker for Loops {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        self.kept.drain(..).for_each(|message| feed(&message));
        Ok(Some(1))
    }
}

/// What the host says to it is all the same to this one.
fn feed(message: &Message) {
    let rounds: u32 = message.text().map_or(0, |text| text.parse().unwrap_or(0));
    publish(Message::new("offence/again", (rounds + 1).to_string())).ok();
}

export!(Loops: Lifecycle, Subscriber, Ticker);
