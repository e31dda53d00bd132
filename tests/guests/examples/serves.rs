//! Runs a loop of its own, as its `mode` says.

use std::time::Duration;

use selvedge_plugin::{Config, Lifecycle, Message, Service, export, inbox, publish};

/// The plugin.
#[derive(Debug)]
pub struct Serves {
    mode: String,
}

impl Lifecycle for Serves {
    fn init(config: &Config) -> Result<Self, String> {
        let mode = config.get("mode").unwrap_or_default().to_owned();
        Ok(Self { mode })
    }
}

impl Service for Serves {
    fn run(&mut self) -> Result<(), String> {
        match self.mode.as_str() {
            "spins" => loop {
                std::hint::black_box(());
            },
            "traps" => std::process::abort(),
            "fails" => Err("the line is dead".to_owned()),
            "traps-on-poison" => Self::serve(|message| {
                if message.payload == b"poison" {
                    std::process::abort();
                }
            }),
            "is-busy" => Self::serve(|_| ()),
            "ignores-stop" => {
                publish(Message::new("seen/ignores-stop", "running"))
                    .map_err(|error| error.to_string())?;
                loop {
                    std::thread::sleep(Duration::from_secs(3600));
                }
            }
            "polls-without-end" => {
                // Ready at once and for ever, as soon as it is asked to stop or
                // a message waits that it never takes.
                let ready = inbox::subscribe();
                loop {
                    ready.block();
                }
            }
            other => Err(format!("no such mode: {other}")),
        }
    }
}

impl Serves {
    /// Tells of each message on `seen/serves`, one by one, until asked to stop.
    fn serve(mut with: impl FnMut(&Message)) -> Result<(), String> {
        let waiting = inbox::subscribe();
        loop {
            waiting.block();
            let Ok(messages) = inbox::receive(1) else {
                return Ok(());
            };
            for message in messages {
                with(&message);
                publish(message.with_topic("seen/serves")).map_err(|error| error.to_string())?;
            }
        }
    }
}

export!(Serves: Lifecycle, Service);
