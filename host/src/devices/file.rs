//! The file of one device: what stands in it, and how it is read and written.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::class::{NoClass, Rules, expanded};
use super::{Device, Quota, disk};
use crate::names::{PartyName, TopicFilter};
use crate::tls::Fingerprint;

/// Bytes of a device's file.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Topic filters of each kind in a device's file.
const FILTERS_MAX: usize = 256;
/// Certificates in a device's file, of each kind.
const CERTIFICATES_MAX: usize = 32;

/// What a device's file says. Its name is the file's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceFile {
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The kind of device it is: a name in `[broker.classes]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Topic filters it may publish to, instead of its class's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<Vec<String>>,
    /// Topic filters it may subscribe, instead of its class's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Vec<String>>,
    /// Whether it is kept out for now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// SHA-256 of the certificates it may show; without any, each that names it.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "read_fingerprints",
        serialize_with = "write_fingerprints"
    )]
    pub fingerprints: Vec<Fingerprint>,
    /// That it is kept out for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// What it may cost, where that differs from its class's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<toml::Table>,
    /// Certificates that it may still show for a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
}

/// Since when and why a device is kept out for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A certificate that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retiring {
    #[serde(
        deserialize_with = "read_fingerprint",
        serialize_with = "write_fingerprint"
    )]
    pub fingerprint: Fingerprint,
    /// Until when it may be shown.
    pub until: Timestamp,
}

/// Why a device's file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its text names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not written as the file of a device is")]
    Form(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("`{field}` has {count} entries; {max} are allowed")]
    TooMany {
        field: &'static str,
        count: usize,
        max: usize,
    },
    #[error("`{field}` cannot be used")]
    Filter {
        field: &'static str,
        source: <TopicFilter as FromStr>::Err,
    },
    #[error(transparent)]
    Class(#[from] NoClass),
    #[error("the certificate {fingerprint} is listed twice")]
    Twice { fingerprint: Fingerprint },
}

impl FileError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "device-file-unreadable",
            Self::Form(_) => "device-file-malformed",
            Self::TooMany { .. } => "device-file-too-much",
            Self::Filter { .. } => "device-filter-invalid",
            Self::Class(_) => "device-class-unknown",
            Self::Twice { .. } => "device-certificate-twice",
        }
    }
}

impl DeviceFile {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse(&disk::read(path, FILE_BYTES_MAX)?)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let text = std::str::from_utf8(bytes).map_err(|error| FileError::Form(error.into()))?;
        let file: Self = toml::from_str(text).map_err(|error| FileError::Form(error.into()))?;
        let bounded = |field, count, max| match count > max {
            true => Err(FileError::TooMany { field, count, max }),
            false => Ok(()),
        };
        let count = |filters: &Option<Vec<_>>| filters.as_ref().map_or(0, Vec::len);
        bounded("publish", count(&file.publish), FILTERS_MAX)?;
        bounded("subscribe", count(&file.subscribe), FILTERS_MAX)?;
        bounded("fingerprints", file.fingerprints.len(), CERTIFICATES_MAX)?;
        bounded("retiring", file.retiring.len(), CERTIFICATES_MAX)?;
        let mut seen = BTreeSet::new();
        let retiring = file.retiring.iter().map(|retiring| retiring.fingerprint);
        for fingerprint in file.fingerprints.iter().copied().chain(retiring) {
            if !seen.insert(fingerprint) {
                return Err(FileError::Twice { fingerprint });
            }
        }
        Ok(file)
    }

    /// The text of the file, if it can be read again.
    pub(super) fn checked_text(&self) -> Result<String, FileError> {
        let text = toml::to_string(self);
        let text = text.map_err(|error| FileError::Form(error.into()))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let what = format!("it would have more than {FILE_BYTES_MAX} bytes");
            return Err(FileError::Form(what.into()));
        }
        Self::parse(text.as_bytes())?;
        Ok(text)
    }

    /// The device it describes, as of `now`.
    pub fn device(
        &self,
        name: &PartyName,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Device, FileError> {
        let given = rules.given(self.class.as_deref())?;
        let filters = |field, own: &Option<Vec<String>>, given| {
            let patterns = own.as_ref().unwrap_or(given);
            let expanded = expanded(patterns, name);
            expanded.map_err(|source| FileError::Filter { field, source })
        };
        let retiring = self.retiring.iter().filter(|retiring| retiring.until > now);
        let retiring = retiring.map(|retiring| retiring.fingerprint);
        Ok(Device {
            name: name.clone(),
            class: self.class.clone(),
            publish: filters("publish", &self.publish, &given.publish)?,
            subscribe: filters("subscribe", &self.subscribe, &given.subscribe)?,
            quota: self.quota(&given.quota)?,
            fingerprints: self.fingerprints.iter().copied().chain(retiring).collect(),
        })
    }

    /// What is given, with what the file says differently.
    fn quota(&self, given: &Quota) -> Result<Quota, FileError> {
        let Some(own) = &self.quota else {
            return Ok(given.clone());
        };
        let form = |error: toml::ser::Error| FileError::Form(error.into());
        let mut merged = toml::Table::try_from(given).map_err(form)?;
        merged.extend(own.clone());
        let merged = merged.try_into();
        merged.map_err(|error: toml::de::Error| FileError::Form(error.into()))
    }

    /// When the device next changes by itself: a certificate's time ends.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.retiring.iter().map(|retiring| retiring.until);
        ends.filter(|until| *until > now).min()
    }
}

fn parsed<E: serde::de::Error>(text: &str) -> Result<Fingerprint, E> {
    let expected = "expected the 64 hexadecimal digits of a SHA-256";
    text.parse().map_err(|_| E::custom(expected))
}

pub(super) fn read_fingerprint<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Fingerprint, D::Error> {
    parsed(&String::deserialize(from)?)
}

fn read_fingerprints<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Fingerprint>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| parsed(text)).collect()
}

pub(super) fn write_fingerprint<S: Serializer>(
    value: &Fingerprint,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn write_fingerprints<S: Serializer>(values: &[Fingerprint], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}
