//! Why a request is not done, as its sender is told (RFC 9457).

use std::error::Error;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::access::Role;
use super::wire::Problem;
use super::wire::message::NotAMessage;
use crate::bus::PublishError;
use crate::deployment::line::LineError;
use crate::deployment::submission::SubmitError;
use crate::error_chain::ErrorChain;
use crate::names::PluginName;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such path")]
    NoSuchPath,
    #[error("this path does not take that method")]
    Method,
    #[error("this needs the role `{}`", needed.name())]
    Forbidden { needed: Role },
    #[error("pages of a browser may change nothing")]
    CrossOrigin,
    #[error("`{0}` is not a parameter of this path, or given twice")]
    Parameter(String),
    #[error("the parameter `{name}` is not {expected}")]
    Value {
        name: &'static str,
        expected: &'static str,
    },
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    #[error("the body is not what this path takes")]
    Body(#[source] serde_json::Error),
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: u64 },
    #[error("the body did not arrive in time")]
    Late,
    #[error("the body broke off")]
    BrokenOff,
    #[error("the digest of the body is {found}")]
    Digest { found: crate::names::Digest },
    #[error("{0}")]
    Message(#[from] NotAMessage),
    #[error("the message is not published")]
    Publish(#[from] PublishError),
    #[error("its subscribers have no room for the message")]
    NoRoom,
    #[error("somebody has taken the message and is not done with it yet")]
    NotSettled,
    #[error("somebody who has taken the message cannot keep it: it may be lost")]
    NotKept,
    #[error("the name `operator` on the bus is taken")]
    NoOperator,
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("there is no deployment {0}")]
    NoDeployment(crate::deployment::report::DeploymentId),
    #[error("there is no plugin `{0}`")]
    NoPlugin(PluginName),
    #[error("the component cannot be used")]
    Component(#[source] Box<dyn Error + Send + Sync>),
    #[error("the filters cannot be subscribed")]
    Subscribe(#[from] crate::bus::SubscribeError),
    #[error("there are {0} streams already")]
    TooManyStreams(usize),
    #[error("there is too much under way")]
    Busy,
    #[error("it took too long; it may still be done")]
    TimedOut,
    #[error("the host is stopping")]
    Stopping,
    #[error("the answer cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NoDeployment(_) | Self::NoPlugin(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden { .. } | Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::Parameter(_)
            | Self::Value { .. }
            | Self::Missing(_)
            | Self::Body(_)
            | Self::BrokenOff
            | Self::Digest { .. }
            | Self::Message(_)
            | Self::Component(_)
            | Self::Subscribe(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::Publish(PublishError::NotGranted { .. }) => StatusCode::FORBIDDEN,
            Self::Publish(PublishError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Publish(PublishError::Malformed { .. } | PublishError::TooManyHops { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::Submit(error) => of_submission(error),
            Self::Line(LineError::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Line(_) => StatusCode::CONFLICT,
            Self::TooManyStreams(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Publish(PublishError::Busy { .. })
            | Self::NoRoom
            | Self::NotSettled
            | Self::NoOperator
            | Self::Busy
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotKept => StatusCode::INSUFFICIENT_STORAGE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name for clients, metrics and alerts. Never reworded.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoSuchPath => "no-such-path",
            Self::Method => "method-not-allowed",
            Self::Forbidden { .. } => "forbidden",
            Self::CrossOrigin => "cross-origin",
            Self::Parameter(_) => "parameter-unknown",
            Self::Value { .. } => "parameter-invalid",
            Self::Missing(_) => "parameter-missing",
            Self::Body(_) => "body-invalid",
            Self::TooLarge { .. } => "body-too-large",
            Self::Late => "body-late",
            Self::BrokenOff => "body-broken-off",
            Self::Digest { .. } => "digest-mismatch",
            Self::Message(_) => "message-invalid",
            Self::Publish(error) => error.code(),
            Self::NoRoom => "subscriber-busy",
            Self::NotSettled => "not-settled",
            Self::NotKept => "message-not-kept",
            Self::NoOperator => "party-taken",
            Self::Submit(error) => error.code(),
            Self::Line(error) => error.code(),
            Self::NoDeployment(_) => "no-such-deployment",
            Self::NoPlugin(_) => "no-such-plugin",
            Self::Component(_) => "component-invalid",
            Self::Subscribe(error) => error.code(),
            Self::TooManyStreams(_) => "too-many-streams",
            Self::Busy => "busy",
            Self::TimedOut => "timed-out",
            Self::Stopping => "stopping",
            Self::Unwritable(_) => "answer-unwritable",
        }
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Forbidden { .. } => {
                Some("name this user, group or identity in the host's configuration, under `api`")
            }
            Self::Submit(SubmitError::Busy(_)) => {
                Some("let it end, or send this one to wait for it or to take its place")
            }
            Self::Submit(SubmitError::NoFile { .. }) => Some("put the files first"),
            Self::NoOperator => Some("give the plugin that is called `operator` another name"),
            _ => None,
        }
    }

    /// Whether the rest of the body is not worth reading.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::Late | Self::BrokenOff | Self::Stopping | Self::TimedOut
        )
    }

    pub(super) fn problem(&self) -> Problem {
        let (faults, help) = match self {
            Self::Submit(SubmitError::Document(faults)) => (faults.clone(), None),
            _ => (Vec::new(), self.help()),
        };
        Problem {
            code: self.code().to_owned(),
            title: ErrorChain(self).to_string(),
            status: self.status().as_u16(),
            faults,
            help: help.map(str::to_owned),
        }
    }

    pub(super) fn into_response(self) -> Response {
        let problem = self.problem();
        let body = serde_json::to_vec(&problem).expect("problems are plain data");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        put(
            &mut response,
            header::CONTENT_TYPE,
            "application/problem+json",
        );
        if self.ends_connection() {
            put(&mut response, header::CONNECTION, "close");
        }
        if matches!(
            self,
            Self::Busy
                | Self::NoRoom
                | Self::TooManyStreams(_)
                | Self::Publish(PublishError::Busy { .. })
        ) {
            put(&mut response, header::RETRY_AFTER, "1");
        }
        response
    }
}

fn of_submission(error: &SubmitError) -> StatusCode {
    match error {
        SubmitError::Document(_) | SubmitError::NoFile { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        SubmitError::NoDeployment(_) | SubmitError::NoPlugin(_) => StatusCode::NOT_FOUND,
        SubmitError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        SubmitError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        SubmitError::File(_) | SubmitError::Journal(_) => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::CONFLICT,
    }
}

/// Sets a header to something that we wrote.
pub(super) fn put(response: &mut Response, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}
