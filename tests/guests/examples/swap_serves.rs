//! As `swap_counts`, in a loop of its own. Stops when told to, unless its `mode`
//! says otherwise.

use std::time::Duration;

use selvedge_plugin::{Config, Lifecycle, Message, Service, Stateful, export, inbox, publish_all};

/// The plugin.
#[derive(Debug)]
pub struct Serves {
    mode: String,
    count: u64,
}

impl Lifecycle for Serves {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode, count: 0 })
    }
}

impl Service for Serves {
    fn run(&mut self) -> Result<(), String> {
        let waiting = inbox::subscribe();
        loop {
            waiting.block();
            let Ok(messages) = inbox::receive(16) else {
                return Ok(());
            };
            let seen: Vec<_> = messages.iter().map(|message| self.seen(message)).collect();
            publish_all(&seen).map_err(|error| error.to_string())?;
            match self.mode.as_str() {
                "sleeps-on-messages" => std::thread::sleep(Duration::from_secs(3600)),
                "serves" => {}
                other => return Err(format!("no such mode: {other}")),
            }
        }
    }
}

impl Serves {
    fn seen(&mut self, message: &Message) -> Message {
        self.count += 1;
        let text = message.text().unwrap_or_default();
        Message::new("seen/count", format!("{text} {}", self.count))
    }
}

impl Stateful for Serves {
    const SCHEMA: u32 = 1;

    fn snapshot(&mut self) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let count = state.first_chunk().ok_or("too short")?;
        self.count = u64::from_le_bytes(*count);
        Ok(())
    }
}

export!(Serves: Lifecycle, Service, Stateful);
