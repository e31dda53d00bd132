//! A device whose plugin writes down each number that it hears before it says
//! that it knows it: after a kill the store holds what was acknowledged.
//!
//! Also if the acknowledgement was still on its way when the host was killed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use selvedge::storage::Storage;
use serde_json::json;

use super::client::{Client, Lines, Outcome};
use super::documents::Chance;
use super::facts::text;
use super::victim::{NEVER, Victim};

/// The guest, a file in the device's folder.
pub(crate) const COMPONENT: &str = "update_remembers.wasm";

const DOCUMENT: &str = r#"name = "memory"
version = "1.0.0"
[plugins.remembers]
component = "update_remembers.wasm"
grants = { publish = ["seen/#"], subscribe = ["in/#"], keyvalue_bytes_max = 65536 }
"#;

/// How long the host works after the first acknowledgement, at most.
const WORK_MAX: Duration = Duration::from_millis(300);
/// Between two looks whether its time is over.
const LOOK: Duration = Duration::from_millis(5);

/// One device.
#[derive(Debug)]
pub(crate) struct Memory {
    binary: PathBuf,
    folder: PathBuf,
    chance: Chance,
    pub(crate) acknowledged: u64,
    /// Numbers that were acknowledged and are not in the store.
    pub(crate) lost: u64,
}

impl Memory {
    /// A device in `folder`, where its component is.
    pub(crate) fn new(binary: &Path, folder: &Path, seed: u64) -> Outcome<Self> {
        fs_err::write(folder.join("memory.toml"), DOCUMENT)?;
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            chance: Chance::new(seed),
            acknowledged: 0,
            lost: 0,
        })
    }

    /// Kills its host so many times.
    pub(crate) fn run(&mut self, kills: usize) -> Outcome<()> {
        let mut last = 0;
        for _ in 0..kills {
            let host = Victim::start(&self.binary, &self.folder, &["dev", "memory.toml"])?;
            host.wait_until_ready()?;
            let micros = u64::try_from(WORK_MAX.as_micros()).unwrap_or(u64::MAX);
            let time = Duration::from_micros(self.chance.below(micros));
            let (known, said) = work(host, last, time)?;
            let kept = self.kept()?;
            if kept > said {
                return Err(format!("the store has {kept}, and nobody said it").into());
            }
            self.acknowledged += known.saturating_sub(last);
            self.lost += known.saturating_sub(kept);
            last = said;
        }
        Ok(())
    }

    /// The number in the store, which nobody else has open.
    fn kept(&self) -> Outcome<u64> {
        let storage = Storage::open(&self.folder.join("data"))?;
        let kept = storage.bucket("remembers", 65_536)?.get("seq")?;
        let kept = kept.ok_or("the store has forgotten the number")?;
        Ok(String::from_utf8(kept)?.parse()?)
    }
}

/// Says numbers from `last` on for a while, and kills the host; the highest number
/// that was acknowledged, and the last that was said.
fn work(host: Victim, last: u64, time: Duration) -> Outcome<(u64, u64)> {
    let client = host.client().clone();
    let mut tap = client.lines("/v1/tap?filter=seen/%23")?;
    let (said, over) = (AtomicU64::new(last), AtomicBool::new(false));
    let known = std::thread::scope(|scope| {
        scope.spawn(|| say(&client, &said, &over));
        let known = listen(host, &mut tap, time);
        over.store(true, Ordering::Relaxed);
        known
    })?;
    Ok((known, said.into_inner()))
}

/// One number after the other, until the host is gone.
fn say(client: &Client, said: &AtomicU64, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let number = said.fetch_add(1, Ordering::Relaxed) + 1;
        let message = json!({ "topic": "in/a", "text": number.to_string() });
        // What the host did not take is not acknowledged either.
        drop(client.post("/v1/publish", &message));
    }
}

/// The highest number that was acknowledged, heard before or after the kill.
fn listen(host: Victim, tap: &mut Lines, time: Duration) -> Outcome<u64> {
    let first = tap.next(NEVER).ok_or("nothing is acknowledged")?;
    let mut known: u64 = text(&first, "text").parse()?;
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(tapped) = tap.next(LOOK) {
            known = known.max(text(&tapped, "text").parse()?);
        }
    }
    host.kill()?;
    while let Some(tapped) = tap.next(LOOK) {
        known = known.max(text(&tapped, "text").parse()?);
    }
    Ok(known)
}
