//! Feeds itself: publishes each message again on the topic from which it came,
//! to which it is subscribed.
//!
//! Configuration: `copies`: how many are published for each message; 1.
//! `through_tick`: if `true`, not at once but in its next tick, 1 ms later at
//! most, where no message is in hand that the new one could be traced to.

use selvedge_plugin::bindings::imports::wasi::config::store;
use selvedge_plugin::{
    Config, Error, Lifecycle, Message, Subscriber, Ticker, export, publish, publish_all,
};

/// Messages kept until the next tick.
const KEPT_MAX: usize = 1_024;
/// Milliseconds between ticks.
const TICK_MS: u32 = 1;

/// The plugin.
#[derive(Debug)]
pub struct Loops {
    copies: usize,
    through_tick: bool,
    kept: Vec<Message>,
}

impl Lifecycle for Loops {
    fn init(_: &Config) -> Result<Self, String> {
        let setting = |key| store::get(key).map_err(|error| format!("{error:?}"));
        let copies = match setting("copies")? {
            Some(text) => text.parse().map_err(|_| format!("no number: {text}"))?,
            None => 1,
        };
        Ok(Self {
            copies,
            through_tick: setting("through_tick")?.as_deref() == Some("true"),
            kept: Vec::new(),
        })
    }
}

impl Subscriber for Loops {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        for _ in 0..self.copies {
            let again = Message::new(message.topic.clone(), message.payload.clone());
            if !self.through_tick {
                publish(again)?;
            } else if self.kept.len() < KEPT_MAX {
                self.kept.push(again);
            }
        }
        Ok(())
    }
}

impl Ticker for Loops {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let kept = std::mem::take(&mut self.kept);
        // What is refused is lost: this is no good plugin.
        publish_all(&kept).ok();
        Ok(self.through_tick.then_some(TICK_MS))
    }
}

export!(Loops: Lifecycle, Subscriber, Ticker);
