//! What the authority vouched for: a file each, until it has ended.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Authority, AuthorityError, Held};
use crate::devices::disk::{self, PRIVATE};
use crate::names::PartyName;
use crate::tls::Fingerprint;

/// The folder of the records within the authority's.
pub(super) const FOLDER: &str = "issued";
/// Records; with more, nothing is done, for one might be missed.
const RECORDS_MAX: usize = 100_000;
const RECORD_BYTES_MAX: u64 = 4 << 10;

/// A certificate of a device that was made here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whose it is.
    pub device: PartyName,
    /// In hexadecimal digits; the file's name too.
    pub serial: String,
    #[serde(
        deserialize_with = "crate::devices::file::read_fingerprint",
        serialize_with = "crate::devices::file::write_fingerprint"
    )]
    pub fingerprint: Fingerprint,
    pub not_after: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// From when on a certificate is good for nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    pub at: Timestamp,
    /// As RFC 5280 says it, section 5.3.1: `keyCompromise`.
    pub reason: String,
}

impl Authority {
    /// What it vouched for that has not ended long ago.
    pub fn records(&self) -> Result<Vec<Record>, AuthorityError> {
        let mut records = Vec::new();
        let folder = self.folder.join(FOLDER);
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            if records.len() >= RECORDS_MAX {
                let what = format!("it has more than {RECORDS_MAX} records");
                return Err(AuthorityError::file(&folder, what));
            }
            let bytes = disk::read(&path, RECORD_BYTES_MAX)?;
            let record = toml::from_slice(&bytes);
            records.push(record.map_err(|error| AuthorityError::file(&path, error))?);
        }
        records.sort_by(|a: &Record, b| a.serial.cmp(&b.serial));
        Ok(records)
    }
}

impl Held<'_> {
    pub(super) fn write_record(&self, record: &Record) -> Result<(), AuthorityError> {
        let path = self.authority.folder.join(FOLDER);
        let text = toml::to_string(record);
        let text = text.map_err(|error| AuthorityError::file(&path, error))?;
        let folder = self.folder.within(Path::new(FOLDER))?;
        Ok(folder.replace(&file(&record.serial), text.as_bytes(), PRIVATE)?)
    }
}

/// What the record of a certificate is called.
pub(super) fn file(serial: &str) -> String {
    format!("{serial}.toml")
}
