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
use crate::devices::{Device, Registered, Standing};
use crate::error_chain::ErrorChain;
use crate::mqtt::Reason;
use crate::names::{PartyName, TopicFilter};
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

/// What each device that is registered may do.
type Known = HashMap<PartyName, Arc<Registered>>;
/// Devices that went or may do something else.
type Changed = HashMap<PartyName, Change>;

/// What became of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// What it is told.
    reason: Reason,
    /// It was not registered before, and may do this much. Whoever is in by it, or
    /// by an authorizer that allows no more, stays.
    within: Option<Arc<Device>>,
}

/// Why someone may not stay.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    code: &'static str,
    text: String,
    reason: Reason,
    /// Its session too is looked at again, once it is kept.
    with_session: bool,
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
            for (device, change) in changed.as_deref().into_iter().flatten() {
                let sessions = &self.shared.sessions;
                match change.within {
                    None => sessions.disconnect_device(device, change.reason),
                    Some(_) => sessions.tell_kept(device, change.reason),
                }
            }
            looked?;
        }
    }

    fn known(&self) -> Known {
        let registered = self.shared.devices.list().into_iter();
        registered
            .map(|registered| (registered.device.name.clone(), registered))
            .collect()
    }

    /// Looks at everyone who is in. Blocks: signatures are checked.
    fn look(&self, changed: Option<&Changed>, terms_changed: bool) {
        for watched in self.clients.watched() {
            let gone = self
                .out_of_time(&watched)
                .or_else(|| terms_changed.then(|| self.not_vouched_for(&watched))?)
                .or_else(|| self.not_admitted(&watched, changed?));
            let Some(gone) = gone else {
                continue;
            };
            let device = watched.device.as_ref().map(|device| device.name.as_str());
            let who = (device, watched.address);
            self.shared.refusals.ended(gone.code, who, &gone.text);
            watched.client.end.tell(gone.reason);
            if gone.with_session
                && let Some(client) = watched.client.status()
            {
                let sessions = &self.shared.sessions;
                sessions.disconnect(&client.device, &client.client_id, gone.reason);
            }
        }
    }

    fn out_of_time(&self, client: &Watched) -> Option<Gone> {
        if client.until.is_some_and(|until| until <= Instant::now()) {
            return Some(Gone {
                code: "permission-ended",
                text: "the authorizer let it in until now".to_owned(),
                reason: Reason::MAXIMUM_CONNECT_TIME,
                with_session: false,
            });
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now = i64::try_from(since.as_secs()).ok()?;
        let certificates = client.certificates.as_ref()?;
        (certificates.not_after < now).then(|| Gone {
            code: "certificate-expired",
            text: "its certificate has expired".to_owned(),
            reason: Reason::NOT_AUTHORIZED,
            with_session: false,
        })
    }

    fn not_vouched_for(&self, client: &Watched) -> Option<Gone> {
        let certificates = client.certificates.as_ref()?;
        let error = self.server.terms().accept(&certificates.chain).err()?;
        Some(Gone {
            code: "certificate-withdrawn",
            text: ErrorChain(&error).to_string(),
            reason: Reason::NOT_AUTHORIZED,
            with_session: false,
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
                    with_session: false,
                });
            }
        }
        let device = client.device.as_ref()?;
        let change = changed.get(&device.name)?;
        if let Some(within) = &change.within
            && is_within(device, within)
        {
            return None;
        }
        Some(Gone {
            code: "device-changed",
            text: "what the device may do has changed".to_owned(),
            reason: change.reason,
            with_session: true,
        })
    }
}

/// The devices that went, came or may do something else. One that came may be in
/// already, by the authorizer: the registry has the last word about it.
fn difference(before: &Known, now: &Known) -> Changed {
    let good = |registered: &Arc<Registered>| {
        let is_good = registered.standing == Standing::Good;
        is_good.then(|| Arc::clone(&registered.device))
    };
    let change = |name: &PartyName| {
        let device = now.get(name).and_then(good);
        let (reason, within) = match (before.get(name), device) {
            (Some(old), new) => match (good(old)?, new) {
                // Who showed a certificate that no longer counts is found by that.
                (old, Some(new)) if new.may_the_same_as(&old) => return None,
                (_, Some(_)) => (Reason::ADMINISTRATIVE_ACTION, None),
                (_, None) => (Reason::NOT_AUTHORIZED, None),
            },
            (None, Some(new)) => (Reason::ADMINISTRATIVE_ACTION, Some(new)),
            (None, None) => (Reason::NOT_AUTHORIZED, None),
        };
        Some((name.clone(), Change { reason, within }))
    };
    let came = now.keys().filter(|name| !before.contains_key(*name));
    before.keys().chain(came).filter_map(change).collect()
}

/// Whether a device may do nothing that its registration does not say.
fn is_within(device: &Device, registered: &Device) -> bool {
    let within = |own: &[TopicFilter], others: &[TopicFilter]| {
        let covers = |other: &TopicFilter, own: &TopicFilter| {
            other.group() == own.group() && other.covers(own)
        };
        own.iter()
            .all(|own| others.iter().any(|other| covers(other, own)))
    };
    device.quota == registered.quota
        && within(&device.publish, &registered.publish)
        && within(&device.subscribe, &registered.subscribe)
}

async fn changed(changes: &mut watch::Receiver<u64>) -> bool {
    match changes.changed().await {
        Ok(()) => true,
        // There is no registry any more that could change.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Known, difference, is_within};
    use crate::devices::{Devices, Rules};
    use crate::mqtt::Reason;

    /// The devices with these files.
    fn known(files: &[(&str, &str)]) -> Known {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("devices");
        fs_err::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs_err::write(folder.join(format!("{name}.toml")), text).unwrap();
        }
        let devices = Devices::open(directory.path(), Rules::default()).unwrap();
        let all = devices.list().into_iter();
        all.map(|registered| (registered.device.name.clone(), registered))
            .collect()
    }

    #[test]
    fn who_came_went_or_may_do_something_else_is_told() {
        const OUT: &str = "disabled = true";
        const MORE: &str = "publish = [\"a\"]";
        for (before, now, told) in [
            (Some(""), Some("note = \"x\""), None),
            (Some(""), Some(MORE), Some(Reason::ADMINISTRATIVE_ACTION)),
            (Some(""), Some(OUT), Some(Reason::NOT_AUTHORIZED)),
            (Some(""), None, Some(Reason::NOT_AUTHORIZED)),
            (None, Some(MORE), Some(Reason::ADMINISTRATIVE_ACTION)),
            (None, Some(OUT), Some(Reason::NOT_AUTHORIZED)),
            // Nobody can be in.
            (Some(OUT), Some(MORE), None),
            (Some(OUT), None, None),
        ] {
            let file = |text: Option<&'static str>| {
                known(
                    &text
                        .map(|text| ("oven", text))
                        .into_iter()
                        .collect::<Vec<_>>(),
                )
            };
            let (before, now) = (file(before), file(now));
            let changed = difference(&before, &now);
            let change: Option<&Change> = changed.values().next();
            assert_eq!(change.map(|change| change.reason), told);
            let came = before.is_empty() && told == Some(Reason::ADMINISTRATIVE_ACTION);
            assert_eq!(change.is_some_and(|change| change.within.is_some()), came);
        }
    }

    #[test]
    fn who_may_no_more_than_the_file_says_may_stay() {
        let file = "publish = [\"a/#\"]\nsubscribe = [\"b\"]\n";
        for (publish, subscribe, quota, stays) in [
            (r#"["a/#"]"#, r#"["b"]"#, "", true),
            ("[]", "[]", "", true),
            (r#"["a/x"]"#, "[]", "", true),
            (r#"["b"]"#, "[]", "", false),
            ("[]", r#"["b", "c"]"#, "", false),
            ("[]", r#"["$share/g/b"]"#, "", false),
            ("[]", "[]", "[quota]\nconnections_max = 99\n", false),
        ] {
            let text = format!("publish = {publish}\nsubscribe = {subscribe}\n{quota}");
            let known = known(&[("one", &text), ("two", file)]);
            let device = |name: &str| known[&name.parse().unwrap()].device.clone();
            assert_eq!(is_within(&device("one"), &device("two")), stays, "{text}");
        }
    }
}
