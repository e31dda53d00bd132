//! What is kept of a session beside its messages.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::broker::subscriptions::Subscriptions;
use crate::mqtt::PacketId;
use crate::names::PartyName;
use crate::storage::KEY_BYTES_MAX;

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Record {
    pub(in crate::broker) device: PartyName,
    pub(in crate::broker) client_id: String,
    /// By which its messages are known; another for each session.
    pub(in crate::broker) number: u64,
    /// Seconds that it is kept once its device is away.
    pub(in crate::broker) expiry_s: u32,
    /// None: the device is connected, or was when the host ended.
    pub(in crate::broker) ended: Option<Ended>,
    pub(in crate::broker) subscriptions: Subscriptions,
    /// QoS 2 messages of the device, taken in and not yet released.
    pub(in crate::broker) received: Vec<PacketId>,
}

/// The year 2024: a clock that shows less was not set.
const CLOCK_MIN_S: u64 = 1_704_067_200;

/// When a device went away, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::broker) struct Ended(u64);

impl Ended {
    pub(in crate::broker) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    /// Seconds since then; 0 if the clock was set back, or not set then.
    pub(in crate::broker) fn elapsed_s(self) -> u64 {
        if self.is_known() {
            Self::now().0.saturating_sub(self.0)
        } else {
            0
        }
    }

    /// False: the clock was not set, and how long ago it was nobody knows.
    pub(in crate::broker) fn is_known(self) -> bool {
        self.0 >= CLOCK_MIN_S
    }

    /// Whether what is kept for `expiry_s` is kept no longer.
    pub(in crate::broker) fn is_over(self, expiry_s: u32) -> bool {
        expiry_s != u32::MAX && self.elapsed_s() >= expiry_s.into()
    }
}

impl Record {
    /// What it is kept under.
    pub(in crate::broker) fn key(&self) -> String {
        key(&self.device, &self.client_id)
    }

    pub(in crate::broker) fn encode(&self) -> Vec<u8> {
        // Nothing in it can fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What the session of a client is kept under. Names of devices hold no slash, and
/// no client id begins with a number sign.
pub(in crate::broker) fn key(device: &PartyName, client_id: &str) -> String {
    let plain = format!("{device}/{client_id}");
    if plain.len() <= KEY_BYTES_MAX {
        return plain;
    }
    let mut key = format!("{device}/#");
    for byte in Sha256::digest(client_id) {
        write!(key, "{byte:02x}").expect("writing to text does not fail");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::{CLOCK_MIN_S, Ended};

    #[test]
    fn a_clock_that_was_not_set_makes_nothing_old() {
        let unset = Ended(3_600);
        assert_eq!((unset.is_known(), unset.elapsed_s()), (false, 0));
        assert!(!unset.is_over(1));
        let old = Ended(CLOCK_MIN_S);
        assert!(old.is_known() && old.is_over(60) && !old.is_over(u32::MAX));
        assert!(!Ended::now().is_over(60));
        assert_eq!(Ended(u64::MAX).elapsed_s(), 0);
    }
}
