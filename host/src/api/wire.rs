//! What goes over the wire besides [`crate::deployment::report`] and
//! [`crate::deployment::plan`]: requests and answers, as JSON.
//!
//! Streams are newline-delimited JSON (`application/x-ndjson`), one value a line.

pub mod device;
pub mod message;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bus::PartyStatus;
use crate::deployment::deployments::{LoadedBy, PluginReport};
use crate::deployment::report::{ComputedBy, DeploymentId, DeploymentReport};
use crate::deployment::submission::WhenBusy;
use crate::names::{Digest, ModelName};

/// The version of the API: the first part of every path but those of probes.
pub const VERSION: &str = "v1";

/// Any answer that is not a success (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable name for it: `deployment-under-way`.
    pub code: String,
    /// What is wrong, in a line.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Each fault, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<crate::deployment::report::FaultReport>,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A document to be deployed or planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The document, TOML.
    pub document: String,
    /// What its file is called: faults name it.
    pub file: String,
    /// The files that it names, by path, with the digests by which they were
    /// handed in (`PUT /v1/files/{digest}`).
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub files: BTreeMap<String, Digest>,
    /// What becomes of it while another one is under way.
    #[serde(default)]
    pub when_busy: WhenBusy,
}

/// The deployment that was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// Its number.
    pub deployment: DeploymentId,
}

/// Which deployment to go back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBackRequest {
    /// Its number; without it, the committed one before the active one.
    #[serde(default)]
    pub to: Option<DeploymentId>,
}

/// Which component to swap in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapRequest {
    /// An artifact by its reference with its digest, or `shipped:<name>`.
    pub component: String,
}

/// How the host fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostStatus {
    /// The version of the host.
    pub version: String,
    /// When it started.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// Whether everything that should run does.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<HealthReason>,
    /// The deployment in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<DeploymentReport>,
    /// Those under way and in line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<DeploymentReport>,
    /// Every plugin.
    pub plugins: Vec<PluginReport>,
    /// Every model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelSummary>,
}

/// What serves under the name of a model, and what computes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelSummary {
    /// The model.
    pub model: ModelName,
    /// The version that its publisher gave it; a file by itself has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of its file.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// What computes it.
    #[serde(flatten)]
    pub by: ComputedBy,
    /// It was to run on a graphics processor if there is one, and there is none.
    pub degraded: bool,
    /// Runs of this version that failed or came too late.
    pub failures_total: u64,
    /// How often another version took its place while plugins used it.
    pub swaps_total: u64,
    /// Who brought it.
    #[serde(default)]
    pub loaded_by: LoadedBy,
    /// Why it is out of service, if so: it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// Something that keeps the host from being healthy or ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReason {
    /// What it is about: `plugin/window`, `model/panel`, `storage`, `trust`, `deployment`.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// The answer of `/healthz` and `/readyz`: 200 if `ok`, else 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Whether it is.
    pub ok: bool,
    /// Why not; or, if it is, what is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<HealthReason>,
}

/// Everyone on the bus.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Parties {
    /// Each of them, the host first.
    pub parties: Vec<PartyStatus>,
}

/// A message, to or from the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WireMessage {
    /// Its topic.
    pub topic: String,
    /// Its payload as text, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its payload in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// What the payload is, as an Internet media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// On publishing: keep it as the topic's value. On delivery: it is such a value.
    #[serde(default)]
    pub retain: bool,
    /// When the bus took it in; ignored on publishing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub published_at: Option<Timestamp>,
    /// Where an answer is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Name and value pairs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<(String, String)>,
}

/// One line of a tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "tap", rename_all = "kebab-case")]
pub enum Tapped {
    /// A message passed.
    Message(WireMessage),
    /// This reader was too slow for so many messages; they are not shown.
    Missed {
        /// How many.
        messages: u64,
    },
}

/// A line that a plugin or the host logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The plugin; none for the host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub level: String,
    /// The line.
    pub text: String,
    /// Lines of it that were dropped before this one because there were too many.
    #[serde(default)]
    pub dropped: u64,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// When it was given up.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The plugin that did not handle it.
    pub plugin: String,
    /// Why.
    pub reason: String,
    /// The message.
    pub message: WireMessage,
}

/// A topic that has a kept value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptTopic {
    /// The topic.
    pub topic: String,
    /// Bytes of its value.
    pub bytes: u64,
    /// When it was published.
    #[schemars(with = "String")]
    pub published_at: Timestamp,
}
