//! Who is let in, and by which client id.
//!
//! A certificate, verified by TLS, says which device this is; the registry says
//! whether that device is let in, and what it may do. Where there is an authorizer
//! it must agree, and only it lets in who shows no certificate. A client id
//! belongs to the device whose name it is or begins with, so that nobody takes
//! another's session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::authorizer::{AuthorizeError, Authorizer, Permission, Request};
use super::quota::{Place, QuotaExceeded};
use super::shared::{Peer, Shared};
use crate::devices::{Device, NotAdmitted};
use crate::mqtt::Reason;
use crate::names::{PartyName, TopicFilter};

/// Time for the authorizer's answer.
const AUTHORIZE_MAX: Duration = Duration::from_secs(5);
/// Questions to the authorizer at once; further ones wait.
pub(super) const AUTHORIZING_MAX: usize = 16;
/// Bytes of a client id.
const CLIENT_ID_BYTES_MAX: usize = 256;
/// What may stand between a device's name and the rest of its client id.
const SEPARATORS: [char; 4] = ['/', '-', ':', '.'];
/// How often who comes in is looked up while the registry keeps changing.
const LOOKUPS_MAX: usize = 4;

/// What a CONNECT says of who sent it.
#[derive(Clone, Debug, Default)]
pub(super) struct Credentials {
    /// Empty: one is assigned; see [`assigned_client_id`].
    pub(super) client_id: Arc<str>,
    pub(super) username: Option<Arc<str>>,
    pub(super) password: Option<Bytes>,
}

/// Who was let in.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// What it may do, narrowed by the authorizer.
    pub(super) device: Arc<Device>,
    pub(super) client_id: Arc<str>,
    /// Whether the client id was assigned, so that the client must be told.
    pub(super) is_assigned: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("its device is not let in")]
    NotAdmitted(#[from] NotAdmitted),
    #[error("it shows no certificate, and there is no authorizer")]
    Nobody,
    #[error("the client id is not one of the device `{device}`")]
    ForeignClientId { device: PartyName },
    #[error("the client id has more than {max} bytes or control characters")]
    ClientId { max: usize },
    #[error("the authorizer does not let it in")]
    Authorizer(#[from] AuthorizeError),
    #[error("the authorizer takes the device `{device}` for `{other}`")]
    OtherDevice { device: PartyName, other: PartyName },
    #[error("the device `{device}` has all that it may have")]
    Quota {
        device: PartyName,
        source: QuotaExceeded,
    },
    #[error("it was sent away to make room")]
    NoRoom,
    #[error("there is no randomness for a client id")]
    NoRandomness,
}

impl Refused {
    /// A stable name for logs, metrics and alerts. Never reworded.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotAdmitted(error) => error.code(),
            Self::Nobody => "certificate-missing",
            Self::ForeignClientId { .. } => "client-id-foreign",
            Self::ClientId { .. } => "client-id-invalid",
            Self::Authorizer(AuthorizeError::Refused(_)) => "authorizer-refused",
            Self::Authorizer(AuthorizeError::Unavailable) => "authorizer-unavailable",
            Self::OtherDevice { .. } => "authorizer-other-device",
            Self::Quota { .. } => "too-many-connections-of-device",
            Self::NoRoom => "too-many-connections",
            Self::NoRandomness => "no-randomness",
        }
    }

    /// What the client is told in the CONNACK.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::NotAdmitted(_) | Self::Nobody | Self::OtherDevice { .. } => {
                Reason::NOT_AUTHORIZED
            }
            Self::ForeignClientId { .. } | Self::ClientId { .. } => Reason::CLIENT_ID_NOT_VALID,
            Self::Authorizer(AuthorizeError::Refused(_)) => Reason::BAD_CREDENTIALS,
            Self::Authorizer(AuthorizeError::Unavailable) => Reason::SERVER_UNAVAILABLE,
            Self::Quota { .. } => Reason::QUOTA_EXCEEDED,
            Self::NoRoom => Reason::SERVER_BUSY,
            Self::NoRandomness => Reason::SERVER_UNAVAILABLE,
        }
    }

    /// The device that it is about, if it is known.
    pub(super) fn device(&self) -> Option<&PartyName> {
        match self {
            Self::NotAdmitted(error) => error.device(),
            Self::ForeignClientId { device }
            | Self::OtherDevice { device, .. }
            | Self::Quota { device, .. } => Some(device),
            _ => None,
        }
    }
}

impl Shared {
    /// Who this is, if it is let in. Refusals are counted and logged here. Called
    /// once for each connection, when its CONNECT was read.
    pub(super) async fn admit(
        &self,
        peer: &Peer,
        credentials: Credentials,
    ) -> Result<Admitted, Refused> {
        let client_id = Arc::clone(&credentials.client_id);
        let admitted = self.decide(peer, credentials).await;
        admitted.inspect_err(|refused| self.refuse(refused, peer, &client_id))
    }

    /// A place among the connections of the device that was let in. Called after one
    /// that it takes over has ended; a refusal is counted and logged here.
    pub(super) fn connect(&self, peer: &Peer, admitted: &Admitted) -> Result<Place, Refused> {
        let connected = self.quotas.connect(&admitted.device);
        let refused = connected.map_err(|source| Refused::Quota {
            device: admitted.device.name.clone(),
            source,
        });
        refused.inspect_err(|refused| self.refuse(refused, peer, &admitted.client_id))
    }

    fn refuse(&self, refused: &Refused, peer: &Peer, client_id: &str) {
        self.counters.refused_total.add(1);
        self.refusals.refused(refused, peer.address, client_id);
    }

    async fn decide(&self, peer: &Peer, credentials: Credentials) -> Result<Admitted, Refused> {
        if !is_client_id(&credentials.client_id) {
            let max = CLIENT_ID_BYTES_MAX;
            return Err(Refused::ClientId { max });
        }
        let mut registered = self.registered(peer)?;
        let permission = self
            .permission(peer, registered.as_ref(), &credentials)
            .await?;
        let valid_until = permission.as_ref().and_then(|permission| {
            let valid = Duration::from_secs(permission.valid_s?.into());
            Instant::now().checked_add(valid)
        });
        // Whoever watches the registry must find what was decided by it: entered
        // first, then looked up once more.
        for _ in 0..LOOKUPS_MAX {
            let device = self.device(registered.as_ref(), permission.as_ref())?;
            let (client_id, is_assigned) = if credentials.client_id.is_empty() {
                (assigned_client_id(&device.name)?, true)
            } else {
                (Arc::clone(&credentials.client_id), false)
            };
            if !client_id_fits(&device.name, &client_id) {
                let device = device.name.clone();
                return Err(Refused::ForeignClientId { device });
            }
            if !peer.ticket.is(&device, &client_id, valid_until) {
                return Err(Refused::NoRoom);
            }
            let again = self.registered(peer)?;
            let still = self.device(again.as_ref(), permission.as_ref())?;
            if still == device {
                return Ok(Admitted {
                    device,
                    client_id,
                    is_assigned,
                });
            }
            registered = again;
        }
        Err(Refused::NoRoom)
    }

    /// Whom the registry takes the peer for, as it is now.
    fn registered(&self, peer: &Peer) -> Result<Option<Arc<Device>>, Refused> {
        match (&peer.identity, &peer.stands_for) {
            (Some(identity), _) => Ok(Some(self.devices.admit(identity)?)),
            (None, Some(name)) => Ok(Some(self.devices.find(name)?)),
            (None, None) => Ok(None),
        }
    }

    /// What the authorizer says, if there is one. It has no say about the device
    /// that a listener on loopback stands for.
    async fn permission(
        &self,
        peer: &Peer,
        registered: Option<&Arc<Device>>,
        credentials: &Credentials,
    ) -> Result<Option<Permission>, Refused> {
        if peer.stands_for.is_some() {
            return Ok(None);
        }
        let Some(authorizer) = &self.authorizer else {
            return registered.map(|_| None).ok_or(Refused::Nobody);
        };
        let request = Request {
            device: registered.map(|device| device.name.clone()),
            client_id: Arc::clone(&credentials.client_id),
            username: credentials.username.as_deref().and_then(own_username),
            password: credentials.password.clone(),
            address: peer.address,
        };
        let answer = self.ask(authorizer, request, peer.connect_by).await?;
        match registered {
            Some(device) if device.name != answer.device => Err(Refused::OtherDevice {
                device: device.name.clone(),
                other: answer.device,
            }),
            _ => Ok(Some(answer)),
        }
    }

    async fn ask(
        &self,
        authorizer: &Arc<dyn Authorizer>,
        request: Request,
        connect_by: Instant,
    ) -> Result<Permission, AuthorizeError> {
        let deadline = connect_by.min(Instant::now() + AUTHORIZE_MAX);
        let asked = async {
            let _turn = self.authorizing.acquire().await.ok()?;
            Some(authorizer.authorize(request).await)
        };
        let answer = timeout_at(deadline, asked).await;
        answer
            .ok()
            .flatten()
            .unwrap_or(Err(AuthorizeError::Unavailable))
    }

    /// What it may do: what both the registry and the authorizer say.
    fn device(
        &self,
        registered: Option<&Arc<Device>>,
        permission: Option<&Permission>,
    ) -> Result<Arc<Device>, Refused> {
        let (registered, permission) = match (registered, permission) {
            (Some(device), None) => return Ok(Arc::clone(device)),
            (None, None) => return Err(Refused::Nobody),
            (Some(device), Some(permission)) => (Arc::clone(device), permission),
            (None, Some(permission)) => match self.devices.find(&permission.device) {
                Ok(device) => (device, permission),
                Err(NotAdmitted::UnknownDevice(_)) => {
                    return Ok(Arc::new(Device {
                        name: permission.device.clone(),
                        class: None,
                        fingerprints: Vec::new(),
                        publish: permission.publish.clone().unwrap_or_default(),
                        subscribe: permission.subscribe.clone().unwrap_or_default(),
                        quota: self.config.quota.clone(),
                    }));
                }
                // The authorizer cannot let in whom the operator shut out.
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Arc::new(Device {
            publish: narrowed(&registered.publish, permission.publish.as_deref()),
            subscribe: narrowed(&registered.subscribe, permission.subscribe.as_deref()),
            ..Device::clone(&registered)
        }))
    }
}

/// Whether a client id may be used by `device`: its name, or its name and more
/// after one of `/`, `-`, `:` and `.`.
pub(super) fn client_id_fits(device: &PartyName, client_id: &str) -> bool {
    let Some(rest) = client_id.strip_prefix(device.as_str()) else {
        return false;
    };
    is_client_id(client_id) && (rest.is_empty() || rest.starts_with(SEPARATORS))
}

/// A client id that nobody can guess, for who names none.
fn assigned_client_id(device: &PartyName) -> Result<Arc<str>, Refused> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| Refused::NoRandomness)?;
    let random = u128::from_ne_bytes(random);
    Ok(format!("{device}/{random:032x}").into())
}

fn is_client_id(text: &str) -> bool {
    text.len() <= CLIENT_ID_BYTES_MAX && !text.chars().any(char::is_control)
}

/// A user's name without what AWS SDKs say of themselves behind it:
/// `anna?SDK=PythonV2&Version=1.2`.
fn own_username(username: &str) -> Option<Arc<str>> {
    let own = match username.split_once('?') {
        Some((own, rest)) if rest.starts_with("SDK=") => own,
        _ => username,
    };
    (!own.is_empty()).then(|| own.into())
}

/// The filters that are within both, as far as filters can say it; less than both
/// allow, never more.
fn narrowed(registered: &[TopicFilter], permission: Option<&[TopicFilter]>) -> Vec<TopicFilter> {
    let Some(permission) = permission else {
        return registered.to_vec();
    };
    let within = |filter: &TopicFilter, others: &[TopicFilter]| {
        let covers = |other: &TopicFilter| other.group() == filter.group() && other.covers(filter);
        others.iter().any(covers)
    };
    let own = permission
        .iter()
        .filter(|filter| within(filter, registered));
    let others = registered
        .iter()
        .filter(|filter| within(filter, permission));
    let mut filters: Vec<_> = own.chain(others).cloned().collect();
    filters.sort_unstable();
    filters.dedup();
    filters
}

#[cfg(test)]
mod tests;
