//! One captured run, or data that a program handed in, and how it is written.
//!
//! As JSON on one line: `capture` (its identifier), `model`, `time` (RFC 3339),
//! `source` (`run` or `client`), `digest`, `backend` and `took_us` of the run,
//! `inputs` and `outputs` (`name`, `kind`, `dimensions`, and `data` in base64,
//! little-endian), and `auxiliary` (`name`, `content_type`, `data` in base64). What is
//! not known or was not asked for is left out.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::record::base64::Base64;
use crate::inference::{RunRecord, Tensor, TensorKind};
use crate::names::{Digest, ModelName, Topic};
use crate::spec::{BackendKind, CaptureOptions};

mod base64;

/// Bytes of all the data of one record.
const RECORD_BYTES_MAX: usize = 4 << 20;
/// Characters of an identifier, and of the name of auxiliary data.
const NAME_MAX: usize = 64;
/// Bytes of the name of a media type.
const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Tensors and auxiliary parts of one record, each.
const PARTS_MAX: usize = 256;
/// What a record takes in memory besides its data and names.
const OVERHEAD_BYTES: usize = 512;

/// What a record is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaptureId(Arc<str>);

/// It has other characters than letters, digits, `.`, `_` and `-`, none or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not 1 to {NAME_MAX} of letters, digits, `.`, `_` and `-`")]
pub struct CaptureIdError;

impl CaptureId {
    pub(super) fn made(mark: &str, number: u64) -> Self {
        Self(format!("{mark}-{number}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for CaptureId {
    type Err = CaptureIdError;

    fn from_str(text: &str) -> Result<Self, CaptureIdError> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(CaptureIdError)
        }
    }
}

impl Serialize for CaptureId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for CaptureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// Data that is no tensor.
#[derive(Clone, Debug)]
pub struct Auxiliary {
    pub name: String,
    pub content_type: String,
    pub data: Bytes,
}

/// What a program hands in.
#[derive(Clone, Debug)]
pub struct Captured {
    pub model: ModelName,
    /// The version that serves.
    pub digest: Option<Digest>,
    /// None: one is made up.
    pub id: Option<CaptureId>,
    /// None: now.
    pub time_ns: Option<u64>,
    pub inputs: Vec<(String, Tensor)>,
    pub outputs: Vec<(String, Tensor)>,
    pub auxiliary: Vec<Auxiliary>,
}

/// Why something is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the data has {bytes} bytes, at most {RECORD_BYTES_MAX} are captured")]
    TooLarge { bytes: usize },
    #[error("there are more than {PARTS_MAX} parts")]
    TooManyParts,
    #[error("the name of auxiliary data is none: {0}")]
    Name(CaptureIdError),
    #[error("the media type has more than {CONTENT_TYPE_BYTES_MAX} bytes, or none are of text")]
    ContentType,
}

impl RecordError {
    /// A stable name for API replies. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "capture-too-large",
            Self::TooManyParts => "capture-too-many-parts",
            Self::Name(_) => "capture-name",
            Self::ContentType => "capture-content-type",
        }
    }
}

/// What waits in line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Record {
    #[serde(rename = "capture")]
    id: CaptureId,
    model: ModelName,
    #[serde(skip)]
    topic: Topic,
    time: Timestamp,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<BackendKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_us: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    auxiliary: Vec<Extra>,
    #[serde(skip)]
    size: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    name: Box<str>,
    kind: TensorKind,
    dimensions: Box<[u32]>,
    data: Base64,
}

#[derive(Clone, Debug, Serialize)]
struct Extra {
    name: Box<str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: Box<str>,
    data: Base64,
}

impl Part {
    fn of(name: &str, tensor: &Tensor) -> Self {
        Self {
            name: name.into(),
            kind: tensor.kind(),
            dimensions: tensor.dimensions().into(),
            data: Base64::copy(tensor.data()),
        }
    }
}

impl Record {
    /// Data that a program handed in.
    pub(super) fn new(
        captured: Captured,
        topic: &Topic,
        id: impl FnOnce() -> CaptureId,
    ) -> Result<Self, RecordError> {
        let Captured {
            inputs,
            outputs,
            auxiliary,
            ..
        } = &captured;
        let lengths = [inputs.len(), outputs.len(), auxiliary.len()];
        if lengths.iter().any(|length| *length > PARTS_MAX) {
            return Err(RecordError::TooManyParts);
        }
        for extra in auxiliary {
            if !is_name(&extra.name) {
                return Err(RecordError::Name(CaptureIdError));
            }
            let is_text = extra
                .content_type
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte));
            if extra.content_type.len() > CONTENT_TYPE_BYTES_MAX || !is_text {
                return Err(RecordError::ContentType);
            }
        }
        let tensors = inputs.iter().chain(outputs);
        let tensors = tensors.map(|(name, tensor)| name.len() + tensor.data().len());
        let extras = auxiliary.iter();
        let extras =
            extras.map(|extra| extra.name.len() + extra.content_type.len() + extra.data.len());
        let size = size(tensors.chain(extras))?;
        let parts = |tensors: &[(String, Tensor)]| {
            let parts = tensors.iter().map(|(name, tensor)| Part::of(name, tensor));
            parts.collect()
        };
        let extra = |extra: &Auxiliary| Extra {
            name: extra.name.as_str().into(),
            content_type: extra.content_type.as_str().into(),
            data: Base64::copy(&extra.data),
        };
        Ok(Self {
            inputs: parts(inputs),
            outputs: parts(outputs),
            auxiliary: auxiliary.iter().map(extra).collect(),
            id: captured.id.unwrap_or_else(id),
            model: captured.model,
            topic: topic.clone(),
            time: time(captured.time_ns),
            source: "client",
            digest: captured.digest,
            backend: None,
            took_us: None,
            size,
        })
    }

    /// A run. Copies what is kept: what a program sent may be a part of something
    /// larger, which would stay.
    pub(super) fn of_run(
        run: RunRecord,
        backend: Option<BackendKind>,
        options: &CaptureOptions,
        known_by: impl FnOnce() -> (CaptureId, Topic),
    ) -> Result<Self, RecordError> {
        let inputs = run.inputs.iter().filter(|_| options.inputs);
        let outputs = run.outputs.iter().filter(|_| options.outputs);
        let given = inputs.clone().map(|(name, tensor)| (&**name, tensor));
        let gave = outputs.map(|(name, tensor)| (&**name, tensor));
        let all = given.clone().chain(gave.clone());
        let size = size(all.map(|(name, tensor)| name.len() + tensor.data().len()))?;
        let (id, topic) = known_by();
        Ok(Self {
            id,
            topic,
            time: time(None),
            source: "run",
            digest: Some(run.digest),
            backend,
            took_us: u64::try_from(run.took.as_micros()).ok(),
            inputs: given.map(|(name, tensor)| Part::of(name, tensor)).collect(),
            outputs: gave.map(|(name, tensor)| Part::of(name, tensor)).collect(),
            auxiliary: Vec::new(),
            model: run.model,
            size,
        })
    }

    pub(super) fn id(&self) -> &CaptureId {
        &self.id
    }

    pub(super) fn model(&self) -> &ModelName {
        &self.model
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What it takes in memory, about.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn to_json(&self) -> Bytes {
        serde_json::to_vec(self)
            .expect("records are plain data")
            .into()
    }
}

fn size(parts: impl Iterator<Item = usize>) -> Result<usize, RecordError> {
    let bytes = parts.fold(0_usize, |sum, part| {
        sum.saturating_add(part + OVERHEAD_BYTES / 4)
    });
    if bytes > RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge { bytes });
    }
    Ok(bytes + OVERHEAD_BYTES)
}

/// A time in nanoseconds since the Unix epoch; now, if none is said.
fn time(nanoseconds: Option<u64>) -> Timestamp {
    let nanoseconds = nanoseconds.map(i128::from).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| i128::try_from(now.as_nanos()).unwrap_or(i128::MAX))
    });
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::MAX)
}
