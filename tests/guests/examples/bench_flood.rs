//! Publishes as much as fits into one call, without a pause, whatever the bus
//! says to it.

use selvedge_plugin::{Message, Ticker, export, publish_all};

/// Messages in one call to the bus: as many as it takes at once.
const BATCH: usize = 1024;

/// The plugin.
#[derive(Debug, Default)]
pub struct Flood;

impl Ticker for Flood {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let batch = vec![Message::new("flood/all", [0; 256]); BATCH];
        loop {
            // Being refused is what is expected.
            drop(publish_all(&batch));
        }
    }
}

export!(Flood: Ticker);
