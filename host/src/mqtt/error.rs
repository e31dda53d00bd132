//! Why a packet is not read, and why one is not written.

use std::fmt;

use super::{PacketId, PacketType, Reason};
use crate::names::Qos;

/// Why what a peer sent is refused. After [`Publish`](Self::Publish) reading may
/// go on; after any other the connection has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("malformed {packet}: {flaw}")]
    Malformed {
        packet: PacketType,
        flaw: &'static str,
    },
    #[error("{packet} against the protocol: {flaw}")]
    Protocol {
        packet: PacketType,
        flaw: &'static str,
    },
    #[error("packet type {number} is reserved")]
    Reserved { number: u8 },
    #[error("the first packet is not CONNECT")]
    NotConnect,
    /// Before a version is agreed on: an answer is best written in 5.0 if the level
    /// is above 5, and in 3.1.1 otherwise.
    #[error("protocol level {level} is not spoken here")]
    Version { level: u8 },
    #[error("{packet} of {bytes} bytes exceeds {bytes_max} bytes")]
    TooLarge {
        packet: PacketType,
        bytes: u64,
        bytes_max: u32,
    },
    #[error("{packet} has more than {max} {what}")]
    TooMany {
        packet: PacketType,
        what: &'static str,
        max: usize,
    },
    /// 3.1.1 only: no client id, and a session that is to outlive the connection.
    #[error("CONNECT asks for a lasting session without a client id")]
    ClientId,
    #[error("CONNECT has a will whose topic is none")]
    WillTopic,
    #[error("PUBLISH has topic alias 0")]
    AliasZero,
    /// In good form and taken out of the buffer, but it cannot be handed on.
    #[error("PUBLISH cannot be taken: {flaw}")]
    Publish {
        flaw: PublishFlaw,
        qos: Qos,
        /// Present if and only if `qos` is above 0.
        packet_id: Option<PacketId>,
    },
}

/// What keeps a PUBLISH from being handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublishFlaw {
    /// Control characters, or more bytes than any topic has here.
    Topic,
    /// It names many topics, which no message has (MQTT-3.3.2-2).
    Wildcards,
    /// Neither a topic nor an alias for one.
    NoTopic,
    /// Nothing could be answered there: as [`Topic`](Self::Topic).
    ResponseTopic,
    /// As [`Wildcards`](Self::Wildcards) (MQTT-3.3.2-14).
    ResponseWildcards,
    /// More than the limit.
    UserProperties,
}

impl PublishFlaw {
    /// Whether the sender breaks the protocol, and not merely our bounds: then a
    /// server ends the connection.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Wildcards | Self::NoTopic | Self::ResponseWildcards => true,
            Self::Topic | Self::ResponseTopic | Self::UserProperties => false,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Topic => "its topic is none",
            Self::Wildcards => "its topic has wildcards",
            Self::NoTopic => "it has neither a topic nor an alias",
            Self::ResponseTopic => "its response topic is none",
            Self::ResponseWildcards => "its response topic has wildcards",
            Self::UserProperties => "it has too many user properties",
        }
    }
}

impl fmt::Display for PublishFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl DecodeError {
    /// What to tell the peer: in DISCONNECT, in CONNACK if the packet was CONNECT,
    /// in PUBACK or PUBREC if it was a PUBLISH that cannot be taken.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed { .. } | Self::Reserved { .. } => Reason::MALFORMED_PACKET,
            Self::Protocol { .. } | Self::NotConnect => Reason::PROTOCOL_ERROR,
            Self::Version { .. } => Reason::UNSUPPORTED_VERSION,
            Self::TooLarge { .. } => Reason::PACKET_TOO_LARGE,
            Self::TooMany { .. } => Reason::QUOTA_EXCEEDED,
            Self::ClientId => Reason::CLIENT_ID_NOT_VALID,
            Self::WillTopic => Reason::TOPIC_NAME_INVALID,
            Self::AliasZero => Reason::TOPIC_ALIAS_INVALID,
            Self::Publish { flaw, .. } => match flaw {
                PublishFlaw::Topic | PublishFlaw::Wildcards | PublishFlaw::ResponseTopic => {
                    Reason::TOPIC_NAME_INVALID
                }
                PublishFlaw::NoTopic | PublishFlaw::ResponseWildcards => Reason::PROTOCOL_ERROR,
                PublishFlaw::UserProperties => Reason::QUOTA_EXCEEDED,
            },
        }
    }

    /// Whether the packet was CONNECT, so that the answer is a CONNACK.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Malformed { packet, .. }
            | Self::Protocol { packet, .. }
            | Self::TooLarge { packet, .. }
            | Self::TooMany { packet, .. } => *packet == PacketType::Connect,
            Self::Version { .. } | Self::ClientId | Self::WillTopic => true,
            Self::Reserved { .. } | Self::NotConnect | Self::AliasZero | Self::Publish { .. } => {
                false
            }
        }
    }

    /// A stable name for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::Reserved { .. } => "packet-malformed",
            Self::Protocol { .. } | Self::AliasZero => "protocol-error",
            Self::NotConnect => "connect-missing",
            Self::Version { .. } => "version-unsupported",
            Self::TooLarge { .. } => "packet-too-large",
            Self::TooMany { .. } => "packet-too-many-parts",
            Self::ClientId => "client-id-missing",
            Self::WillTopic => "will-topic-invalid",
            Self::Publish { flaw, .. } => match flaw {
                PublishFlaw::Topic | PublishFlaw::Wildcards => "topic-invalid",
                PublishFlaw::NoTopic => "topic-missing",
                PublishFlaw::ResponseTopic | PublishFlaw::ResponseWildcards => {
                    "response-topic-invalid"
                }
                PublishFlaw::UserProperties => "user-properties-too-many",
            },
        }
    }
}

/// Why a packet is not written. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// More than the peer takes, or more than any packet can have.
    #[error("packet of {bytes} bytes exceeds {bytes_max} bytes")]
    TooLarge { bytes: u64, bytes_max: u32 },
    #[error("{packet} has a field of {bytes} bytes, and 65535 is the most")]
    FieldTooLong { packet: PacketType, bytes: usize },
    /// The packet would be malformed.
    #[error("{packet} cannot be written: {flaw}")]
    Invalid {
        packet: PacketType,
        flaw: &'static str,
    },
}

impl EncodeError {
    /// A stable name for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "packet-too-large",
            Self::FieldTooLong { .. } => "field-too-long",
            Self::Invalid { .. } => "packet-invalid",
        }
    }
}
