//! Does with each message what its `mode` says, and tells on `seen/<mode>` what
//! came of it.

use selvedge_plugin::bindings::imports::wasi::clocks::monotonic_clock;
use selvedge_plugin::bindings::imports::wasi::random::random;
use selvedge_plugin::{
    Config, Error, Failure, Lifecycle, Message, Subscriber, export, publish, publish_all,
};

/// The plugin.
#[derive(Debug)]
pub struct Handles {
    mode: String,
    hoard: Vec<Vec<u8>>,
}

impl Lifecycle for Handles {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        let hoard = Vec::new();
        Ok(Self { mode, hoard })
    }
}

impl Subscriber for Handles {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        match self.mode.as_str() {
            "spins" => loop {
                std::hint::black_box(());
            },
            "recurses" => self.saw(recurse(1).to_string()),
            "grows-memory" => self.grow(),
            "grows-resources" => {
                let mut pollables = Vec::new();
                loop {
                    pollables.push(monotonic_clock::subscribe_duration(u64::MAX / 2));
                }
            }
            "asks-for-random" => {
                let bytes = random::get_random_bytes(1 << 30);
                self.saw(bytes.len().to_string())
            }
            "traps" => std::process::abort(),
            "exits" => std::process::exit(0),
            "retries" => Err(Error::retry("not today")),
            "rejects" => Err(Error::reject("not ever")),
            "sleeps" => {
                std::thread::sleep(std::time::Duration::from_secs(3600));
                Ok(())
            }
            "is-slow" => {
                std::thread::sleep(std::time::Duration::from_millis(2));
                self.saw(message.payload.clone())
            }
            other => Err(Error::reject(format!("no such mode: {other}"))),
        }
    }

    fn handle_batch(&mut self, messages: &[Message]) -> Result<(), Vec<Failure>> {
        match self.mode.as_str() {
            "traps-on-poison" => {
                if messages.iter().any(|message| message.payload == b"poison") {
                    std::process::abort();
                }
                let handled = messages.iter().map(|message| message.payload.clone());
                let seen: Vec<_> = handled.map(|payload| self.seen(payload)).collect();
                publish_all(&seen).map_err(|error| vec![failure(0, error.into())])
            }
            "names-others" => {
                self.saw(messages.len().to_string()).ok();
                Err([u32::MAX, 1 << 20, 0, 0]
                    .map(|index| failure(index, Error::reject("not mine")))
                    .into())
            }
            "answers-at-length" => {
                let reason = "n".repeat(1 << 20);
                Err((0..18)
                    .map(|_| failure(0, Error::reject(&reason)))
                    .collect())
            }
            _ => {
                let outcomes = messages.iter().map(|message| self.handle(message));
                let failures: Vec<_> = (0..)
                    .zip(outcomes)
                    .filter_map(|(index, outcome)| Some(failure(index, outcome.err()?)))
                    .collect();
                if failures.is_empty() {
                    Ok(())
                } else {
                    Err(failures)
                }
            }
        }
    }
}

impl Handles {
    /// Takes memory until there is no more, and says how much it got.
    fn grow(&mut self) -> Result<(), Error> {
        const STEP: usize = 256 << 10;
        let mut step = Vec::new();
        while step.try_reserve_exact(STEP).is_ok() {
            step.resize(STEP, 1);
            self.hoard.push(std::mem::take(&mut step));
        }
        let got = self.hoard.len() * STEP;
        // Room for the report.
        self.hoard.pop();
        self.saw(got.to_string())
    }

    fn seen(&self, what: impl Into<Vec<u8>>) -> Message {
        Message::new(format!("seen/{}", self.mode), what)
    }

    fn saw(&self, what: impl Into<Vec<u8>>) -> Result<(), Error> {
        Ok(publish(self.seen(what))?)
    }
}

fn failure(index: u32, error: Error) -> Failure {
    Failure { index, error }
}

/// Never returns, and calls the host on the way down.
fn recurse(depth: u64) -> u64 {
    let below = std::hint::black_box(recurse as fn(u64) -> u64);
    if depth.is_multiple_of(100) {
        monotonic_clock::now();
    }
    below(depth + 1) + std::hint::black_box(depth)
}

export!(Handles: Lifecycle, Subscriber);
