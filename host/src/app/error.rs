//! Why a host is not put together, and why it does not run a deployment.

use crate::artifacts::RegistryConfigError;
use crate::broker::BrokerError;
use crate::deployment::deployments::JournalError;
use crate::deployment::report::FaultReport;
use crate::deployment::submission::SubmitError;
use crate::devices::DevicesError;
use crate::error_chain::ErrorChain;
use crate::names::PartyName;
use crate::retention::RetentionError;
use crate::runtime::EngineError;
use crate::storage::StorageError;
use crate::trust::OpenError;

/// Why the host cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot open the data directory")]
    Storage(#[from] StorageError),
    #[error("cannot open the cache of native code")]
    Cache(#[source] std::io::Error),
    #[error("cannot make the engine")]
    Engine(#[from] EngineError),
    #[error("cannot let devices find this gateway")]
    Discovery(#[from] crate::discovery::DiscoveryError),
    #[error("cannot tell what may run here")]
    Trust(#[from] OpenError),
    #[error("cannot open the store of artifacts")]
    Registry(#[from] RegistryConfigError),
    #[error("cannot restore what was retained")]
    Retention(#[from] RetentionError),
    #[error("cannot tell what is deployed here")]
    Journal(#[from] JournalError),
    #[error("uplink `{0}` has the name of a plugin that is deployed here: call it something else")]
    UplinkIsPlugin(PartyName),
    #[error("cannot tell who the devices are")]
    Devices(#[from] DevicesError),
    #[error("cannot serve devices")]
    Broker(#[from] BrokerError),
    #[error("cannot set up the connections outward")]
    Uplink(#[from] crate::uplink::BuildError),
    #[error("`cloud.uplink` names `{0}`, which is not in `[uplinks]`")]
    NoUplink(PartyName),
    #[error("cannot be a thing of the cloud")]
    Cloud(#[from] crate::cloud::BuildError),
}

impl BuildError {
    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Broker(error) => error.hint(),
            _ => None,
        }
    }
}

/// Why a deployment does not run: everything that is wrong.
#[derive(Debug)]
pub struct Refused(pub Vec<FaultReport>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Document(faults) => Self(faults),
            error => Self(vec![FaultReport {
                code: error.code().to_owned(),
                message: ErrorChain(&error).to_string(),
                plugin: None,
                place: None,
                help: None,
            }]),
        }
    }
}
