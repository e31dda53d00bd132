//! All sessions: who has which, and who gets it next.
//!
//! A session is known by its device and its client id together, so that nobody
//! comes near another device's. It has one owner at a time: a connection, or
//! whoever keeps it while its device is away. A newcomer tells the owner to hand
//! it over and waits for that.

use crate::mqtt::Reason;
use crate::names::PartyName;

/// All sessions. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions;

impl Sessions {
    /// Ends the connections of a device whose registration changed or went.
    #[expect(dead_code, reason = "the listener's")]
    pub(super) fn disconnect_device(&self, _device: &PartyName, _reason: Reason) {}
}
