//! Why a party did not get its way.

use crate::names::{PartyName, Topic, TopicFilter};

/// Why a party was not attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    #[error("party `{name}` is already on the bus")]
    Taken { name: PartyName },
    #[error("`{name}` is the name of a plugin or an uplink of this host")]
    Reserved { name: PartyName },
    #[error("the bus has its {max} parties")]
    TooMany { max: u32 },
}

impl AttachError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "party-taken",
            Self::Reserved { .. } => "party-reserved",
            Self::TooMany { .. } => "parties-exhausted",
        }
    }
}

/// Why the bus did not take a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("topic `{topic}` is not granted for publishing")]
    NotGranted { topic: Topic },
    #[error("payload on `{topic}` has {size} bytes, but the bus takes at most {max}")]
    TooLarge { topic: Topic, size: u64, max: u32 },
    #[error("{part} of a message on `{topic}` exceeds {max}")]
    Malformed {
        topic: Topic,
        part: &'static str,
        max: usize,
    },
    #[error(
        "a message on `{topic}` has passed through more than {max} plugins: topics form a cycle"
    )]
    TooManyHops { topic: Topic, max: u8 },
    #[error("`{subscriber}` has no room for a message on `{topic}`")]
    Busy { topic: Topic, subscriber: PartyName },
}

impl PublishError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGranted { .. } => "publish-not-granted",
            Self::TooLarge { .. } => "message-too-large",
            Self::Malformed { .. } => "message-malformed",
            Self::TooManyHops { .. } => "too-many-hops",
            Self::Busy { .. } => "subscriber-busy",
        }
    }
}

/// Why a subscription was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    #[error("topic filter `{filter}` is not granted for subscribing")]
    NotGranted { filter: TopicFilter },
    #[error("topic filter `{filter}` has more than {max} levels")]
    TooDeep { filter: TopicFilter, max: usize },
    #[error("party `{party}` would have more than {max} subscriptions")]
    TooManyOfParty { party: PartyName, max: u32 },
    #[error("the bus would have more than {max} subscriptions")]
    TooMany { max: u32 },
}

impl SubscribeError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGranted { .. } => "subscribe-not-granted",
            Self::TooDeep { .. } => "filter-too-deep",
            Self::TooManyOfParty { .. } => "party-subscriptions-exhausted",
            Self::TooMany { .. } => "subscriptions-exhausted",
        }
    }
}
