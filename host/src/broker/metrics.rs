//! What the broker counts, over all devices.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the start, and what is now.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $($(#[$doc])* pub(super) $name: Counter,)*
        }

        impl Counters {
            /// Name and value of each.
            pub(super) fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Connections that the system accepted.
    accepted_total,
    /// Attempts of the system to accept one that failed.
    accept_errors_total,
    /// TLS handshakes done.
    handshakes_total,
    /// TLS handshakes that were not.
    handshakes_failed_total,
    /// Connections that got past CONNECT.
    connected_total,
    /// CONNECTs refused.
    refused_total,
    /// Connections that a peer's fault ended.
    faults_total,
    /// Connections ended because the session was taken over.
    taken_over_total,
    /// Messages that devices published.
    received_total,
    /// Messages written to devices.
    sent_total,
    /// Messages of devices that were not granted.
    not_granted_total,
    /// Messages of devices that were not handled in time.
    unhandled_total,
    /// Messages that could not go out: expired, or larger than the device takes.
    unsent_total,
    /// Messages that kept sessions had no room for.
    dropped_total,
    /// Messages written to the disk for devices that are away or slow.
    stored_total,
    /// Writes that the disk did not take.
    store_failures_total,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
