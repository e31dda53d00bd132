//! The gateway's own certificate: when it is due, and how it comes.

use jiff::{SignedDuration, Timestamp};

use super::certificate::{self, Issued, KeyType, Subject};
use super::{
    Authority, AuthorityError, FILE_BYTES_MAX, Held, RequestKey, SERVER_CERTIFICATE, SERVER_KEY,
    first_certificate, machine, text,
};
use crate::devices::disk::{self, PRIVATE, PUBLIC};
use crate::tls;

/// Days that it is good for.
const DAYS: u32 = 365;

impl Authority {
    pub(super) fn server_is_due(&self, now: Timestamp) -> Result<bool, AuthorityError> {
        let path = &self.files.server_certificate;
        if !path.exists() || !self.files.server_key.exists() {
            return Ok(true);
        }
        // A renewal that was cut short leaves the new key beside the old certificate.
        let chain = disk::read(path, FILE_BYTES_MAX)?;
        if !tls::fits(&chain, &disk::read(&self.files.server_key, FILE_BYTES_MAX)?) {
            return Ok(true);
        }
        let certificate = first_certificate(path)?;
        let end = certificate::not_after(path, &certificate)?;
        let due = SignedDuration::from_hours(24 * i64::from(DAYS) / 3);
        // Another one would end no later than what vouches for it either.
        let ends = end.duration_since(now) < due && end < self.not_after()?;
        let names = machine::names(&self.folder)?;
        let missing = names
            .iter()
            .any(|name| !certificate::names(&certificate, name));
        Ok(ends || missing)
    }
}

impl Held<'_> {
    pub(super) fn certify_server(&self, now: Timestamp) -> Result<Issued, AuthorityError> {
        let authority = self.authority;
        let names = machine::names(&authority.folder)?;
        let key = RequestKey::New(KeyType::default());
        let mut issued = self.certify(Subject::Server(&names), key, DAYS, now)?;
        if !certificate::is_self_signed(&self.certificate) {
            issued.certificate.push_str(&text(&authority.files.ca)?);
        }
        let key = issued.key.as_deref().unwrap_or_default();
        // Whoever reads between the two finds that they do not belong together, and
        // reads again.
        self.folder.replace(SERVER_KEY, key.as_bytes(), PRIVATE)?;
        let certificate = issued.certificate.as_bytes();
        self.folder
            .replace(SERVER_CERTIFICATE, certificate, PUBLIC)?;
        Ok(issued)
    }
}
