//! As which device a client goes, and what it may do: its certificate's, or the
//! authorizer's word, or both, of which the narrower counts.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::connect::{Refused, until};
use crate::broker::authorizer::{AuthorizeError, Permission, Request};
use crate::broker::shared::{Peer, Shared};
use crate::bus::Grant;
use crate::devices::Device;
use crate::mqtt::{Connect, Reason};
use crate::names::TopicFilter;

/// What a client may do, and as whom.
pub(super) struct Permitted {
    pub(super) device: Arc<Device>,
    pub(super) grant: Grant,
    pub(super) valid_until: Option<Instant>,
}

pub(super) async fn ask(
    connect: &Connect,
    peer: &Peer,
    shared: &Shared,
) -> Result<Permitted, Refused> {
    let Some(authorizer) = &shared.authorizer else {
        let device = peer.device.clone();
        let device = device.ok_or(Refused::new(Reason::NOT_AUTHORIZED, "device-unknown"))?;
        return Ok(Permitted {
            grant: grant(&device),
            device,
            valid_until: None,
        });
    };
    let request = Request {
        device: peer.device.as_ref().map(|device| device.name.clone()),
        client_id: Arc::clone(&connect.client_id),
        username: connect.username.clone(),
        password: connect.password.clone(),
        address: peer.address,
    };
    let asked = timeout_at(peer.connect_by, authorizer.authorize(request)).await;
    match asked.unwrap_or(Err(AuthorizeError::Unavailable)) {
        Ok(permission) => permitted(permission, peer, shared),
        Err(AuthorizeError::Refused(_)) => {
            Err(Refused::new(Reason::NOT_AUTHORIZED, "authorizer-refused"))
        }
        Err(AuthorizeError::Unavailable) => Err(Refused::new(
            Reason::SERVER_UNAVAILABLE,
            "authorizer-unavailable",
        )),
    }
}

/// What the authorizer's word comes to. It speaks for no other device than the one
/// that showed a certificate.
fn permitted(permission: Permission, peer: &Peer, shared: &Shared) -> Result<Permitted, Refused> {
    let valid_until = permission.valid_s.map(until);
    let known = match &peer.device {
        Some(device) if device.name != permission.device => {
            let reason = Reason::NOT_AUTHORIZED;
            return Err(Refused::new(reason, "authorizer-names-another"));
        }
        Some(device) => Some(Arc::clone(device)),
        None => (shared.find)(&permission.device),
    };
    let Some(device) = known else {
        let grant = Grant {
            publish: permission.publish.unwrap_or_default(),
            subscribe: permission.subscribe.unwrap_or_default(),
        };
        return Ok(Permitted {
            device: Arc::new(Device {
                name: permission.device,
                class: None,
                fingerprints: Vec::new(),
                publish: grant.publish.clone(),
                subscribe: grant.subscribe.clone(),
                quota: shared.config.quota.clone(),
            }),
            grant,
            valid_until,
        });
    };
    let narrowed = |own: &[TopicFilter], word: Option<Vec<TopicFilter>>| match word {
        None => own.to_vec(),
        Some(word) => narrower(own, &word),
    };
    Ok(Permitted {
        grant: Grant {
            publish: narrowed(&device.publish, permission.publish),
            subscribe: narrowed(&device.subscribe, permission.subscribe),
        },
        device,
        valid_until,
    })
}

fn grant(device: &Device) -> Grant {
    Grant {
        publish: device.publish.clone(),
        subscribe: device.subscribe.clone(),
    }
}

/// What both allow. Where neither filter covers the other nothing is allowed: less
/// than could be, never more.
fn narrower(one: &[TopicFilter], other: &[TopicFilter]) -> Vec<TopicFilter> {
    let covers = |wide: &TopicFilter, narrow: &TopicFilter| {
        wide.group() == narrow.group() && wide.covers(narrow)
    };
    let mut both = Vec::new();
    for a in one {
        for b in other {
            if covers(a, b) {
                both.push(b.clone());
            } else if covers(b, a) {
                both.push(a.clone());
            }
        }
    }
    both.sort_unstable();
    both.dedup();
    both
}

#[cfg(test)]
mod tests {
    use super::narrower;
    use crate::names::TopicFilter;

    #[test]
    fn of_two_grants_only_what_both_allow_is_left() {
        let filters = |texts: &[&str]| -> Vec<TopicFilter> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let both = narrower(
            &filters(&["a/#", "b/+", "$share/g/c", "d/+/x"]),
            &filters(&["a/b", "a/b", "#", "c", "d/y/+"]),
        );
        assert_eq!(
            both,
            filters(&["a/#", "a/b", "b/+", "d/+/x", "d/y/+"])[..4].to_vec()
        );
    }
}
