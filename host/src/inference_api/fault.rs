//! Why a call is not answered, as gRPC says it.

use std::borrow::Cow;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::proto;
use crate::api::access::Role;
use crate::capture::{CaptureError, RecordError};
use crate::error_chain::ErrorChain;
use crate::inference::{RunError, TensorError};

/// Where the stable name is.
pub(super) const CODE: &str = "selvedge-code";
/// Characters of a message.
const MESSAGE_MAX: usize = 500;

/// A status, its stable name, and what is said to people.
#[derive(Debug)]
pub(super) struct Fault {
    status: Code,
    code: Cow<'static, str>,
    message: String,
}

impl Fault {
    /// Text is cut, and has no control characters: some of it is the caller's.
    pub(super) fn new(
        status: Code,
        code: impl Into<Cow<'static, str>>,
        message: impl AsRef<str>,
    ) -> Self {
        let plain = message.as_ref().chars().take(MESSAGE_MAX);
        let plain = plain.map(|c| if c.is_control() { ' ' } else { c });
        Self {
            status,
            code: code.into(),
            message: plain.collect(),
        }
    }

    pub(super) fn invalid(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(Code::InvalidArgument, code, message)
    }

    pub(super) fn no_model(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        let message = format!("there is no model `{name}`");
        Self::new(Code::NotFound, "model-not-found", message)
    }

    pub(super) fn not_allowed(needed: Role) -> Self {
        let right = match needed {
            Role::Operator => "of an operator",
            Role::Viewer | Role::Anyone => "to predict",
        };
        let message = format!("the caller does not have the right {right}");
        Self::new(Code::PermissionDenied, "not-allowed", message)
    }

    pub(super) fn status(&self) -> Status {
        let mut status = Status::new(self.status, &self.message);
        if let Ok(code) = MetadataValue::try_from(&*self.code) {
            status.metadata_mut().insert(CODE, code);
        }
        status
    }

    pub(super) fn error(self) -> proto::Error {
        proto::Error {
            status: self.status.into(),
            code: self.code.into_owned(),
            message: self.message,
        }
    }
}

/// There is no room for requests and answers.
pub(super) fn full() -> Fault {
    let message = "the host has no room for more requests and answers now";
    Fault::new(Code::ResourceExhausted, "inference-api-full", message)
}

impl From<TensorError> for Fault {
    fn from(error: TensorError) -> Self {
        Self::invalid("tensor-invalid", error.to_string())
    }
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        let (status, code) = match &error {
            RunError::TooMuchMemory { .. } => (Code::InvalidArgument, "run-too-much-memory"),
            error if error.is_callers_fault() => (Code::InvalidArgument, "run-inputs"),
            error if error.is_busy() => (Code::ResourceExhausted, "run-busy"),
            RunError::Deadline => (Code::DeadlineExceeded, "run-deadline"),
            RunError::Withdrawn { .. } => (Code::FailedPrecondition, "model-withdrawn"),
            _ => (Code::Internal, "run-failed"),
        };
        Self::new(status, code, ErrorChain(&error).to_string())
    }
}

impl From<CaptureError> for Fault {
    fn from(error: CaptureError) -> Self {
        let status = match &error {
            CaptureError::NotAllowed { .. } => Code::FailedPrecondition,
            CaptureError::Limited { .. } | CaptureError::Record(RecordError::TooLarge { .. }) => {
                Code::ResourceExhausted
            }
            CaptureError::Record(_) => Code::InvalidArgument,
        };
        Self::new(status, error.code(), error.to_string())
    }
}
