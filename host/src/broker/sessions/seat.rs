//! Places for devices on the bus and for sessions that last.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::ClaimError;
use crate::bus::{Bus, Grant, Party};
use crate::devices::Device;
use crate::names::PartyName;

/// Who is on the bus, and how many sessions last.
#[derive(Debug, Default)]
pub(super) struct Seats {
    devices: Mutex<HashMap<PartyName, Attached>>,
    kept: AtomicU32,
    pub(super) kept_max: u32,
}

#[derive(Debug)]
struct Attached {
    party: Party,
    grant: Grant,
    sessions: u32,
}

/// Keeps a device on the bus while it has a session.
#[derive(Debug)]
pub(in crate::broker) struct Seat {
    seats: Arc<Seats>,
    device: PartyName,
}

/// One session that lasts.
#[derive(Debug)]
pub(in crate::broker) struct KeptPlace(Arc<Seats>);

impl Seats {
    pub(super) fn new(kept_max: u32) -> Self {
        Self {
            kept_max,
            ..Self::default()
        }
    }

    /// A place for one more session of `device`, which may do what `grant` says.
    pub(super) fn take(
        self: &Arc<Self>,
        bus: &Bus,
        device: &Device,
        grant: &Grant,
    ) -> Result<(Party, Seat), ClaimError> {
        let mut devices = self.devices.lock();
        let party = match devices.get_mut(&device.name) {
            Some(attached) => {
                let max = device.quota.sessions_max.get();
                if attached.sessions >= max {
                    return Err(ClaimError::TooManySessions { max });
                }
                attached.sessions += 1;
                attached.as_granted(grant)
            }
            None => {
                let party = bus.attach_guest(device.name.clone(), grant.clone())?;
                let attached = Attached {
                    party: party.clone(),
                    grant: grant.clone(),
                    sessions: 1,
                };
                devices.insert(device.name.clone(), attached);
                party
            }
        };
        let seat = Seat {
            seats: Arc::clone(self),
            device: device.name.clone(),
        };
        Ok((party, seat))
    }

    /// The party of a device that has a session, with another grant.
    pub(super) fn party(&self, device: &PartyName, grant: &Grant) -> Option<Party> {
        let mut devices = self.devices.lock();
        Some(devices.get_mut(device)?.as_granted(grant))
    }

    /// A place for one more session that lasts.
    pub(super) fn keep(self: &Arc<Self>) -> Result<KeptPlace, ClaimError> {
        let max = self.kept_max;
        let more = |kept| (kept < max).then_some(kept + 1);
        let order = Ordering::Relaxed;
        match self.kept.fetch_update(order, order, more) {
            Ok(_) => Ok(KeptPlace(Arc::clone(self))),
            Err(_) => Err(ClaimError::TooManyKept { max }),
        }
    }
}

impl Attached {
    /// The last grant is the one most will ask for again.
    fn as_granted(&mut self, grant: &Grant) -> Party {
        if self.grant != *grant {
            self.party = self.party.succeed(grant.clone());
            self.grant = grant.clone();
        }
        self.party.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut devices = self.seats.devices.lock();
        let Some(attached) = devices.get_mut(&self.device) else {
            return;
        };
        attached.sessions -= 1;
        if attached.sessions == 0 {
            devices.remove(&self.device);
        }
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(1, Ordering::Relaxed);
    }
}
