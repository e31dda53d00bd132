//! The local inference API: models for native programs on the gateway.
//!
//! gRPC over a Unix socket, as `proto/inference.proto` says; off unless the host's
//! configuration names the socket. It decides who may do what and bounds what each
//! caller can cost: connections, calls, runs and bytes. Which models serve is the
//! deployment's business; those that are loaded here serve here alone, and are gone
//! with the process. Plugins do not know of it.

mod answers;
mod budget;
mod client;
mod codec;
mod connection;
mod door;
mod fault;
mod gate;
mod loaded;
mod outgoing;
pub mod proto;
mod server;
mod service;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::budget::Budget;
use crate::api::{InferenceCounts, ServeError};
use crate::capture::Capture;
use crate::deployment::deployments::Deployments;
use crate::inference::InferenceApiConfig;
use crate::supervisor::Supervisor;

/// The host, as the API sees it.
pub struct Surroundings {
    pub supervisor: Supervisor,
    pub deployments: Deployments,
    pub capture: Capture,
    pub counts: Arc<InferenceCounts>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// What all calls share.
struct Shared {
    deployments: Deployments,
    capture: Capture,
    counts: Arc<InferenceCounts>,
    budget: Arc<Budget>,
    message_bytes_max: usize,
}

/// Serves the API as a unit of the host's supervisor. When this returns, clients can
/// connect.
///
/// # Errors
///
/// If it cannot be served as configured. Nothing listens then.
pub fn serve(
    host: Surroundings,
    config: &InferenceApiConfig,
    grace: Duration,
) -> Result<PathBuf, ServeError> {
    let shared = Arc::new(Shared {
        deployments: host.deployments,
        capture: host.capture,
        counts: host.counts,
        budget: Budget::new(
            config.received_bytes_max.get(),
            config.message_bytes_max.get(),
        ),
        message_bytes_max: usize::try_from(config.message_bytes_max.get()).unwrap_or(usize::MAX),
    });
    let unit = server::build(shared, config, grace)?;
    host.supervisor.start(unit);
    Ok(config.socket.clone())
}
