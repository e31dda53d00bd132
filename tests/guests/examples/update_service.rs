//! Counts what passes, as `update_counts` does and with its state of form 1, but
//! in a loop of its own, with messages from its inbox.
//!
//! Configuration: that of `shared/counting.rs`; `deaf`: if `true`, it goes on when
//! it is told to stop, though no message comes any more; and `ends`: if `true`, it
//! returns by itself after a moment. A message that it cannot handle ends the loop.

#[path = "../shared/counting.rs"]
pub mod counting;

use std::time::Duration;

use counting::{Counts, setting};
use selvedge_plugin::{Config, Lifecycle, Service, Stateful, Subscriber, export, inbox};

/// Messages taken at once.
const BATCH: u32 = 16;

/// The plugin.
#[derive(Debug)]
pub struct Serves {
    counts: Counts<1>,
    deaf: bool,
    ends: bool,
}

impl Lifecycle for Serves {
    fn init(config: &Config) -> Result<Self, String> {
        let counts = Counts::init(config)?;
        let is_set = |key| Ok::<_, String>(setting(key)?.as_deref() == Some("true"));
        let (deaf, ends) = (is_set("deaf")?, is_set("ends")?);
        Ok(Self { counts, deaf, ends })
    }
}

impl Service for Serves {
    fn run(&mut self) -> Result<(), String> {
        if self.ends {
            std::thread::sleep(Duration::from_millis(10));
            return Ok(());
        }
        let waiting = inbox::subscribe();
        loop {
            waiting.block();
            let Ok(messages) = inbox::receive(BATCH) else {
                if self.deaf {
                    // Always ready would be spinning, which is found out.
                    std::thread::sleep(Duration::from_secs(3600));
                    continue;
                }
                return Ok(());
            };
            for message in messages {
                let handled = self.counts.handle(&message);
                handled.map_err(|error| error.to_string())?;
            }
        }
    }
}

impl Stateful for Serves {
    const SCHEMA: u32 = <Counts<1> as Stateful>::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        self.counts.snapshot()
    }

    fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
        self.counts.restore(schema, state)
    }
}

export!(Serves: Lifecycle, Service, Stateful);
