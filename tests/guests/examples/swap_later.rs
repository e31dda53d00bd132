//! A version to come: its state has a form that older ones do not know.

use selvedge_plugin::{Error, Message, Stateful, Subscriber, export, publish};

/// The plugin.
#[derive(Debug, Default)]
pub struct Later {
    count: u64,
}

impl Subscriber for Later {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        self.count += 1;
        let text = message.text().unwrap_or_default();
        let text = format!("{text} {}", self.count);
        Ok(publish(Message::new("seen/count", text))?)
    }
}

impl Stateful for Later {
    const SCHEMA: u32 = 2;

    fn snapshot(&mut self) -> Vec<u8> {
        self.count.to_string().into()
    }

    fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
        self.count = match schema {
            1 => u64::from_le_bytes(*state.first_chunk().ok_or("too short")?),
            _ => {
                let text = std::str::from_utf8(state).map_err(|error| error.to_string())?;
                text.parse().map_err(|_| "not a number".to_owned())?
            }
        };
        Ok(())
    }
}

export!(Later: Subscriber, Stateful);
