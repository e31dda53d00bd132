//! What is remembered of a job across restarts, so that it is done once.

use serde::{Deserialize, Serialize};

use super::wire::{Details, Status};
use crate::cloud::asking::plain;
use crate::cloud::name::JobId;
use crate::cloud::order::Order;

/// Characters of one value in a job's details.
const DETAIL_CHARS_MAX: usize = 500;
/// The detail that says by a stable name why a job did not succeed.
pub const CODE: &str = "code";

/// One execution of a job. AWS IoT gives the name of a job that was deleted, and the
/// number, to others again: only with the time are no two the same on one device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionId {
    pub job: JobId,
    pub number: u64,
    /// When it was made, in seconds since 1970, if the cloud said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<u64>,
}

impl ExecutionId {
    /// By whose word it is done: also how a deployment made for it is found again.
    pub fn by(&self) -> String {
        format!("cloud job {}", self.joined())
    }

    /// Where it is kept.
    pub fn key(&self) -> String {
        format!("job/{}", self.joined())
    }

    /// Whether nothing speaks against both being the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let times = self.queued_at.zip(other.queued_at);
        let same_time = times.is_none_or(|(one, other)| one == other);
        self.job == other.job && self.number == other.number && same_time
    }

    fn joined(&self) -> String {
        let Self {
            job,
            number,
            queued_at,
        } = self;
        match queued_at {
            Some(queued_at) => format!("{job}/{number}/{queued_at}"),
            None => format!("{job}/{number}"),
        }
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
        details.insert(CODE.to_owned(), detail(code));
        details.insert("reason".to_owned(), detail(reason));
        Self { status, details }
    }
}

/// A value as AWS IoT takes it (`[^\p{C}]+`): not empty, and short.
pub fn detail(text: &str) -> String {
    let shown: String = text.chars().filter(|c| is_taken(*c)).collect();
    let shown: String = shown.chars().take(DETAIL_CHARS_MAX).collect();
    if shown.trim().is_empty() {
        return "-".to_owned();
    }
    shown
}

/// Whether it is surely none of `\p{C}`. Of that are controls, formats, private ones, and
/// whatever is not assigned: so what is assigned late, and seldom occurs, is left out.
fn is_taken(c: char) -> bool {
    let sign = matches!(c,
        ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{bf}' | '\u{d7}' | '\u{f7}'
        // Dashes, quotation marks and bullets; the euro; arrows and mathematics.
        | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{20ac}' | '\u{2190}'..='\u{22ff}');
    sign || (c <= '\u{ffff}' && c.is_alphanumeric())
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
    /// What the cloud last counted it as, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(flatten)]
    pub stage: Stage,
}

/// What a rejection says, in few words.
pub fn told(code: &str, message: &str) -> String {
    format!("{}: {}", plain(code), plain(message))
}

#[cfg(test)]
mod tests {
    use super::detail;

    #[test]
    fn what_aws_does_not_take_in_a_value_is_left_out_and_what_people_write_is_not() {
        let text = "Größe – 5 °C → „漢字“: 7 €, café";
        assert_eq!(detail(text), text);
        // Controls, formats, private ones, no characters, and not assigned ones.
        for other in [
            '\u{7}',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{600}',
            '\u{200b}',
            '\u{202e}',
            '\u{2028}',
            '\u{2065}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e000}',
            '\u{f8ff}',
            '\u{fdd0}',
            '\u{ffff}',
            '\u{378}',
            '\u{e0001}',
            '\u{f0000}',
            '\u{10ffff}',
        ] {
            assert_eq!(detail(&format!("de{other}ploy")), "deploy", "{other:?}");
            assert_eq!(detail(&other.to_string()), "-", "{other:?}");
        }
    }
}
