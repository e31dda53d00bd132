//! Counts what passes, and goes wrong where its configuration says.
//!
//! Part of the guests `update_*`. Configuration, all of it optional:
//!
//! | key | |
//! |---|---|
//! | `label` | text, first in each payload published; none |
//! | `topic` | text, where each message is published again, as `<label> <count> <payload>`; `seen/counts` |
//! | `ballast_bytes` | whole number: bytes of the state beside the count; 0 |
//! | `schema_refused` | whether `restore` refuses whatever it is given; `false` |
//! | `fault` | one of those below; `none` |
//!
//! | `fault` | |
//! |---|---|
//! | `none` | nothing goes wrong |
//! | `init-traps`, `init-spins`, `init-fails` | while it is made |
//! | `snapshot-traps`, `snapshot-spins` | while it is asked for its state |
//! | `restore-traps`, `restore-spins` | while it is given a state |
//! | `first-traps`, `nth-traps:<n>` | on the first, the nth message that this instance is handed |
//! | `spins` | on each message |
//! | `slow:<ms>` | waits for so long on each message |
//! | `rejects` | rejects each message, which is not counted |
//! | `floods` | on each message: publishes on `topic` until that is refused |
//! | `silent-exit`, `silent-exit:<ms>` | traps in its first tick, or so long after it |
//!
//! The count goes up by one for each message that was published, and is the
//! state: form 1 is `<count>` and a line feed, form 2 `count=<count>` and a line
//! feed, each with the ballast behind it. A ballast of other bytes or of another
//! length than its own is refused.

use std::time::Duration;

use selvedge_plugin::bindings::imports::wasi::config::store;
use selvedge_plugin::{Config, Error, Lifecycle, Message, Stateful, Subscriber, Ticker, publish};

/// What the ballast is made of.
const BALLAST: u8 = b'b';

/// What goes wrong: a word, and a number behind a colon.
#[derive(Debug)]
struct Fault {
    word: String,
    number: u64,
}

impl Fault {
    fn parse(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once(':').unwrap_or((text, "0"));
        let known = [
            "none",
            "init-traps",
            "init-spins",
            "init-fails",
            "snapshot-traps",
            "snapshot-spins",
            "restore-traps",
            "restore-spins",
            "first-traps",
            "nth-traps",
            "spins",
            "slow",
            "rejects",
            "floods",
            "silent-exit",
        ];
        let number = number.parse().ok().filter(|_| known.contains(&word));
        let number = number.ok_or_else(|| format!("no such fault: {text}"))?;
        let word = word.to_owned();
        Ok(Self { word, number })
    }

    /// Traps or spins if that is its fault at `moment`.
    fn strike(&self, moment: &str) {
        match self.word.strip_prefix(moment) {
            Some("-traps") => std::process::abort(),
            Some("-spins") => spin(),
            _ => {}
        }
    }
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// One key of the configuration: text as it is, all else as JSON.
pub fn setting(key: &str) -> Result<Option<String>, String> {
    store::get(key).map_err(|error| format!("cannot read `{key}`: {error:?}"))
}

/// The plugin; its state is of the form `FORM`, 1 or 2.
#[derive(Debug)]
pub struct Counts<const FORM: u32> {
    label: String,
    topic: String,
    schema_refused: bool,
    fault: Fault,
    ballast: Vec<u8>,
    count: u64,
    /// Messages that this instance was handed.
    handed: u64,
    ticked: bool,
}

impl<const FORM: u32> Lifecycle for Counts<FORM> {
    fn init(_: &Config) -> Result<Self, String> {
        let fault = Fault::parse(&setting("fault")?.unwrap_or_else(|| "none".to_owned()))?;
        fault.strike("init");
        if fault.word == "init-fails" {
            return Err("it will not start".to_owned());
        }
        let ballast_bytes = match setting("ballast_bytes")? {
            Some(text) => text.parse().map_err(|_| format!("no size: {text}"))?,
            None => 0,
        };
        Ok(Self {
            label: setting("label")?.unwrap_or_default(),
            topic: setting("topic")?.unwrap_or_else(|| "seen/counts".to_owned()),
            schema_refused: setting("schema_refused")?.as_deref() == Some("true"),
            fault,
            ballast: vec![BALLAST; ballast_bytes],
            count: 0,
            handed: 0,
            ticked: false,
        })
    }
}

impl<const FORM: u32> Counts<FORM> {
    /// What becomes of `message`, with its number.
    pub fn numbered(&self, message: &Message) -> Message {
        let number = self.count.saturating_add(1);
        let mut payload = format!("{} {number} ", self.label).into_bytes();
        payload.extend_from_slice(&message.payload);
        Message::new(self.topic.clone(), payload)
    }

    fn go_wrong(&mut self) -> Result<(), Error> {
        self.handed += 1;
        let number = self.fault.number;
        match self.fault.word.as_str() {
            "first-traps" => std::process::abort(),
            "nth-traps" if self.handed == number => std::process::abort(),
            "spins" => spin(),
            "slow" => std::thread::sleep(Duration::from_millis(number)),
            "rejects" => return Err(Error::reject("not ever")),
            "floods" => {
                let flood = Message::new(self.topic.clone(), "flood");
                while publish(flood.clone()).is_ok() {}
            }
            _ => {}
        }
        Ok(())
    }
}

impl<const FORM: u32> Subscriber for Counts<FORM> {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        self.go_wrong()?;
        publish(self.numbered(message))?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

impl<const FORM: u32> Ticker for Counts<FORM> {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let delay = u32::try_from(self.fault.number).unwrap_or(u32::MAX);
        let first = !std::mem::replace(&mut self.ticked, true);
        match self.fault.word.as_str() {
            "silent-exit" if first && delay > 0 => Ok(Some(delay)),
            "silent-exit" => std::process::abort(),
            _ => Ok(None),
        }
    }
}

impl<const FORM: u32> Stateful for Counts<FORM> {
    const SCHEMA: u32 = FORM;

    fn snapshot(&mut self) -> Vec<u8> {
        self.fault.strike("snapshot");
        let name = if FORM == 1 { "" } else { "count=" };
        let mut state = format!("{name}{}\n", self.count).into_bytes();
        state.extend_from_slice(&self.ballast);
        state
    }

    fn restore(&mut self, schema: u32, state: &[u8]) -> Result<(), String> {
        self.fault.strike("restore");
        if self.schema_refused {
            return Err("it refuses every state".to_owned());
        }
        let end = state.iter().position(|byte| *byte == b'\n');
        let (line, ballast) = state.split_at(end.ok_or("it has no count")?);
        let line = String::from_utf8_lossy(line);
        let digits = if schema == 1 {
            Some(&*line)
        } else {
            line.strip_prefix("count=")
        };
        let count = digits.and_then(|digits| digits.parse().ok());
        if ballast.get(1..) != Some(&*self.ballast) {
            return Err("its ballast is another".to_owned());
        }
        self.count = count.ok_or_else(|| format!("no count: {line:.40}"))?;
        Ok(())
    }
}
