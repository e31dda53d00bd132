//! Takes memory and writes to it until there is no more, and dies of it; again
//! each time it is started.

use selvedge_plugin::{Ticker, export};

/// Bytes taken at once.
const PIECE: usize = 64 << 10;

/// The plugin.
#[derive(Debug, Default)]
pub struct Grow;

impl Ticker for Grow {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let mut held = Vec::new();
        loop {
            held.push(std::hint::black_box(vec![1_u8; PIECE]));
        }
    }
}

export!(Grow: Ticker);
