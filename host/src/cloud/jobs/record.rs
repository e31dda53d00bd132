//! What is remembered of a job across restarts, so that it is done once.

use serde::{Deserialize, Serialize};

use super::wire::{Details, Status};
use crate::cloud::asking::plain;
use crate::cloud::name::JobId;
use crate::cloud::order::Order;

/// Characters of one value in a job's details.
const DETAIL_CHARS_MAX: usize = 500;

/// One execution of a job: no two are the same on one device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionId {
    pub job: JobId,
    pub number: u64,
}

impl ExecutionId {
    /// By whose word it is done: also how a deployment made for it is found again.
    pub fn by(&self) -> String {
        format!("cloud job {}/{}", self.job, self.number)
    }

    /// Where it is kept.
    pub fn key(&self) -> String {
        format!("job/{}/{}", self.job, self.number)
    }
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub status: Status,
    pub details: Details,
}

impl Outcome {
    pub fn succeeded(details: Details) -> Self {
        Self {
            status: Status::Succeeded,
            details,
        }
    }

    /// It was not begun, and why.
    pub fn rejected(code: &str, reason: &str) -> Self {
        Self::with_reason(Status::Rejected, code, reason)
    }

    /// It was begun and did not come to a good end.
    pub fn failed(code: &str, reason: &str) -> Self {
        Self::with_reason(Status::Failed, code, reason)
    }

    fn with_reason(status: Status, code: &str, reason: &str) -> Self {
        let mut details = Details::new();
        details.insert("code".to_owned(), detail(code));
        details.insert("reason".to_owned(), detail(reason));
        Self { status, details }
    }
}

/// A value as AWS IoT takes it: not empty, without control characters, short.
pub fn detail(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    let shown: String = shown.chars().take(DETAIL_CHARS_MAX).collect();
    if shown.trim().is_empty() {
        return "-".to_owned();
    }
    shown
}

/// How far an execution is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// It may have been done in part.
    Begun { order: Order },
    /// It ended; whether that is in the queue to the cloud.
    Ended { outcome: Outcome, queued: bool },
    /// The cloud knows, or has no use for it.
    Told { outcome: Outcome },
}

/// An execution, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: ExecutionId,
    /// Grows from record to record, so that the oldest can be forgotten.
    pub serial: u64,
    #[serde(flatten)]
    pub stage: Stage,
}

/// What a rejection says, in few words.
pub fn told(code: &str, message: &str) -> String {
    format!("{}: {}", plain(code), plain(message))
}
