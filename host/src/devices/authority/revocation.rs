//! The list of what the authority no longer vouches for (RFC 5280, section 5).
//!
//! It is signed again long before it ends, and whenever something is revoked.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use tokio_rustls::rustls::pki_types::CertificateRevocationListDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::certificate::{hex, moment};
use super::records::Record;
use super::{Authority, AuthorityError, CRL, Held};
use crate::devices::disk::{self, PUBLIC};

/// Bytes of a list, with every record on it.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// How long a list is good for.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// A list that ends sooner is signed again.
const LEFT_MIN: SignedDuration = SignedDuration::from_hours(24 * 15);
/// A list begins so long ago, for clocks that are behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// What a list says that is there.
pub(super) struct List {
    pub(super) number: Vec<u8>,
    pub(super) next_update: Timestamp,
    pub(super) serials: BTreeSet<String>,
}

impl Authority {
    pub(super) fn list_is_due(&self, now: Timestamp) -> Result<bool, AuthorityError> {
        let Some(list) = self.list() else {
            return Ok(true);
        };
        let records = self.records()?;
        let revoked = records
            .iter()
            .filter(|record| is_revoked(record, now, Some(&list)));
        let revoked: BTreeSet<_> = revoked.map(|record| record.serial.clone()).collect();
        Ok(list.next_update.duration_since(now) < LEFT_MIN || list.serials != revoked)
    }

    /// The list, if there is one that can be read.
    pub(super) fn list(&self) -> Option<List> {
        let bytes = disk::read(&self.files.crl, LIST_BYTES_MAX).ok()?;
        let der = CertificateRevocationListDer::from_pem_slice(&bytes).ok()?;
        let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
        let revoked = list.iter_revoked_certificates();
        Some(List {
            number: list.crl_number()?.to_bytes_be(),
            next_update: Timestamp::from_second(list.next_update()?.timestamp()).ok()?,
            serials: revoked.map(|one| hex(one.raw_serial())).collect(),
        })
    }
}

impl Held<'_> {
    /// Writes the list of what is revoked now.
    pub(super) fn sign_list(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let records = self.authority.records()?;
        let last = self.authority.list();
        let revoked = records
            .iter()
            .filter(|record| is_revoked(record, now, last.as_ref()));
        let number = last.as_ref().map_or(0, |list| {
            let last = list.number.iter().rev().take(8).rev();
            last.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        });
        let time =
            |time: Result<Timestamp, jiff::Error>| moment(time.map_err(|_| AuthorityError::Time)?);
        let list = CertificateRevocationListParams {
            this_update: time(now.checked_sub(BACKDATED))?,
            next_update: time(now.checked_add(LIFE))?,
            crl_number: SerialNumber::from(number.saturating_add(1)),
            issuing_distribution_point: None,
            revoked_certs: revoked.map(entry).collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer);
        let pem = list.and_then(|list| list.pem());
        let pem = pem.map_err(AuthorityError::List)?;
        Ok(self.folder.replace(CRL, pem.as_bytes(), PUBLIC)?)
    }
}

/// What the last list says stays revoked, also if the clock was set back since.
fn is_revoked(record: &Record, now: Timestamp, last: Option<&List>) -> bool {
    let listed = || last.is_some_and(|last| last.serials.contains(&record.serial));
    let revoked = record.revoked.as_ref();
    revoked.is_some_and(|revoked| revoked.at <= now || listed())
}

fn entry(record: &Record) -> Result<RevokedCertParams, AuthorityError> {
    let digits = record.serial.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let serial: Option<Vec<u8>> = digits.map(byte).collect();
    let revoked = record.revoked.as_ref();
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from(serial.unwrap_or_default()),
        revocation_time: moment(revoked.map_or(Timestamp::UNIX_EPOCH, |revoked| revoked.at))?,
        reason_code: revoked.map(|revoked| reason(&revoked.reason)),
        invalidity_date: None,
    })
}

fn reason(text: &str) -> RevocationReason {
    match text {
        "keyCompromise" => RevocationReason::KeyCompromise,
        "superseded" => RevocationReason::Superseded,
        "cessationOfOperation" => RevocationReason::CessationOfOperation,
        _ => RevocationReason::Unspecified,
    }
}
