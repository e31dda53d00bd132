//! What an instance is made from: serialisable, and nothing else.
//!
//! A jailed worker process must be able to make the same instance from the same
//! specification, so nothing here refers to the running host.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{Digest, ModelName, PluginName, Topic, TopicFilter};

/// Everything that makes one instance of one plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Its name in the deployment.
    pub plugin: PluginName,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// What the plugin reads through `wasi:config`.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may cost.
    pub limits: Limits,
}

/// What a plugin may reach. Nothing, unless named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Topic filters it may publish to.
    pub publish: Vec<TopicFilter>,
    /// Topic filters it is subscribed to; `$share/<group>/<filter>` shares.
    pub subscribe: Vec<TopicFilter>,
    /// TCP endpoints it may connect to, `host:port`.
    pub tcp: Vec<Endpoint>,
    /// UDP endpoints it may bind or send to, `host:port`.
    pub udp: Vec<Endpoint>,
    /// Models it may load, by their name in the deployment.
    pub models: Vec<ModelName>,
    /// Bytes it may keep in its key-value bucket, over keys and values, each entry
    /// counting 64 more; 0 for none.
    pub keyvalue_bytes_max: u64,
}

/// A host (name or address) and a port that a plugin may reach.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Endpoint {
    /// A DNS name or an IP address (IPv6 without brackets here).
    pub host: String,
    /// From 1.
    pub port: NonZeroPort,
}

type NonZeroPort = std::num::NonZeroU16;

/// Why text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint: expected `host:port`")]
pub struct EndpointError(String);

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            let bare = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            let host = bare.unwrap_or(host);
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
            let valid = !host.is_empty() && host.len() <= 253 && host.chars().all(plain);
            // An IPv6 address needs its brackets, or its last group would be the port.
            let valid = valid && (bare.is_some() || !host.contains(':'));
            valid.then(|| Self {
                host: host.to_ascii_lowercase(),
                port,
            })
        });
        parsed.ok_or(EndpointError(text))
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        if endpoint.host.contains(':') {
            format!("[{}]:{}", endpoint.host, endpoint.port)
        } else {
            format!("{}:{}", endpoint.host, endpoint.port)
        }
    }
}

/// What becomes of a message that does not fit into a full inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The publisher waits, within the time limit of its call.
    #[default]
    Block,
    /// The oldest waiting message is dropped and counted.
    DropOldest,
    /// The arriving message is dropped and counted.
    DropNewest,
    /// A waiting message of the same topic is replaced; else as `drop-oldest`.
    LatestPerTopic,
}

/// What one plugin may cost the device. Every limit is finite; the defaults
/// suit a small plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes, summed over the instance's memories.
    pub memory_bytes_max: NonZeroU64,
    /// Table elements, summed over the instance's tables.
    pub table_elements_max: NonZeroU32,
    /// Host resources (pollables, sockets, tensors) open at once.
    pub resources_max: NonZeroU32,
    /// Milliseconds that the guest may compute without waiting, after which it
    /// traps. A call may take four times as long if it waits; `run` may wait for
    /// as long as it likes.
    pub call_ms_max: NonZeroU32,
    /// Messages in one batch.
    pub batch_messages_max: NonZeroU32,
    /// Messages waiting for the guest.
    pub inbox_messages_max: NonZeroU32,
    /// Bytes waiting for the guest, topics and payloads together.
    pub inbox_bytes_max: NonZeroU64,
    /// What becomes of a message that does not fit.
    pub inbox_overflow: Overflow,
    /// Messages it may publish in a second, on average; bursts of one second.
    pub publish_per_s_max: NonZeroU32,
    /// Log lines in a second; what exceeds them is counted and dropped.
    pub log_lines_per_s_max: NonZeroU32,
    /// Deliveries of one message after the first, before it is dead-lettered.
    pub retries_max: u32,
    /// Failures within ten minutes after which it is given up.
    pub restarts_max: u32,
    /// Bytes of tensors held at once.
    pub tensor_bytes_max: NonZeroU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: nonzero!(NonZeroU64, 16 << 20),
            table_elements_max: nonzero!(NonZeroU32, 10_000),
            resources_max: nonzero!(NonZeroU32, 256),
            call_ms_max: nonzero!(NonZeroU32, 1_000),
            batch_messages_max: nonzero!(NonZeroU32, 64),
            inbox_messages_max: nonzero!(NonZeroU32, 1_024),
            inbox_bytes_max: nonzero!(NonZeroU64, 4 << 20),
            inbox_overflow: Overflow::default(),
            publish_per_s_max: nonzero!(NonZeroU32, 10_000),
            log_lines_per_s_max: nonzero!(NonZeroU32, 20),
            retries_max: 3,
            restarts_max: 5,
            tensor_bytes_max: nonzero!(NonZeroU64, 4 << 20),
        }
    }
}

/// Where a model may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// On the processor.
    #[default]
    Cpu,
    /// On a graphics processor, or not at all.
    Gpu,
    /// On a graphics processor if there is one; says so when there is none.
    GpuPreferred,
}

/// Which native library runs a model.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Built in; needs nothing installed.
    Tract,
    /// ONNX Runtime, the library that the host's configuration names.
    Onnxruntime,
    /// OpenVINO, the library that the host's configuration names.
    Openvino,
}

impl BackendKind {
    /// As documents and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::Onnxruntime => "onnxruntime",
            Self::Openvino => "openvino",
        }
    }
}

/// Which library a model asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackendChoice {
    /// The first of `onnxruntime`, `openvino` and `tract` that this host has and
    /// that can run it. What was chosen is recorded with the deployment and kept.
    #[default]
    Auto,
    /// The one that is built in.
    Tract,
    /// ONNX Runtime or none.
    Onnxruntime,
    /// OpenVINO or none.
    Openvino,
}

/// What ONNX Runtime hands a model's operators to instead of its own code.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// NVIDIA processors.
    Cuda,
    /// NVIDIA processors, compiled for the one at hand.
    Tensorrt,
    /// Intel processors and graphics processors.
    Openvino,
}

/// In what precision a model may be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// As the model says; single precision stays single precision.
    #[default]
    Exact,
    /// Lower where the processor is faster at it: results depend on the device.
    Reduced,
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// Threads of one run.
    pub threads: NonZeroU32,
    /// Runs of this model at once. If not said, one; but one for each core where
    /// they share all memory of the model (tract) and are not computed together.
    pub concurrency: Option<NonZeroU32>,
    /// In what precision it may be computed.
    pub precision: Precision,
    /// Which of the host's providers computes it; else, for a graphics processor,
    /// the first one that can.
    pub provider: Option<Provider>,
    /// Refuse it where not every operator runs on the target. Else some may run on
    /// the processor, which is told.
    pub strict: bool,
    /// Let runs of different plugins be computed together.
    pub batching: Option<Batching>,
}

/// Runs that are computed together: for models whose first dimension, of all
/// inputs and outputs, is decided by each run, and whose rows do not depend on
/// each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batching {
    /// Rows in one run.
    pub rows_max: NonZeroU32,
    /// Microseconds that the first waits for others, at most 10,000.
    #[schemars(range(max = BATCH_WAIT_US_MAX))]
    pub wait_us_max: u32,
}

/// Microseconds that a run may wait for others.
pub const BATCH_WAIT_US_MAX: u32 = 10_000;

/// A model that is run beside another, on a sample of what that one is given, to
/// compare them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowOptions {
    /// The model that is tried out: another one of the deployment, which takes and
    /// gives the same.
    pub model: ModelName,
    /// The share of runs that it is given as well, from 0 to 1.
    #[serde(default = "Ratio::tenth")]
    pub fraction: Ratio,
    /// How far a value may be off before it is counted, relatively to values
    /// beyond 1, from 0 to 1.
    #[serde(default = "Ratio::thousandth")]
    pub tolerance: Ratio,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

/// It is never a NaN.
impl Eq for Ratio {}

impl Ratio {
    /// The whole in millionths.
    pub const WHOLE_PPM: u32 = 1_000_000;

    /// It as a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// It in millionths.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to 1"
    )]
    pub fn ppm(self) -> u32 {
        (self.0 * f64::from(Self::WHOLE_PPM)).round() as u32
    }

    fn tenth() -> Self {
        Self(0.1)
    }

    fn thousandth() -> Self {
        Self(0.001)
    }
}

/// Why a number is no ratio.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not from 0 to 1")]
pub struct RatioError(f64);

impl TryFrom<f64> for Ratio {
    type Error = RatioError;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        let valid = (0.0..=1.0).contains(&number);
        valid.then_some(Self(number)).ok_or(RatioError(number))
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

impl JsonSchema for Ratio {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// What of a model's runs is captured, for training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureOptions {
    /// Which part of all runs, from 0 to 1, to one millionth. Every n-th is taken:
    /// with 0.01, the hundredth, the two hundredth and so on. With 0, only what
    /// programs hand in themselves.
    pub fraction: Ratio,
    /// At most so many in one second.
    #[serde(default = "capture_per_s_max")]
    pub per_s_max: NonZeroU32,
    /// Where it is published; else on `capture/<model>`.
    #[serde(default)]
    pub topic: Option<Topic>,
    /// Keep what the model was given.
    #[serde(default = "yes")]
    pub inputs: bool,
    /// Keep what it gave.
    #[serde(default = "yes")]
    pub outputs: bool,
}

fn capture_per_s_max() -> NonZeroU32 {
    nonzero!(NonZeroU32, 5)
}

fn yes() -> bool {
    true
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            threads: nonzero!(NonZeroU32, 1),
            concurrency: None,
            precision: Precision::Exact,
            provider: None,
            strict: true,
            batching: None,
        }
    }
}

impl From<BackendKind> for BackendChoice {
    fn from(kind: BackendKind) -> Self {
        match kind {
            BackendKind::Tract => Self::Tract,
            BackendKind::Onnxruntime => Self::Onnxruntime,
            BackendKind::Openvino => Self::Openvino,
        }
    }
}

/// Models of a deployment by name.
pub type Models<T> = BTreeMap<ModelName, T>;
