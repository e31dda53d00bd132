//! Readings on the bus: SenML (RFC 8428) in JSON, with a quality of our own.
//!
//! [`read`] resolves base names, times, units and values (section 4.6), so a
//! record stands for itself; [`write()`] writes records the same way back. The
//! field `q` is ours and says how far a value may be trusted; by section 4.4
//! readers that do not know it ignore it.

use serde::{Deserialize, Serialize};

use crate::message::Message;

/// The media type of a pack in JSON (RFC 8428 section 12.3.1).
pub const CONTENT_TYPE: &str = "application/senml+json";

/// Times below this count from now, others from the Unix epoch (section 4.5.3).
const ABSOLUTE_TIME_MIN: f64 = 268_435_456.0;

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

/// Why a payload is not a pack.
#[derive(Debug)]
pub struct SenmlError(String);

impl std::fmt::Display for SenmlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read SenML: {}", self.0)
    }
}

impl std::error::Error for SenmlError {}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    bn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bv: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bver: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vb: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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
///
/// # Errors
/// As [`read`].
pub fn parse(payload: &[u8], now: f64) -> Result<Vec<Record>, SenmlError> {
    let wires: Vec<Wire> =
        serde_json::from_slice(payload).map_err(|error| SenmlError(error.to_string()))?;
    if wires.len() > RECORDS_MAX {
        return Err(SenmlError(format!(
            "{} records, {RECORDS_MAX} at most",
            wires.len()
        )));
    }
    let mut base = Wire::default();
    let mut records = Vec::with_capacity(wires.len());
    for wire in wires {
        base.bn = wire.bn.clone().or(base.bn);
        base.bt = wire.bt.or(base.bt);
        base.bu = wire.bu.clone().or(base.bu);
        base.bv = wire.bv.or(base.bv);
        if let Some(record) = resolve(&base, wire, now)? {
            records.push(record);
        }
    }
    Ok(records)
}

/// One record with its bases applied (section 4.6); `None` if it only sets bases.
fn resolve(base: &Wire, wire: Wire, now: f64) -> Result<Option<Record>, SenmlError> {
    let value = match (wire.v, wire.vb, wire.vs) {
        (Some(number), None, None) => Value::Number(number + base.bv.unwrap_or(0.0)),
        (None, Some(bool), None) => Value::Bool(bool),
        (None, None, Some(text)) => Value::Text(text),
        (None, None, None) if wire.q.is_none() && wire.n.is_none() => return Ok(None),
        (None, None, None) => Value::Missing,
        _ => return Err(SenmlError("a record with more than one value".to_owned())),
    };
    let name = base.bn.clone().unwrap_or_default() + &wire.n.unwrap_or_default();
    if name.is_empty() {
        return Err(SenmlError("a record without a name".to_owned()));
    }
    let time = base.bt.unwrap_or(0.0) + wire.t.unwrap_or(0.0);
    let time = if time < ABSOLUTE_TIME_MIN {
        now + time
    } else {
        time
    };
    let why = wire.why.unwrap_or_default();
    let quality = match wire.q.as_deref() {
        None | Some("good") => Quality::Good,
        Some("uncertain") => Quality::Uncertain(why),
        Some(_) => Quality::Bad(why),
    };
    let unit = wire.u.or_else(|| base.bu.clone());
    Ok(Some(Record {
        name,
        unit,
        value,
        time,
        quality,
    }))
}

/// Writes records as a pack in JSON.
pub fn write(records: &[Record]) -> Vec<u8> {
    let wires: Vec<Wire> = records.iter().map(to_wire).collect();
    serde_json::to_vec(&wires).unwrap_or_else(|_| b"[]".to_vec())
}

/// A message on `topic` that carries `records`.
pub fn message(topic: impl Into<String>, records: &[Record]) -> Message {
    Message::new(topic, write(records)).with_content_type(CONTENT_TYPE)
}

fn to_wire(record: &Record) -> Wire {
    let mut wire = Wire {
        n: Some(record.name.clone()),
        u: record.unit.clone(),
        t: Some(record.time),
        ..Wire::default()
    };
    match &record.value {
        // JSON has no NaN; a reading that is none says so.
        Value::Number(number) if number.is_finite() => wire.v = Some(*number),
        Value::Number(_) | Value::Missing => {}
        Value::Bool(bool) => wire.vb = Some(*bool),
        Value::Text(text) => wire.vs = Some(text.clone()),
    }
    let (quality, why) = match &record.quality {
        Quality::Good => (None, None),
        Quality::Uncertain(why) => (Some("uncertain"), Some(why.clone())),
        Quality::Bad(why) => (Some("bad"), Some(why.clone())),
    };
    wire.q = quality.map(str::to_owned);
    wire.why = why;
    wire
}
