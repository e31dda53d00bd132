//! What was on the disk when the host started, back in memory.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::seat::Seats;
use super::{Claim, Inner, Key, Line, Owner, Sessions};
use crate::broker::config::{BrokerConfig, ClientCertificates};
use crate::broker::inflight::{Received, Sent, Stage};
use crate::broker::metrics::Counters;
use crate::broker::session::{Origins, Session, Stored};
use crate::broker::store::{Ended, Kind, Loaded, Record, Store, StoreError};
use crate::bus::{Bus, Grant, Kept};
use crate::devices::{Device, Devices, NotAdmitted};
use crate::names::Qos;
use crate::storage::Storage;
use crate::supervisor::TaskGroup;

/// Sessions that end, beside those that are kept.
const ENDING_MAX: u32 = 256;

/// What sessions need.
pub(in crate::broker) struct Opening<'a> {
    pub(in crate::broker) bus: Bus,
    pub(in crate::broker) storage: &'a Storage,
    pub(in crate::broker) config: &'a BrokerConfig,
    pub(in crate::broker) devices: &'a Devices,
    pub(in crate::broker) counters: Arc<Counters>,
}

impl Sessions {
    /// Reads what was kept: from now on messages for those sessions wait for them.
    /// They are kept by [`run`](Self::run). Touches the disk.
    pub(in crate::broker) fn open(opening: Opening<'_>) -> Result<Self, StoreError> {
        let limits = &opening.config.limits;
        let (store, kept) = Store::open(opening.storage, limits.kept_bytes_max.get())?;
        let kept_max = limits.kept_sessions_max.get();
        let sessions = Self(Arc::new(Inner {
            bus: opening.bus,
            store,
            devices: opening.devices.clone(),
            config: opening.config.sessions.clone(),
            counters: opening.counters,
            owners: Mutex::default(),
            seats: Arc::new(Seats::new(kept_max)),
            away: TaskGroup::new(kept_max.saturating_add(ENDING_MAX)),
            stop: CancellationToken::new(),
            found: Mutex::default(),
            left: Mutex::default(),
        }));
        let count = kept.sessions.len();
        for loaded in kept.sessions {
            sessions.restore(loaded, opening.config);
        }
        if count > 0 {
            info!(sessions = count, "sessions of devices found");
        }
        Ok(sessions)
    }

    fn restore(&self, loaded: Loaded, config: &BrokerConfig) {
        let device = match self.0.devices.find(&loaded.record.device) {
            Ok(device) => device,
            Err(NotAdmitted::UnknownDevice(_)) if lets_in_unregistered(config) => {
                Arc::new(unregistered(&loaded.record, config))
            }
            Err(_) => return self.leave_alone(loaded),
        };
        let grant = Grant {
            publish: device.publish.clone(),
            subscribe: device.subscribe.clone(),
        };
        let key = Key::of(&loaded.record);
        let Some(session) = self.revive(loaded, device, &grant) else {
            return;
        };
        let line = Line::new(key);
        self.0.owners.lock().insert(&line);
        let owner = Owner {
            sessions: Arc::downgrade(&self.0),
            line,
        };
        self.0.found.lock().push((session, owner));
    }
}

impl Sessions {
    /// What was left alone, for the device that comes for it after all.
    pub(super) fn left_alone(&self, claim: &Claim) -> Option<Box<Session>> {
        let key = Key {
            device: claim.device.name.clone(),
            client_id: Arc::clone(&claim.client_id),
        };
        let loaded = self.0.left.lock().remove(&key)?;
        let ended = loaded.record.ended;
        if ended.is_some_and(|ended| ended.is_over(loaded.record.expiry_s)) {
            self.remove(loaded);
            return None;
        }
        self.revive(loaded, Arc::clone(&claim.device), &claim.grant)
    }

    /// The session as it was. Without a place for it, it is left alone.
    fn revive(&self, loaded: Loaded, device: Arc<Device>, grant: &Grant) -> Option<Box<Session>> {
        let record = &loaded.record;
        let key = Key::of(record);
        let made = self
            .0
            .seats
            .take(&self.0.bus, &device, grant)
            .and_then(|(party, seat)| {
                let lasting = self.last(record.expiry_s, record.number)?;
                let of = Origins {
                    device,
                    client_id: Arc::clone(&key.client_id),
                    party,
                    seat,
                    counters: Arc::clone(&self.0.counters),
                    overflow: self.overflow(),
                };
                Ok(Box::new(Session::new(of, Some(lasting))))
            });
        match made {
            Ok(session) => Some(fill(session, loaded)),
            Err(error) => {
                let error = error.code();
                warn!(device = %key.device, client_id = &*key.client_id, error, "session left alone");
                self.0.left.lock().insert(key, loaded);
                None
            }
        }
    }

    fn remove(&self, loaded: Loaded) {
        let Loaded { record, waiting } = loaded;
        info!(device = %record.device, client_id = record.client_id, "session over");
        let store = &self.0.store;
        store.remove(waiting.into_iter().map(|(number, _)| number));
        // Written soon; if not, there is another start.
        drop(store.set(vec![(record.key(), None)]));
    }

    /// A session whose device may not come in: until it is over the device may come
    /// back, and its session with it.
    fn leave_alone(&self, mut loaded: Loaded) {
        let record = &mut loaded.record;
        if record
            .ended
            .is_some_and(|ended| ended.is_over(record.expiry_s))
        {
            return self.remove(loaded);
        }
        let (device, client_id) = (&record.device, &record.client_id);
        warn!(%device, client_id, "session left alone: its device may not come in");
        if record.ended.is_none() {
            record.ended = Some(Ended::now());
            // Written soon; if not, there is another start.
            drop(
                self.0
                    .store
                    .set(vec![(record.key(), Some(record.encode()))]),
            );
        }
        let key = Key::of(record);
        self.0.left.lock().insert(key, loaded);
    }
}

impl Key {
    fn of(record: &Record) -> Self {
        Self {
            device: record.device.clone(),
            client_id: record.client_id.as_str().into(),
        }
    }
}

/// Whether there may be devices that only the authorizer knows.
fn lets_in_unregistered(config: &BrokerConfig) -> bool {
    config.tls.client_certificates == ClientCertificates::Optional
}

/// A device that only the authorizer knows, until that says again what it may do:
/// it gets what it had subscribed, which it was granted then.
fn unregistered(record: &Record, config: &BrokerConfig) -> Device {
    let filters = record.subscriptions.iter();
    Device {
        name: record.device.clone(),
        class: None,
        fingerprints: Vec::new(),
        publish: Vec::new(),
        subscribe: filters.map(|own| own.filter.clone()).collect(),
        quota: config.quota.clone(),
    }
}

/// Puts what was kept into a new session.
fn fill(mut session: Box<Session>, loaded: Loaded) -> Box<Session> {
    let record = loaded.record;
    session.received = Received::restored(record.received);
    for subscribed in record.subscriptions.iter() {
        let filter = &subscribed.filter;
        if let Err(error) = session.subscribe(subscribed.clone(), Kept::None) {
            let error = error.code();
            warn!(device = %record.device, %filter, error, "subscription not restored");
        }
    }
    let released: Vec<_> = loaded
        .waiting
        .iter()
        .filter(|(_, entry)| matches!(entry.kind, Kind::Released))
        .map(|(_, entry)| entry.id)
        .collect();
    let window = usize::try_from(session.device.quota.inflight_max.get()).unwrap_or(usize::MAX);
    let Session {
        lasting, inflight, ..
    } = &mut *session;
    let Some(lasting) = lasting else {
        return session;
    };
    lasting.recorded = true;
    lasting.ended = record.ended;
    for (number, entry) in loaded.waiting {
        inflight.go_on_after(entry.id.get());
        let bytes = u32::try_from(entry.bytes).unwrap_or(u32::MAX);
        match entry.kind {
            // What takes its place is there; that it went was lost.
            Kind::Message { .. } if released.contains(&entry.id) => {
                lasting.store.remove([number]);
            }
            Kind::Message {
                qos, retain, sent, ..
            } => lasting.backlog.push(Stored {
                number,
                id: entry.id,
                qos,
                retain,
                sent,
                bytes,
            }),
            Kind::Released => inflight.push(Sent {
                id: entry.id,
                qos: Qos::ExactlyOnce,
                retain: false,
                stage: Stage::Released,
                stored: Some(number),
                stored_bytes: bytes,
                message: None,
                at: Instant::now(),
            }),
        }
    }
    // Which of them had gone out is not known: as many as could.
    lasting.backlog.mark_sent(window);
    session
}
