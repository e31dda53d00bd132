//! One program with all targets: `FUZZ_TARGET` names the one that runs, so that
//! there is one to build. `cargo xtask fuzz` does that and the rest.
//!
//! A panic that the code under test catches itself is told once and is no
//! finding; any other ends the run, and libFuzzer keeps the input.

#![no_main]

use std::collections::BTreeSet;
use std::panic::{PanicHookInfo, catch_unwind};
use std::sync::{Mutex, OnceLock};

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();
/// The last panic, until it is known who caught it.
static PANIC: Mutex<Option<String>> = Mutex::new(None);
/// Panics that were told.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn begin() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = target else {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("FUZZ_TARGET is one of: {}", names.join(" "));
        std::process::exit(64);
    };
    TARGET.get_or_init(|| *target);
    std::panic::set_hook(Box::new(note));
}

fn note(panic: &PanicHookInfo<'_>) {
    if let Ok(mut last) = PANIC.lock() {
        *last = Some(panic.to_string());
    }
}

fn run(bytes: &[u8]) {
    let target = TARGET.get().expect("it begins with `begin`");
    let outcome = catch_unwind(|| target(bytes));
    let panic = PANIC.lock().ok().and_then(|mut last| last.take());
    if outcome.is_err() {
        eprintln!("{}", panic.unwrap_or_default());
        std::process::abort();
    }
    let Some(caught) = panic else { return };
    if let Ok(mut told) = TOLD.lock()
        && told.insert(caught.clone())
    {
        eprintln!("CAUGHT by the code under test: {caught}");
    }
}

fuzz_target!(init: begin(), |bytes: &[u8]| run(bytes));
