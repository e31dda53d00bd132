//! What devices and other brokers meet of the host: put together here, started in
//! order.
//!
//! Retained values are there before anybody publishes, and whoever writes them is
//! stopped last.

use super::BuildError;
use crate::bus::Bus;
use crate::config::HostConfig;
use crate::retention::{self, RetentionStatus};
use crate::storage::Storage;
use crate::supervisor::{Supervisor, Unit};

/// The parts, made but not started.
#[derive(Debug)]
pub(super) struct Mqtt {
    units: parking_lot::Mutex<Vec<Unit>>,
    retention: RetentionStatus,
}

impl Mqtt {
    pub(super) fn build(
        config: &HostConfig,
        storage: &Storage,
        bus: &Bus,
    ) -> Result<Self, BuildError> {
        let (retention, unit) = retention::open(storage, bus, &config.bus)?;
        Ok(Self {
            units: vec![unit].into(),
            retention,
        })
    }

    /// Starts all of it, once.
    pub(super) fn start(&self, supervisor: &Supervisor) {
        let units = std::mem::take(&mut *self.units.lock());
        for unit in units {
            supervisor.start(unit);
        }
    }

    /// How retained values fare.
    pub(super) fn retention(&self) -> &RetentionStatus {
        &self.retention
    }
}
