//! What AWS IoT Jobs says and is told (AWS IoT Developer Guide, "Jobs device MQTT
//! API operations and data types").

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::cloud::name::{JobId, ThingName};
use crate::names::{Topic, TopicFilter};

/// The topics of the jobs of one thing.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
}

/// What arrived, by its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    NotifyNext,
    Started,
    NotStarted,
    Described(JobId),
    NotDescribed(JobId),
    Updated(JobId),
    NotUpdated(JobId),
}

impl Topics {
    pub fn new(thing: &ThingName) -> Self {
        Self {
            prefix: format!("$aws/things/{thing}/jobs"),
        }
    }

    pub fn start_next(&self) -> Topic {
        self.topic("start-next")
    }

    pub fn get(&self, job: &JobId) -> Topic {
        self.topic(&format!("{job}/get"))
    }

    pub fn update(&self, job: &JobId) -> Topic {
        self.topic(&format!("{job}/update"))
    }

    pub fn filters(&self) -> Vec<TopicFilter> {
        let ends = ["notify-next", "start-next/+", "+/get/+", "+/update/+"];
        let filter = |end| format!("{}/{end}", self.prefix);
        let filters = ends.map(filter).into_iter();
        filters
            .map(|text| text.parse().expect("names are levels of topics"))
            .collect()
    }

    pub fn kind(&self, topic: &Topic) -> Option<Kind> {
        let end = topic
            .as_str()
            .strip_prefix(&self.prefix)?
            .strip_prefix('/')?;
        let parts: Vec<_> = end.split('/').collect();
        match parts.as_slice() {
            ["notify-next"] => Some(Kind::NotifyNext),
            ["start-next", "accepted"] => Some(Kind::Started),
            ["start-next", "rejected"] => Some(Kind::NotStarted),
            [job, "get", "accepted"] => Some(Kind::Described(job.parse().ok()?)),
            [job, "get", "rejected"] => Some(Kind::NotDescribed(job.parse().ok()?)),
            [job, "update", "accepted"] => Some(Kind::Updated(job.parse().ok()?)),
            [job, "update", "rejected"] => Some(Kind::NotUpdated(job.parse().ok()?)),
            _ => None,
        }
    }

    fn topic(&self, end: &str) -> Topic {
        let text = format!("{}/{end}", self.prefix);
        text.parse().expect("names are levels of topics")
    }
}

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Queued,
    InProgress,
    Failed,
    Succeeded,
    Canceled,
    TimedOut,
    Rejected,
    Removed,
}

impl Status {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// What is said of an execution.
pub type Details = BTreeMap<String, String>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartNext<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_timeout_in_minutes: Option<u32>,
    pub client_token: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Describe<'a> {
    pub execution_number: u64,
    pub include_job_document: bool,
    pub client_token: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update<'a> {
    pub status: Status,
    #[serde(skip_serializing_if = "is_nothing")]
    pub status_details: &'a Details,
    /// Refused if the execution has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub execution_number: u64,
    pub include_job_execution_state: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_timeout_in_minutes: Option<u32>,
    pub client_token: &'a str,
}

/// What is next, is started, or was asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// An empty object, or nothing, if there is none.
    #[serde(default)]
    pub execution: Option<Value>,
    #[serde(default)]
    pub client_token: Option<String>,
}

impl Answer {
    /// The execution, if there is one and it is of that form.
    pub fn execution(self) -> Result<Option<Execution>, serde_json::Error> {
        match self.execution {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) if fields.is_empty() => Ok(None),
            Some(execution) => serde_json::from_value(execution).map(Some),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    pub job_id: JobId,
    pub status: Status,
    pub version_number: u64,
    #[serde(default = "first")]
    pub execution_number: u64,
    /// In seconds since 1970; none if it is not said as a number.
    #[serde(default, deserialize_with = "seconds")]
    pub queued_at: Option<u64>,
    #[serde(default)]
    pub job_document: Option<Value>,
}

fn is_nothing(details: &&Details) -> bool {
    details.is_empty()
}

fn first() -> u64 {
    1
}

/// Whole seconds: parts of them are not in every answer.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(from)?;
    let text = value.as_number().map(ToString::to_string);
    let whole = text.as_deref().and_then(|text| text.split('.').next());
    Ok(whole.and_then(|whole| whole.parse().ok()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub status: Status,
    pub version_number: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    #[serde(default)]
    pub execution_state: Option<State>,
    #[serde(default)]
    pub client_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub client_token: Option<String>,
    #[serde(default)]
    pub execution_state: Option<State>,
}
