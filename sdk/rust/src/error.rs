//! Why a message could not be handled or published.

use std::fmt;

use crate::bindings::imports::selvedge::bus::publisher;
use crate::nn::NnError;

pub use crate::bindings::imports::selvedge::bus::publisher::Refusal;

/// A batch that the bus did not accept whole.
#[derive(Debug, Clone)]
pub struct PublishError {
    /// Place of the refused message in the batch, from 0.
    pub index: u32,
    /// Why it was refused.
    pub reason: Refusal,
}

impl From<publisher::PublishError> for PublishError {
    fn from(error: publisher::PublishError) -> Self {
        Self {
            index: error.index,
            reason: error.reason,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Refusal::InvalidTopic => f.write_str("cannot publish: the topic is not valid"),
            Refusal::NotGranted => f.write_str("cannot publish: the topic is not granted"),
            Refusal::TooLarge(max) => write!(f, "cannot publish: larger than {max} bytes"),
            Refusal::Malformed => f.write_str("cannot publish: a property exceeds its bound"),
            Refusal::Busy(ms) => write!(f, "cannot publish now: busy for {ms} ms"),
            Refusal::TooManyHops => f.write_str("cannot publish: the topics form a cycle"),
        }
    }
}

impl std::error::Error for PublishError {}

/// Why a message was not handled, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::error_impl_error,
    reason = "there is one error a plugin returns, and authors meet it in every signature"
)]
pub enum Error {
    /// Deliver it again later.
    Retry(String),
    /// Never deliver it again: it goes to the dead-letter topic.
    Reject(String),
}

impl Error {
    /// Deliver the message again later, because of `reason`.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// Give the message up, because of `reason`.
    pub fn reject(reason: impl fmt::Display) -> Self {
        Self::Reject(reason.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(reason) | Self::Reject(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {}

impl From<PublishError> for Error {
    /// A busy bus is worth another try; anything else will not get better.
    fn from(error: PublishError) -> Self {
        match error.reason {
            Refusal::Busy(_) => Self::retry(error),
            _ => Self::reject(error),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::reject(error)
    }
}

impl From<crate::senml::SenmlError> for Error {
    fn from(error: crate::senml::SenmlError) -> Self {
        Self::reject(error)
    }
}

impl From<NnError> for Error {
    /// A model that is busy or late is worth another try; nothing else is.
    fn from(error: NnError) -> Self {
        if error.passes() {
            Self::retry(error)
        } else {
            Self::reject(error)
        }
    }
}

impl From<String> for Error {
    fn from(reason: String) -> Self {
        Self::Reject(reason)
    }
}

impl From<&str> for Error {
    fn from(reason: &str) -> Self {
        Self::Reject(reason.to_owned())
    }
}
