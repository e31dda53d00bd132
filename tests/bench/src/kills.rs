//! `kill -9` at random moments, as the test does it, more often: what comes back
//! is one deployment, and holds what was acknowledged. And how long that takes.

#[path = "../../it/deployments/kills/client.rs"]
mod client;
#[path = "../../it/deployments/kills/device.rs"]
mod device;
#[path = "../../it/deployments/kills/documents.rs"]
mod documents;
#[path = "../../it/deployments/kills/facts.rs"]
mod facts;
#[path = "../../it/deployments/kills/memory.rs"]
mod memory;
#[path = "../../it/deployments/kills/victim.rs"]
mod victim;

use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use self::device::Device;
use self::memory::{COMPONENT, Memory};
use crate::Outcome;
use crate::demo::binary;
use crate::guests::Guests;
use crate::report::{Bar, Figure, Row};

/// Says how many kills instead, and with which numbers to begin.
const COUNT: &str = "SELVEDGE_KILLS";
const SEED: &str = "SELVEDGE_KILLS_SEED";

const KILLS: usize = 1_000;
/// Devices at once.
const DEVICES: usize = 4;
/// For so many kills, one more of a device whose plugin remembers.
const REMEMBERS_IN: usize = 10;

/// What became of one device.
#[derive(Debug, Default)]
struct Found {
    starts: Vec<Duration>,
    half: u32,
}

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let kills = said(COUNT)?.map_or(Ok(KILLS), usize::try_from)?;
    let now = SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos();
    let seed = said(SEED)?.unwrap_or(u64::from(now));
    eprintln!("{COUNT}={kills} {SEED}={seed}");
    let binary = binary()?;
    let remembers = kills / REMEMBERS_IN;
    let each = kills.div_ceil(DEVICES);
    let found: Vec<Outcome<Found>> = std::thread::scope(|scope| {
        let seeds = (seed..).take(DEVICES);
        let devices: Vec<_> = seeds
            .map(|seed| {
                scope.spawn({
                    let binary = &binary;
                    move || deployments(binary, seed, each)
                })
            })
            .collect();
        let gone = |_| Err("a device's thread ended early".into());
        let ended = devices.into_iter().map(|device| device.join());
        ended.map(|ended| ended.unwrap_or_else(gone)).collect()
    });
    let found = found.into_iter().collect::<Outcome<Vec<_>>>()?;
    let half: u32 = found.iter().map(|device| device.half).sum();
    let mut starts: Vec<_> = found.into_iter().flat_map(|device| device.starts).collect();
    starts.sort();
    let memory = memory(&binary, guests, seed, remembers)?;
    let none = Bar::Figure(Figure::Count(0.0));
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let lost = Figure::Count(memory.lost as f64);
    let mut rows = vec![
        Row::new(
            format!("kills: half deployments, of {} kills", each * DEVICES),
            Figure::Count(f64::from(half)),
        )
        .bar(none),
        Row::new(
            format!(
                "kills: values lost, of {} acknowledged",
                memory.acknowledged
            ),
            lost,
        )
        .bar(none),
    ];
    for (name, percent) in [("p50", 50), ("p99", 99)] {
        let place = starts.len() * percent / 100;
        let time = starts.get(place.min(starts.len().saturating_sub(1)));
        let time = time.ok_or("no host came back")?;
        let what = format!("kills: from start to ready, three plugins, {name}");
        rows.push(Row::new(what, Figure::Nanos(time.as_secs_f64() * 1e9)));
    }
    Ok(rows)
}

/// A number from the environment.
fn said(name: &str) -> Outcome<Option<u64>> {
    let text = std::env::var_os(name);
    let number = |text: std::ffi::OsString| text.to_string_lossy().parse::<u64>();
    let number = text.map(number).transpose();
    number.map_err(|_| format!("{name} is no number").into())
}

/// One device, which ends at the first thing that is wrong.
fn deployments(binary: &Path, seed: u64, kills: usize) -> Outcome<Found> {
    let folder = TempDir::new()?;
    let mut device = Device::new(binary, folder.path(), seed);
    let mut half = 0;
    if let Err(wrong) = device.run(kills) {
        eprintln!("{SEED}={seed}: {wrong}\n{}", device.shown());
        half = 1;
    }
    eprintln!("{SEED}={seed}: {:?}", device.tally());
    let starts = std::mem::take(&mut device.starts);
    Ok(Found { starts, half })
}

fn memory(binary: &Path, guests: &Guests, seed: u64, kills: usize) -> Outcome<Memory> {
    let folder = TempDir::new()?;
    fs_err::write(
        folder.path().join(COMPONENT),
        guests.read("update_remembers")?,
    )?;
    let mut memory = Memory::new(binary, folder.path(), seed)?;
    memory.run(kills)?;
    Ok(memory)
}
