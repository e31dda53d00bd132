//! Why an uplink did not do as asked.

use crate::mqtt::Reason;
use crate::storage::LogError;

/// Why an uplink did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error("the uplink is not connected")]
    NotConnected,
    #[error("the connection ended before the target answered")]
    Lost,
    #[error("the target does not take it: {text}")]
    NotTaken { code: &'static str, text: String },
    #[error("the target refused it: {0}")]
    Refused(Reason),
    #[error("too many questions wait for an answer")]
    Busy,
    #[error("the queue has no room")]
    Full,
    #[error("cannot keep the message")]
    Store(#[from] LogError),
    #[error("the uplink has stopped")]
    Stopped,
}

impl UplinkError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "uplink-not-connected",
            Self::Lost => "uplink-connection-lost",
            Self::NotTaken { code, .. } => code,
            Self::Refused(_) => "refused-by-target",
            Self::Busy => "uplink-busy",
            Self::Full => "uplink-queue-full",
            Self::Store(error) => error.code(),
            Self::Stopped => "uplink-stopped",
        }
    }
}

/// Why uplinks cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot open the queue of uplink `{uplink}`")]
    Queue { uplink: String, source: LogError },
    #[error("cannot read what uplink `{uplink}` has kept")]
    Bucket {
        uplink: String,
        source: crate::storage::BucketError,
    },
    #[error("the system gives no random bytes")]
    Random,
    #[error("uplink `{uplink}` cannot be on the bus")]
    Party {
        uplink: String,
        source: crate::bus::AttachError,
    },
    #[error("uplink `{uplink}` cannot subscribe what its rules name")]
    Subscribe {
        uplink: String,
        source: crate::bus::SubscribeError,
    },
}
