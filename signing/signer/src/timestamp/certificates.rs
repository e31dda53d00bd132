//! The certificates of one's own timestamp authority.
//!
//! Two of them, for some verifiers take no authority that is its own root: a
//! root, whose key signs once and is forgotten, and the authority's own, for
//! timestamps and nothing else (RFC 3161, section 2.3).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::{TimestampError, VALID_DAYS_MAX};
use crate::SigningKey;
use crate::trusted_root::whole_seconds;

/// `extKeyUsage` (RFC 5280, section 4.2.1.12).
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
/// A sequence of the one OID `id-kp-timeStamping`, DER.
const TIME_STAMPING: &[u8] = &[0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];

/// From when until when, in seconds since 1970.
pub(super) struct Validity {
    from: Duration,
    until: Duration,
}

impl Validity {
    /// From `now` on, for so many days.
    pub(super) fn new(now: Timestamp, days: u32) -> Result<Self, TimestampError> {
        if days == 0 || days > VALID_DAYS_MAX {
            return Err(TimestampError::Validity);
        }
        let now = whole_seconds(now);
        let length = SignedDuration::from_hours(24 * i64::from(days));
        let until = now.checked_add(length);
        let since_1970 = |time: Timestamp| u64::try_from(time.as_second()).map(Duration::from_secs);
        let until = until.map_err(|_| TimestampError::Validity)?;
        Ok(Self {
            from: since_1970(now).map_err(|_| TimestampError::Validity)?,
            until: since_1970(until).map_err(|_| TimestampError::Validity)?,
        })
    }
}

/// The certificates for `key`: the authority's own, then the root.
pub(super) fn chain(
    name: &str,
    key: &SigningKey,
    validity: &Validity,
) -> Result<Vec<Vec<u8>>, TimestampError> {
    let failed = |source| TimestampError::Certificate { source };

    let root_key = KeyPair::generate().map_err(failed)?;
    let mut root = parameters(&format!("{name} root"), validity);
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root_certificate = root.self_signed(&root_key).map_err(failed)?;

    let mut own = parameters(name, validity);
    // Not `ExplicitNoCa`: rcgen writes the default out, which is no DER, and
    // strict readers refuse it.
    own.is_ca = IsCa::NoCa;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.use_authority_key_identifier_extension = true;
    // By hand, for rcgen does not mark it critical, which RFC 3161 asks for.
    let mut usage = CustomExtension::from_oid_content(EXTENDED_KEY_USAGE, TIME_STAMPING.to_vec());
    usage.set_criticality(true);
    own.custom_extensions = vec![usage];

    let key = KeyPair::try_from(key.pkcs8()).map_err(failed)?;
    let issuer = Issuer::from_params(&root, &root_key);
    let own_certificate = own.signed_by(&key, &issuer).map_err(failed)?;
    Ok(vec![
        own_certificate.der().to_vec(),
        root_certificate.der().to_vec(),
    ])
}

fn parameters(name: &str, validity: &Validity) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut parameters = CertificateParams::default();
    parameters.not_before = epoch + validity.from;
    parameters.not_after = epoch + validity.until;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
