//! Readings on the bus: SenML (RFC 8428) in JSON, with a quality of our own.
//!
//! [`read`] resolves base names, times, units and values (section 4.6), so a
//! record stands for itself; [`write()`] writes records the same way back. The
//! field `q` is ours and says how far a value may be trusted; by section 4.4
//! readers that do not know it ignore it. Sums and update times, which few
//! need, come with [`parse_entries`].
//!
//! A pack is refused as a whole if it is of a version we do not know, has a
//! field that must be understood and is not (its name ends in `_`), a record
//! with more than one value, or a name that section 4.5.1 does not allow.

mod base64;
mod resolve;
mod wire;

use crate::message::Message;

use wire::Wire;

/// The media type of a pack in JSON (RFC 8428 section 12.3.1).
pub const CONTENT_TYPE: &str = "application/senml+json";

/// Records in one pack that are read; a longer one is refused.
const RECORDS_MAX: usize = 4096;

/// How far a value may be trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Quality {
    /// Measured as intended.
    #[default]
    Good,
    /// Usable with care, and why.
    Uncertain(String),
    /// Not a measurement, and why.
    Bad(String),
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `v`
    Number(f64),
    /// `vb`
    Bool(bool),
    /// `vs`
    Text(String),
    /// `vd`
    Data(Vec<u8>),
    /// There is none: the reading failed, and the quality says why.
    Missing,
}

/// One reading, resolved: it stands for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was read, base name included.
    pub name: String,
    /// The unit's symbol from the SenML registry, for example `Cel`.
    pub unit: Option<String>,
    /// The value.
    pub value: Value,
    /// When, in seconds since the Unix epoch.
    pub time: f64,
    /// How far it may be trusted.
    pub quality: Quality,
}

impl Record {
    /// The value, if it is a finite number that is not bad.
    pub fn number(&self) -> Option<f64> {
        match (&self.value, &self.quality) {
            (_, Quality::Bad(_)) => None,
            (Value::Number(number), _) if number.is_finite() => Some(*number),
            _ => None,
        }
    }
}

/// A record with what few need.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The reading; [`Value::Missing`] if there is only a sum.
    pub record: Record,
    /// The value integrated over time (`s` and `bs`), in its unit times seconds.
    pub sum: Option<f64>,
    /// Seconds within which the next reading comes (`ut`).
    pub update_time: Option<f64>,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self {
            record,
            sum: None,
            update_time: None,
        }
    }
}

/// Why a payload is not a pack.
#[derive(Debug)]
pub struct SenmlError(String);

impl std::fmt::Display for SenmlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read SenML: {}", self.0)
    }
}

impl std::error::Error for SenmlError {}

/// Whether a record may have this name (section 4.5.1).
pub fn is_valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-:./_".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed)
}

/// Reads the pack that `message` carries; relative times count from when the
/// host took the message in.
///
/// # Errors
/// The payload is not a SenML pack in JSON, or longer than 4,096 records.
pub fn read(message: &Message) -> Result<Vec<Record>, SenmlError> {
    #[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
    let now = (message.published_at / 1_000) as f64 / 1e6;
    parse(&message.payload, now)
}

/// Reads a pack; relative times count from `now`, in seconds since the epoch.
/// A record that has only a sum is left out: see [`parse_entries`].
///
/// # Errors
/// As [`read`].
pub fn parse(payload: &[u8], now: f64) -> Result<Vec<Record>, SenmlError> {
    let entries = parse_entries(payload, now)?;
    let only_sum = |entry: &Entry| {
        let record = &entry.record;
        entry.sum.is_some() && record.value == Value::Missing && record.quality == Quality::Good
    };
    Ok(entries
        .into_iter()
        .filter(|entry| !only_sum(entry))
        .map(|entry| entry.record)
        .collect())
}

/// Reads a pack with sums and update times; otherwise as [`parse`].
///
/// # Errors
/// As [`read`].
pub fn parse_entries(payload: &[u8], now: f64) -> Result<Vec<Entry>, SenmlError> {
    let wires: Vec<Wire> =
        serde_json::from_slice(payload).map_err(|error| SenmlError(error.to_string()))?;
    if wires.is_empty() || wires.len() > RECORDS_MAX {
        return Err(SenmlError(format!(
            "{} records, but must be 1 to {RECORDS_MAX}",
            wires.len()
        )));
    }
    resolve::resolve(wires, now)
}

/// Writes records as a pack in JSON.
pub fn write(records: &[Record]) -> Vec<u8> {
    to_json(records.iter().map(Wire::of))
}

/// Writes records with their sums and update times as a pack in JSON.
pub fn write_entries(entries: &[Entry]) -> Vec<u8> {
    to_json(entries.iter().map(|entry| Wire {
        s: entry.sum.filter(|sum| sum.is_finite()),
        ut: entry.update_time.filter(|time| time.is_finite()),
        ..Wire::of(&entry.record)
    }))
}

fn to_json(wires: impl Iterator<Item = Wire>) -> Vec<u8> {
    let wires: Vec<Wire> = wires.collect();
    serde_json::to_vec(&wires).unwrap_or_else(|_| b"[]".to_vec())
}

/// A message on `topic` that carries `records`.
pub fn message(topic: impl Into<String>, records: &[Record]) -> Message {
    Message::new(topic, write(records)).with_content_type(CONTENT_TYPE)
}

#[cfg(test)]
mod tests;
