//! What was on the disk when the host started, back in memory.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::seat::Seats;
use super::{Inner, Key, Line, Owner, Sessions};
use crate::broker::config::BrokerConfig;
use crate::broker::inflight::{Received, Sent, Stage};
use crate::broker::metrics::Counters;
use crate::broker::session::{Origins, Session, Stored};
use crate::broker::store::{Ended, Kind, Loaded, Store, StoreError};
use crate::bus::{Bus, Grant, Kept};
use crate::devices::Devices;
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
        }));
        let count = kept.sessions.len();
        for loaded in kept.sessions {
            sessions.restore(loaded, opening.devices);
        }
        if count > 0 {
            info!(sessions = count, "sessions of devices found");
        }
        Ok(sessions)
    }

    fn restore(&self, loaded: Loaded, devices: &Devices) {
        let record = &loaded.record;
        let (device, client_id) = (record.device.clone(), Arc::<str>::from(&*record.client_id));
        let Ok(known) = devices.find(&device) else {
            return self.leave_alone(loaded);
        };
        let grant = Grant {
            publish: known.publish.clone(),
            subscribe: known.subscribe.clone(),
        };
        let made = self
            .0
            .seats
            .take(&self.0.bus, &known, &grant)
            .and_then(|(party, seat)| {
                let lasting = self.last(record.expiry_s, record.number)?;
                let of = Origins {
                    device: known,
                    client_id: Arc::clone(&client_id),
                    party,
                    seat,
                    counters: Arc::clone(&self.0.counters),
                    overflow: self.overflow(),
                };
                Ok(Box::new(Session::new(of, Some(lasting))))
            });
        let session = match made {
            Ok(session) => session,
            Err(error) => {
                let error = error.code();
                warn!(%device, client_id = &*client_id, error, "session left alone");
                return;
            }
        };
        let key = Key { device, client_id };
        let line = Line::new(key);
        self.0.owners.lock().insert(&line);
        let owner = Owner {
            sessions: Arc::downgrade(&self.0),
            line,
        };
        let session = fill(session, loaded);
        self.0.found.lock().push((session, owner));
    }
}

impl Sessions {
    /// A session whose device may not come in: until it is over the device may come
    /// back, and its session with it, at another start.
    fn leave_alone(&self, loaded: Loaded) {
        let Loaded {
            mut record,
            waiting,
        } = loaded;
        let (store, key) = (&self.0.store, record.key());
        let (device, client_id) = (record.device.clone(), record.client_id.clone());
        // Written soon; if not, there is another start.
        match record.ended {
            Some(ended) if ended.is_over(record.expiry_s) => {
                info!(%device, client_id, "session over");
                store.remove(waiting.into_iter().map(|(number, _)| number));
                drop(store.set(vec![(key, None)]));
            }
            Some(_) => warn!(%device, client_id, "session left alone: its device may not come in"),
            None => {
                warn!(%device, client_id, "session left alone: its device may not come in");
                record.ended = Some(Ended::now());
                drop(store.set(vec![(key, Some(record.encode()))]));
            }
        }
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
