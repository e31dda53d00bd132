//! Counts the messages that it is handed, hands the count to its successor, and
//! tells of each on `seen/count`. What it does wrong is its `mode`.

use selvedge_plugin::{
    Config, Failure, Lifecycle, Message, Stateful, Subscriber, export, publish, publish_all,
};

/// The plugin.
#[derive(Debug)]
pub struct Counts {
    mode: String,
    count: u64,
    ballast: Vec<u8>,
}

impl Lifecycle for Counts {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        let mut ballast = 0;
        match mode.as_str() {
            "is-large" => ballast = 1 << 20,
            "is-too-large" => ballast = 8 << 20,
            "traps-in-init" => std::process::abort(),
            "publishes-in-init" => {
                for number in 0..3 {
                    let early = Message::new("seen/early", number.to_string());
                    publish(early).map_err(|error| error.to_string())?;
                }
                let refused = publish(Message::new("elsewhere", ""));
                let refused = refused.expect_err("it is not granted");
                let refused = Message::new("seen/early", refused.to_string());
                publish(refused).map_err(|error| error.to_string())?;
            }
            "floods-in-init" => {
                let mut held = 0;
                while publish(Message::new("seen/early", held.to_string())).is_ok() {
                    held += 1;
                }
            }
            _ => {}
        }
        Ok(Self {
            mode,
            count: 0,
            ballast: vec![7; ballast],
        })
    }
}

impl Subscriber for Counts {
    fn handle(&mut self, message: &Message) -> Result<(), selvedge_plugin::Error> {
        Ok(publish(self.seen(message))?)
    }

    fn handle_batch(&mut self, messages: &[Message]) -> Result<(), Vec<Failure>> {
        if self.mode == "traps-on-messages" {
            std::process::abort();
        }
        let seen: Vec<_> = messages.iter().map(|message| self.seen(message)).collect();
        // Whoever listens has room for all of it.
        publish_all(&seen).expect("it is accepted");
        Ok(())
    }
}

impl Counts {
    fn seen(&mut self, message: &Message) -> Message {
        self.count += 1;
        let text = message.text().unwrap_or_default();
        Message::new("seen/count", format!("{text} {}", self.count))
    }
}

impl Stateful for Counts {
    const SCHEMA: u32 = 1;

    fn snapshot(&mut self) -> Vec<u8> {
        if self.mode == "traps-in-snapshot" {
            std::process::abort();
        }
        let mut state = self.count.to_le_bytes().to_vec();
        state.extend_from_slice(&self.ballast);
        state
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        match self.mode.as_str() {
            "refuses-state" => return Err("I would rather not".to_owned()),
            "traps-in-restore" => std::process::abort(),
            "spins-in-restore" => loop {
                std::hint::black_box(());
            },
            _ => {}
        }
        let (count, ballast) = state.split_first_chunk().ok_or("too short")?;
        self.count = u64::from_le_bytes(*count);
        self.ballast = ballast.to_vec();
        Ok(())
    }
}

export!(Counts: Lifecycle, Subscriber, Stateful);
