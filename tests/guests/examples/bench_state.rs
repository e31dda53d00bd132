//! Numbers what passes: publishes each message again on the topic `to`, with
//! its own running count appended, and hands the count to its successor
//! together with `ballast_bytes` of other state.

use selvedge_plugin::{Config, Error, Filter, Lifecycle, Message, Stateful, export};

/// The plugin.
#[derive(Debug)]
pub struct State {
    to: String,
    count: u64,
    ballast: Vec<u8>,
}

impl Lifecycle for State {
    fn init(config: &Config) -> Result<Self, String> {
        let to = config.get("to").ok_or("`to` is missing")?.to_owned();
        let ballast = config.get("ballast_bytes").unwrap_or("0");
        let ballast: usize = ballast
            .parse()
            .map_err(|_| "`ballast_bytes` is no number")?;
        Ok(Self {
            to,
            count: 0,
            ballast: vec![0xA5; ballast],
        })
    }
}

impl Filter for State {
    fn filter(&mut self, mut message: Message) -> Result<Option<Message>, Error> {
        self.count += 1;
        message.payload.extend_from_slice(&self.count.to_le_bytes());
        Ok(Some(message.with_topic(self.to.as_str())))
    }
}

impl Stateful for State {
    const SCHEMA: u32 = 1;

    fn snapshot(&mut self) -> Vec<u8> {
        let mut state = Vec::with_capacity(8 + self.ballast.len());
        state.extend_from_slice(&self.count.to_le_bytes());
        state.extend_from_slice(&self.ballast);
        state
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (count, ballast) = state.split_first_chunk().ok_or("the state is too short")?;
        self.count = u64::from_le_bytes(*count);
        self.ballast.clear();
        self.ballast.extend_from_slice(ballast);
        Ok(())
    }
}

export!(State: Lifecycle, Filter, Stateful);
