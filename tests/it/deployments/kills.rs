//! The real binary, killed at random moments: it comes back whole, each time.
//!
//! [`killed`](super::killed) ends the host at each step that is known; here it is
//! killed from outside, whenever. `cargo xtask bench kills` does the same more
//! often.

mod client;
mod device;
mod documents;
mod facts;
mod memory;
mod victim;

use std::path::Path;
use std::time::{Instant, SystemTime};

use device::Device;
use facts::Tally;
use memory::{COMPONENT, Memory};
use tempfile::TempDir;

use crate::guests::guest;

/// Says with which numbers to begin; otherwise the clock does.
const SEED: &str = "SELVEDGE_KILLS_SEED";

const DEVICES: u64 = 4;
/// Of each of them.
const KILLS: usize = 50;
/// Of the device whose plugin remembers.
const MEMORY_KILLS: usize = 50;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_selvedge"))
}

fn seed() -> u64 {
    let given = std::env::var(SEED).ok();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    given.map_or(u64::from(now.subsec_nanos()), |seed| seed.parse().unwrap())
}

/// One device to its end.
fn kill_again_and_again(seed: u64) -> Tally {
    let folder = TempDir::new().unwrap();
    let mut device = Device::new(binary(), folder.path(), seed);
    if let Err(wrong) = device.run(KILLS) {
        panic!("{SEED}={seed}: {wrong}\n{}", device.shown());
    }
    assert!(device.starts.len() * 5 >= KILLS * 3, "{:?}", device.starts);
    device.tally()
}

#[test]
fn killed_at_random_the_host_comes_back_with_one_deployment() {
    let (seed, begun) = (seed(), Instant::now());
    println!("{SEED}={seed}");
    let tallies: Vec<_> = std::thread::scope(|scope| {
        let devices: Vec<_> = (0..DEVICES)
            .map(|device| scope.spawn(move || kill_again_and_again(seed + device)))
            .collect();
        devices.into_iter().map(|device| device.join()).collect()
    });
    let tallies: Vec<_> = tallies
        .into_iter()
        .map(|tally| tally.expect("its log is above"))
        .collect();
    println!("{tallies:?} in {:?}", begun.elapsed());
    // Nothing of this shows anything if all were killed at the same kind of moment.
    let all = |count: fn(&Tally) -> u64| tallies.iter().map(count).sum::<u64>();
    assert!(all(|it| it.committed) > 20, "{tallies:?}");
    assert!(all(|it| it.undone) > 5, "{tallies:?}");
    assert!(
        all(|it| it.failed) > 0 && all(|it| it.superseded) > 0,
        "{tallies:?}"
    );
}

#[test]
fn killed_at_random_a_plugin_has_what_it_said_that_it_knows() {
    let seed = seed();
    println!("{SEED}={seed}");
    let folder = TempDir::new().unwrap();
    fs_err::write(folder.path().join(COMPONENT), guest("update_remembers")).unwrap();
    let mut memory = Memory::new(binary(), folder.path(), seed).unwrap();
    if let Err(wrong) = memory.run(MEMORY_KILLS) {
        panic!("{SEED}={seed}: {wrong}");
    }
    println!("{memory:?}");
    assert_eq!(memory.lost, 0, "{SEED}={seed}");
    assert!(memory.acknowledged > 100, "{memory:?}");
}
