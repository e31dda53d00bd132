//! Models that are loaded and unloaded through this API, as gRPC says it.

use tonic::Code;

use super::Shared;
use super::fault::Fault;
use crate::deployment::deployments::{BesideFault, Cause};
use crate::error_chain::ErrorChain;
use crate::names::ModelName;

impl Shared {
    /// Takes out of service what was loaded here.
    pub(super) fn unload(&self, name: &ModelName) -> Result<(), Fault> {
        if self.deployments.unload_model(name) {
            return Ok(());
        }
        if self.deployments.models().get(name).is_some() {
            let message = format!("the model `{name}` is the deployment's");
            return Err(Fault::new(
                Code::FailedPrecondition,
                "model-of-deployment",
                message,
            ));
        }
        Err(Fault::no_model(name.as_str()))
    }
}

impl From<BesideFault> for Fault {
    fn from(fault: BesideFault) -> Self {
        let status = match fault.cause() {
            Cause::NameTaken => Code::AlreadyExists,
            Cause::Missing => Code::NotFound,
            Cause::Refused => Code::FailedPrecondition,
            Cause::TooMany => Code::ResourceExhausted,
            Cause::Failed => Code::Internal,
        };
        Self::new(status, fault.code(), ErrorChain(&fault).to_string())
    }
}
