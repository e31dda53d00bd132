//! What devices use of what they may: connections, messages and bytes a second.

use std::sync::Arc;
use std::time::Duration;

use crate::devices::Device;

/// What all devices use.
#[derive(Debug, Default)]
pub(super) struct Quotas;

/// One connection's place among those of its device; given back when dropped.
#[derive(Debug)]
pub(super) struct Place;

/// The device has all the connections that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device has its {max} connections")]
pub(super) struct QuotaExceeded {
    pub(super) max: u32,
}

impl Quotas {
    /// One more connection of `device`. Called after CONNECT, so that the refusal
    /// can be told.
    pub(super) fn connect(&self, _device: &Arc<Device>) -> Result<Place, QuotaExceeded> {
        Ok(Place)
    }
}

impl Place {
    /// One message of so many bytes was read. For how long nothing more is to be
    /// read of this connection, if the device is ahead of its rate.
    pub(super) fn spend(&self, _bytes: u64) -> Option<Duration> {
        None
    }
}
