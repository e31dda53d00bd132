//! What devices use of what they may: connections, messages and bytes a second.
//!
//! Nobody is refused for being fast: who is ahead of its rate is not read for a
//! while, so that nothing is lost. Rates are averaged over a second, of all
//! connections of a device together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::devices::{Device, Quota};
use crate::names::PartyName;

/// What a rate is averaged over.
const SECOND: Duration = Duration::from_secs(1);

/// What all devices use. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas(Arc<Mutex<HashMap<PartyName, Usage>>>);

/// What one device uses.
#[derive(Debug)]
struct Usage {
    connections: u32,
    shared: Arc<OfDevice>,
}

/// What all connections of a device have in common.
#[derive(Debug)]
struct OfDevice {
    name: PartyName,
    rates: Mutex<Rates>,
}

/// What a device has left of its rates.
#[derive(Debug)]
struct Rates {
    messages: Bucket,
    bytes: Bucket,
}

/// So many a second, and as many at once at most.
#[derive(Debug)]
struct Bucket {
    per_second: u64,
    /// When it is full again: the more is taken, the later.
    full_at: Instant,
}

/// One connection's place among those of its device; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    quotas: Quotas,
    device: Arc<OfDevice>,
}

/// The device has all the connections that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device has its {max} connections")]
pub(super) struct QuotaExceeded {
    pub(super) max: u32,
}

impl Quotas {
    /// One more connection of `device`. Called after CONNECT, so that the refusal
    /// can be told, and after one that it takes over has ended.
    pub(super) fn connect(&self, device: &Arc<Device>) -> Result<Place, QuotaExceeded> {
        let now = Instant::now();
        let mut usages = self.0.lock();
        let usage = usages.entry(device.name.clone()).or_insert_with(|| Usage {
            connections: 0,
            shared: Arc::new(OfDevice {
                name: device.name.clone(),
                rates: Mutex::new(Rates::new(&device.quota, now)),
            }),
        });
        let max = device.quota.connections_max.get();
        if usage.connections >= max {
            return Err(QuotaExceeded { max });
        }
        usage.connections += 1;
        // The rates may have been changed since.
        usage.shared.rates.lock().set(&device.quota);
        Ok(Place {
            quotas: self.clone(),
            device: Arc::clone(&usage.shared),
        })
    }
}

impl Place {
    /// One message of so many bytes was read. For how long nothing more is to be
    /// read of this connection, if the device is ahead of its rate.
    pub(super) fn spend(&self, bytes: u64) -> Option<Duration> {
        self.device.rates.lock().spend(bytes, Instant::now())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut usages = self.quotas.0.lock();
        let Some(usage) = usages.get_mut(&self.device.name) else {
            return;
        };
        usage.connections = usage.connections.saturating_sub(1);
        // What is spent is remembered: nobody gains by coming again.
        let rested = || usage.shared.rates.lock().is_full(Instant::now());
        if usage.connections == 0 && rested() {
            usages.remove(&self.device.name);
        }
        if usages.len() > usages.capacity() / 4 {
            return;
        }
        let now = Instant::now();
        usages.retain(|_, usage| usage.connections > 0 || !usage.shared.rates.lock().is_full(now));
        usages.shrink_to_fit();
    }
}

impl Rates {
    fn new(quota: &Quota, now: Instant) -> Self {
        let bucket = |per_second| Bucket {
            per_second,
            full_at: now,
        };
        Self {
            messages: bucket(quota.publish_per_second_max.get().into()),
            bytes: bucket(quota.publish_bytes_per_second_max.get()),
        }
    }

    fn set(&mut self, quota: &Quota) {
        self.messages.per_second = quota.publish_per_second_max.get().into();
        self.bytes.per_second = quota.publish_bytes_per_second_max.get();
    }

    fn spend(&mut self, bytes: u64, now: Instant) -> Option<Duration> {
        let messages = self.messages.spend(1, now);
        messages.max(self.bytes.spend(bytes, now))
    }

    fn is_full(&self, now: Instant) -> bool {
        self.messages.full_at.max(self.bytes.full_at) <= now
    }
}

impl Bucket {
    /// Takes `count`; for how long nothing more is to be taken.
    fn spend(&mut self, count: u64, now: Instant) -> Option<Duration> {
        let nanos = u128::from(count) * SECOND.as_nanos() / u128::from(self.per_second.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = self.full_at.max(now);
        self.full_at = from.checked_add(cost).unwrap_or(from);
        let ahead = self.full_at.duration_since(now).saturating_sub(SECOND);
        (!ahead.is_zero()).then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::{Arc, Device, Duration, Instant, Quota, Quotas, Rates};

    fn quota(messages: u32, bytes: u64) -> Quota {
        Quota {
            connections_max: NonZeroU32::new(2).unwrap(),
            publish_per_second_max: NonZeroU32::new(messages).unwrap(),
            publish_bytes_per_second_max: NonZeroU64::new(bytes).unwrap(),
            ..Quota::default()
        }
    }

    fn device(quota: Quota) -> Arc<Device> {
        Arc::new(Device {
            name: "pump".parse().unwrap(),
            class: None,
            fingerprints: Vec::new(),
            publish: Vec::new(),
            subscribe: Vec::new(),
            quota,
        })
    }

    #[test]
    fn a_second_of_messages_goes_at_once_and_the_rest_as_the_rate_is() {
        let start = Instant::now();
        let mut rates = Rates::new(&quota(10, 1 << 30), start);
        for _ in 0..10 {
            assert_eq!(rates.spend(1, start), None);
        }
        let tenth = Duration::from_millis(100);
        assert_eq!(rates.spend(1, start), Some(tenth));
        assert_eq!(rates.spend(1, start + tenth), Some(tenth));
        assert_eq!(rates.spend(1, start + tenth * 3), None);
        // Rest is not saved up beyond a second.
        let later = start + Duration::from_secs(60);
        for _ in 0..10 {
            assert_eq!(rates.spend(1, later), None);
        }
        assert!(rates.spend(1, later).is_some());
    }

    #[test]
    fn bytes_count_whatever_the_messages() {
        let start = Instant::now();
        let mut rates = Rates::new(&quota(1_000, 1_000), start);
        assert_eq!(rates.spend(1_000, start), None);
        assert_eq!(rates.spend(500, start), Some(Duration::from_millis(500)));
        assert!(rates.spend(u64::MAX, start).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_has_so_many_connections_and_coming_again_earns_nothing() {
        let (quotas, device) = (Quotas::default(), device(quota(1, 1 << 30)));
        let first = quotas.connect(&device).unwrap();
        let second = quotas.connect(&device).unwrap();
        assert_eq!(quotas.connect(&device).unwrap_err().max, 2);
        assert_eq!(first.spend(1), None);
        assert_eq!(second.spend(1), Some(Duration::from_secs(1)));
        drop((first, second));
        let again = quotas.connect(&device).unwrap();
        assert_eq!(again.spend(1), Some(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(10)).await;
        drop(again);
        assert!(quotas.0.lock().is_empty());
    }
}
