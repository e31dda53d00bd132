//! Who a certificate lets in.
//!
//! A certificate that a device's file lists is that device's. Any other belongs
//! to the device that it names: by the URI `urn:selvedge:device:NAME`, else the
//! DNS name `NAME.device.selvedge`, else the common name. It lets in only if that
//! device's file lists no certificates, for then every one of the authority's
//! will do.

use crate::names::PartyName;
use crate::tls::{Fingerprint, Identity};

/// What the URI in a device's certificate begins with.
pub(super) const URN: &str = "urn:selvedge:device:";
/// What the DNS name in a device's certificate ends with.
pub(super) const DNS: &str = ".device.selvedge";

/// Why someone was not let in. Verified by TLS, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    #[error("there is no device `{0}`")]
    UnknownDevice(PartyName),
    #[error("the device `{0}` is revoked")]
    Revoked(PartyName),
    #[error("the device `{0}` is disabled")]
    Disabled(PartyName),
    #[error("the certificate {fingerprint} is not among those of the device `{device}`")]
    NotRegistered {
        device: PartyName,
        fingerprint: Fingerprint,
    },
    #[error("the certificate {0} is that of several devices")]
    OfSeveral(Fingerprint),
    #[error("the certificate {0} names no device")]
    NamesNobody(Fingerprint),
}

impl NotAdmitted {
    /// A stable name for logs, API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownDevice(_) => "unknown-device",
            Self::Revoked(_) => "device-revoked",
            Self::Disabled(_) => "device-disabled",
            Self::NotRegistered { .. } => "certificate-not-registered",
            Self::OfSeveral(_) => "certificate-of-several",
            Self::NamesNobody(_) => "certificate-names-nobody",
        }
    }

    /// The device that it is about, if it is known.
    pub fn device(&self) -> Option<&PartyName> {
        match self {
            Self::UnknownDevice(device) | Self::Revoked(device) | Self::Disabled(device) => {
                Some(device)
            }
            Self::NotRegistered { device, .. } => Some(device),
            Self::OfSeveral(_) | Self::NamesNobody(_) => None,
        }
    }
}

/// The device that a certificate names. The first kind of name that is there
/// decides, so that a later one says nothing else.
pub(super) fn named(identity: &Identity) -> Option<PartyName> {
    let uri = identity.uris.iter().find_map(|uri| uri.strip_prefix(URN));
    let dns = || {
        let mut names = identity.dns_names.iter();
        names.find_map(|name| name.strip_suffix(DNS))
    };
    let name = uri.or_else(dns).or(identity.common_name.as_deref())?;
    name.parse().ok()
}
