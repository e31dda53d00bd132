//! Tells a number on `seen/tick` each millisecond, one more each time, and hands
//! the next one to its successor.

use selvedge_plugin::{Message, Stateful, Ticker, export, publish};

/// The plugin.
#[derive(Debug, Default)]
pub struct Ticks {
    next: u64,
}

impl Ticker for Ticks {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let number = Message::new("seen/tick", self.next.to_string());
        publish(number).map_err(|error| error.to_string())?;
        self.next += 1;
        Ok(Some(1))
    }
}

impl Stateful for Ticks {
    const SCHEMA: u32 = 1;

    fn snapshot(&mut self) -> Vec<u8> {
        self.next.to_le_bytes().to_vec()
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let next = state.first_chunk().ok_or("too short")?;
        self.next = u64::from_le_bytes(*next);
        Ok(())
    }
}

export!(Ticks: Ticker, Stateful);
