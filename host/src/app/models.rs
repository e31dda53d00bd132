//! Models, put together: what loads and runs them, and what captures of their runs.
//!
//! Libraries are opened here, before anything runs; one that cannot be is told of by
//! health, and the host goes on without it.

use crate::bus::Bus;
use crate::capture::{self, Capture};
use crate::config::HostConfig;
use crate::inference::{Backends, InferenceLimits, ModelStore, Rehearsal};

/// What models are made with.
pub(super) fn store(config: &HostConfig) -> ModelStore {
    let limits = InferenceLimits {
        slots: config.inference.slots_max,
        ..InferenceLimits::default()
    };
    let rehearsal = Rehearsal::of_this_program(&config.inference);
    ModelStore::with(limits, Backends::open(&config.inference)).rehearsing(rehearsal)
}

/// What captures for a host that is set up like this.
pub(super) fn capture(config: &HostConfig, bus: &Bus) -> Capture {
    let files = config.inference.capture.as_ref();
    let files = files.map(|files| capture::files_config(&config.data_directory, files));
    Capture::new(bus, files)
}
