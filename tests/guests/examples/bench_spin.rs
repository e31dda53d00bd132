//! Computes without end, again each time it is started.

use selvedge_plugin::{Ticker, export};

/// The plugin.
#[derive(Debug, Default)]
pub struct Spin;

impl Ticker for Spin {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let mut number = 0_u64;
        loop {
            number = std::hint::black_box(number).wrapping_add(1);
        }
    }
}

export!(Spin: Ticker);
