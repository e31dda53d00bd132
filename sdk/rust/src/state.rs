//! A plugin's state as bytes, for [`crate::Stateful`].
//!
//! JSON, so that a state can be read by people and by later versions. Numbers
//! come back exactly. Most plugins need [`to_bytes`] and [`from_bytes`] alone; one
//! that remembers much writes it in lines with a [`Writer`], what matters most
//! first, and leaves out what does not fit.
//!
//! What is read is foreign: derive `Deserialize` with `deny_unknown_fields`, and
//! check what comes out as if it came from the network.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the largest state that the host hands over.
pub const BYTES_MAX: usize = 8 << 20;

/// Characters of a refusal: it may quote the state.
const REASON_CHARS_MAX: usize = 256;

/// Why bytes are not a state. `?` turns it into the text that
/// [`crate::Stateful::restore`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError(String);

impl StateError {
    /// A state that can be read but makes no sense, because of `reason`.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let reason = reason.to_string();
        Self(reason.chars().take(REASON_CHARS_MAX).map(plain).collect())
    }
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the state does not fit: {}", self.0)
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for String {
    fn from(error: StateError) -> Self {
        error.to_string()
    }
}

impl From<serde_json::Error> for StateError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error)
    }
}

/// `state` as bytes.
///
/// # Panics
/// It cannot be written as JSON, as a map whose keys are no text cannot. In a
/// component that is a trap: no state is handed over, and the version that has
/// it is started anew.
pub fn to_bytes<T: Serialize>(state: &T) -> Vec<u8> {
    serde_json::to_vec(state).expect("a state can be written as JSON")
}

/// The state that [`to_bytes`] made into `bytes`.
///
/// # Errors
/// `bytes` are not such a state, or more than [`BYTES_MAX`].
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    if bytes.len() > BYTES_MAX {
        return Err(StateError::new("it is larger than 8 MiB"));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes a state in lines, within a bound.
#[derive(Debug)]
pub struct Writer(Bounded);

impl Writer {
    /// Nothing written yet, of at most `bytes_max` bytes. A plugin must have
    /// room for them, and twice while they grow, within its limit of memory.
    pub fn new(bytes_max: usize) -> Self {
        let bytes = Vec::new();
        Self(Bounded { bytes, bytes_max })
    }

    /// Writes one more line. Returns whether it fitted; if not, nothing of it is
    /// there, and a shorter one may still fit.
    #[must_use]
    pub fn push<T: Serialize>(&mut self, line: &T) -> bool {
        let before = self.0.bytes.len();
        let written = serde_json::to_writer(&mut self.0, line).is_ok()
            && io::Write::write_all(&mut self.0, b"\n").is_ok();
        if !written {
            self.0.bytes.truncate(before);
        }
        written
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.0.bytes.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.0.bytes.is_empty()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.bytes
    }
}

/// The lines of a [`Writer`], in their order.
pub fn lines<T: DeserializeOwned>(bytes: &[u8]) -> impl Iterator<Item = Result<T, StateError>> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(from_bytes)
}

/// For `#[serde(with = "selvedge_plugin::state::any_f64")]`: a number that may
/// be infinite or none at all, which JSON does not know.
pub mod any_f64 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Word(Word),
    }

    #[derive(Serialize, Deserialize)]
    enum Word {
        #[serde(rename = "inf")]
        Infinite,
        #[serde(rename = "-inf")]
        NegativeInfinite,
        #[serde(rename = "nan")]
        None,
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `serializer`.
    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let written = if number.is_finite() {
            Written::Number(*number)
        } else if number.is_nan() {
            Written::Word(Word::None)
        } else if *number > 0.0 {
            Written::Word(Word::Infinite)
        } else {
            Written::Word(Word::NegativeInfinite)
        };
        written.serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not what [`serialize`] writes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => number,
            Written::Word(Word::Infinite) => f64::INFINITY,
            Written::Word(Word::NegativeInfinite) => f64::NEG_INFINITY,
            Written::Word(Word::None) => f64::NAN,
        })
    }
}

/// Takes so many bytes and no more, nor more than there is memory for.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = self.bytes.len().saturating_add(bytes.len()) <= self.bytes_max;
        if !fits || self.bytes.try_reserve(bytes.len()).is_err() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
