//! Why a connection is not, or is no more.

use std::io::ErrorKind;

use super::flight::Ending;
use crate::mqtt::{DecodeError, EncodeError, Reason};
use crate::storage::LogError;
use crate::uplink::dial::FilesError;

/// Why a connection ended or was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::uplink) enum LinkError {
    #[error("the endpoint is no address")]
    Address,
    #[error("cannot reach the target")]
    Unreachable(#[source] std::io::Error),
    #[error("the target does not answer in time")]
    ConnectTimeout,
    #[error("the files for TLS or the password are of no use")]
    Files(#[from] FilesError),
    #[error("cannot speak TLS with the target")]
    Tls(#[source] std::io::Error),
    #[error("the target refused the connection: {0}")]
    Refused(Reason),
    #[error("the target takes only QoS 0")]
    QosUnsupported,
    #[error("the connection failed")]
    Io(#[source] std::io::Error),
    #[error("the target closed the connection")]
    Closed,
    #[error("the target ended the connection: {0}")]
    Disconnected(Reason),
    #[error("what the target sent is no MQTT")]
    Decode(#[source] DecodeError),
    #[error("the target broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("the target does not answer a probe")]
    NoResponse,
    #[error("the target acknowledges nothing")]
    NoAcknowledgement,
    #[error("cannot write a packet")]
    Encode(#[source] EncodeError),
    #[error("the queue cannot be read")]
    Store(#[from] LogError),
    #[error("somebody here cannot keep a message of the target")]
    NotKept,
    #[error("the host stops")]
    Stopped,
}

impl LinkError {
    /// A stable name for the API, metrics and alerts. Never reworded.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Address => "endpoint-invalid",
            Self::Unreachable(_) => "target-unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::Files(_) => "tls-files-unusable",
            Self::Tls(_) => "tls-failed",
            Self::Refused(_) => "connection-refused",
            Self::QosUnsupported => "qos-unsupported",
            Self::Io(_) => "connection-failed",
            Self::Closed => "closed-by-target",
            Self::Disconnected(Reason::SESSION_TAKEN_OVER) => "session-taken-over",
            Self::Disconnected(_) => "disconnected-by-target",
            Self::Decode(_) => "target-malformed",
            Self::Protocol(_) => "target-protocol-error",
            Self::NoResponse => "no-response",
            Self::NoAcknowledgement => "no-acknowledgement",
            Self::Encode(_) => "unsendable",
            Self::Store(error) => error.code(),
            Self::NotKept => "message-not-kept",
            Self::Stopped => "stopped",
        }
    }

    /// What it may mean for the messages on their way; `asking` says that the target
    /// was asked for something else at that time.
    pub(super) fn ending(&self, asking: bool) -> Ending {
        match self {
            Self::NoAcknowledgement => Ending::Silent,
            own if !own.is_hang_up() => Ending::Other,
            _ if asking => Ending::Unclear,
            _ => Ending::HungUp,
        }
    }

    /// The target ended the connection, and did not say that it is for something
    /// else than a message.
    fn is_hang_up(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => !matches!(
                error.kind(),
                // The way to the target, or this machine.
                ErrorKind::NetworkDown
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::HostUnreachable
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::TimedOut
                    | ErrorKind::OutOfMemory
            ),
            Self::Disconnected(reason) => !matches!(
                *reason,
                Reason::SUCCESS
                    | Reason::SERVER_UNAVAILABLE
                    | Reason::SERVER_BUSY
                    | Reason::SERVER_SHUTTING_DOWN
                    | Reason::KEEP_ALIVE_TIMEOUT
                    | Reason::SESSION_TAKEN_OVER
                    | Reason::FILTER_INVALID
                    | Reason::RECEIVE_MAX_EXCEEDED
                    | Reason::MESSAGE_RATE_TOO_HIGH
                    | Reason::QUOTA_EXCEEDED
                    | Reason::ADMINISTRATIVE_ACTION
                    | Reason::USE_ANOTHER_SERVER
                    | Reason::SERVER_MOVED
                    | Reason::SHARED_NOT_SUPPORTED
                    | Reason::CONNECTION_RATE_EXCEEDED
                    | Reason::MAXIMUM_CONNECT_TIME
                    | Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED
                    | Reason::WILDCARDS_NOT_SUPPORTED
            ),
            _ => false,
        }
    }

    /// Whether another client uses the gateway's identity.
    pub(super) fn is_taken_over(&self) -> bool {
        matches!(self, Self::Disconnected(Reason::SESSION_TAKEN_OVER))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::{Ending, LinkError, Reason};

    #[test]
    fn only_a_hang_up_over_nothing_else_is_held_against_a_message() {
        let hang_ups = [
            LinkError::Closed,
            LinkError::Io(Error::from(ErrorKind::ConnectionReset)),
            LinkError::Disconnected(Reason::NOT_AUTHORIZED),
            LinkError::Disconnected(Reason::TOPIC_NAME_INVALID),
        ];
        for error in hang_ups {
            assert_eq!(error.ending(false), Ending::HungUp, "{error:?}");
            assert_eq!(error.ending(true), Ending::Unclear, "{error:?}");
        }
        let others = [
            LinkError::Io(Error::from(ErrorKind::NetworkUnreachable)),
            LinkError::Io(Error::from(ErrorKind::TimedOut)),
            LinkError::Disconnected(Reason::FILTER_INVALID),
            LinkError::Disconnected(Reason::SHARED_NOT_SUPPORTED),
            LinkError::Disconnected(Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED),
            LinkError::Disconnected(Reason::WILDCARDS_NOT_SUPPORTED),
            LinkError::Disconnected(Reason::RECEIVE_MAX_EXCEEDED),
            LinkError::NoResponse,
        ];
        for error in others {
            assert_eq!(error.ending(false), Ending::Other, "{error:?}");
        }
        let silent = LinkError::NoAcknowledgement;
        assert_eq!(silent.ending(true), Ending::Silent);
    }
}
