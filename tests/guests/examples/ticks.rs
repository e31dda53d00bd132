//! Does what its `mode` says each time the clock calls it.

use selvedge_plugin::{Config, Lifecycle, Message, Ticker, export, publish};

/// The plugin.
#[derive(Debug)]
pub struct Ticks {
    mode: String,
}

impl Lifecycle for Ticks {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode })
    }
}

impl Ticker for Ticks {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        match self.mode.as_str() {
            "spins" => loop {
                std::hint::black_box(());
            },
            "traps" => std::process::abort(),
            "fails" => Err("the clock is wrong".to_owned()),
            "floods" => {
                let flood = Message::new("in/flood", vec![0; 1 << 10]);
                // Whatever the host says.
                while publish(flood.clone()).is_ok() {}
                Ok(Some(0))
            }
            other => Err(format!("no such mode: {other}")),
        }
    }
}

export!(Ticks: Lifecycle, Ticker);
