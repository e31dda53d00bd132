//! Ends what was let in by what no longer holds.
//!
//! A device that went, was revoked or may do something else now; a certificate
//! that expired, is on a revocation list that was read since, or whose authority no
//! longer counts; an authorizer's word whose time is over. Looked at each second,
//! and at once when the registry of devices changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::clients::{Clients, Watched};
use super::policy;
use super::shared::Shared;
use crate::devices::{Device, Standing};
use crate::error_chain::ErrorChain;
use crate::mqtt::Reason;
use crate::names::PartyName;
use crate::supervisor::{Unit, UnitContext, UnitResult};
use crate::tls::{Identity, Server};

/// How often files and clocks are looked at.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// What watches over those who are in.
#[derive(Clone)]
pub(super) struct Changes {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    server: Arc<Server>,
}

/// What each device that may come in may do.
type Known = HashMap<PartyName, Arc<Device>>;
/// Devices that went or may do something else, and what they are told.
type Changed = HashMap<PartyName, Reason>;

/// Why someone may not stay.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    code: &'static str,
    text: String,
    reason: Reason,
}

impl Changes {
    pub(super) fn new(shared: Arc<Shared>, clients: Arc<Clients>, server: Arc<Server>) -> Self {
        Self {
            shared,
            clients,
            server,
        }
    }

    pub(super) fn unit(self) -> Unit {
        Unit::new("broker/changes", policy(), move |context| {
            self.clone().follow(context)
        })
    }

    async fn follow(self, context: UnitContext) -> UnitResult {
        let mut changes = self.shared.devices.changes();
        let mut known = self.known();
        // Whatever changed while nobody looked.
        changes.mark_changed();
        let mut clock = interval(LOOK_EACH);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        context.ready();
        loop {
            let devices_changed = tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                changed = changed(&mut changes) => changed,
                _ = clock.tick() => false,
            };
            let changed = if devices_changed {
                let before = std::mem::replace(&mut known, self.known());
                Some(Arc::new(difference(&before, &known)))
            } else {
                None
            };
            let (this, told) = (self.clone(), changed.clone());
            let look = move || {
                let terms_changed = this.server.look();
                this.look(told.as_deref(), terms_changed);
            };
            let looked = spawn_blocking(look).await;
            // Not before: who is in and has to go is told, and counted, with why.
            for (device, reason) in changed.as_deref().into_iter().flatten() {
                self.shared.sessions.disconnect_device(device, *reason);
            }
            looked?;
        }
    }

    fn known(&self) -> Known {
        let registered = self.shared.devices.list().into_iter();
        let good = registered.filter(|registered| registered.standing == Standing::Good);
        good.map(|registered| {
            (
                registered.device.name.clone(),
                Arc::clone(&registered.device),
            )
        })
        .collect()
    }

    /// Looks at everyone who is in. Blocks: signatures are checked.
    fn look(&self, changed: Option<&Changed>, terms_changed: bool) {
        for watched in self.clients.watched() {
            let gone = self
                .out_of_time(&watched)
                .or_else(|| terms_changed.then(|| self.not_vouched_for(&watched))?)
                .or_else(|| self.not_admitted(&watched, changed?));
            if let Some(Gone { code, text, reason }) = gone {
                let device = watched.device.as_ref().map(|device| device.name.as_str());
                let who = (device, watched.address);
                self.shared.refusals.ended(code, who, &text);
                watched.client.end.tell(reason);
            }
        }
    }

    fn out_of_time(&self, client: &Watched) -> Option<Gone> {
        if client.until.is_some_and(|until| until <= Instant::now()) {
            return Some(Gone {
                code: "permission-ended",
                text: "the authorizer let it in until now".to_owned(),
                reason: Reason::MAXIMUM_CONNECT_TIME,
            });
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now = i64::try_from(since.as_secs()).ok()?;
        let certificates = client.certificates.as_ref()?;
        (certificates.not_after < now).then(|| Gone {
            code: "certificate-expired",
            text: "its certificate has expired".to_owned(),
            reason: Reason::NOT_AUTHORIZED,
        })
    }

    fn not_vouched_for(&self, client: &Watched) -> Option<Gone> {
        let certificates = client.certificates.as_ref()?;
        let error = self.server.terms().accept(&certificates.chain).err()?;
        Some(Gone {
            code: "certificate-withdrawn",
            text: ErrorChain(&error).to_string(),
            reason: Reason::NOT_AUTHORIZED,
        })
    }

    fn not_admitted(&self, client: &Watched, changed: &Changed) -> Option<Gone> {
        if let Some(certificates) = &client.certificates {
            // The registry is what changed, not what the certificate says.
            let identity = Identity::of(certificates.chain.first()?)?;
            if let Err(error) = self.shared.devices.admit(&identity) {
                return Some(Gone {
                    code: error.code(),
                    text: ErrorChain(&error).to_string(),
                    reason: Reason::NOT_AUTHORIZED,
                });
            }
        }
        let reason = *changed.get(&client.device.as_ref()?.name)?;
        Some(Gone {
            code: "device-changed",
            text: "what the device may do has changed".to_owned(),
            reason,
        })
    }
}

/// The devices that went or may do something else, and what they are told.
fn difference(before: &Known, now: &Known) -> Changed {
    let change = |(name, device): (&PartyName, &Arc<Device>)| {
        let reason = match now.get(name) {
            // Who showed a certificate that no longer counts is found by that.
            Some(own) if own.may_the_same_as(device) => return None,
            Some(_) => Reason::ADMINISTRATIVE_ACTION,
            None => Reason::NOT_AUTHORIZED,
        };
        Some((name.clone(), reason))
    };
    before.iter().filter_map(change).collect()
}

async fn changed(changes: &mut watch::Receiver<u64>) -> bool {
    match changes.changed().await {
        Ok(()) => true,
        // There is no registry any more that could change.
        Err(_) => std::future::pending().await,
    }
}
