//! A small OCI registry over an image layout (OCI distribution-spec 1.1).
//!
//! For development and for sites without a network. Whoever reaches it may pull;
//! pushing needs credentials, and is off without them.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::{Credentials, Layout};

/// How a registry is served.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where. Port 0: any that is free.
    pub listen: SocketAddr,
    /// Who may do what.
    pub access: Access,
    /// Certificate chain and key (PEM). Needed to take credentials from beyond
    /// the loopback interface.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// Bytes of one blob.
    pub blob_bytes_max: u64,
    /// Connections at once; more wait.
    pub connections_max: usize,
    /// Uploads under way at once; more are refused.
    pub uploads_max: usize,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone may pull, nobody may push.
    ReadOnly,
    /// Everyone may pull, who has these may push and delete.
    Push(Credentials),
}

/// A registry, listening.
#[derive(Debug)]
pub struct Server {
    // Helper.
}

/// Why a registry is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {}

impl Server {
    /// Listens. Nothing is served yet.
    ///
    /// # Errors
    ///
    /// If the address is taken, the certificate is none, or credentials would
    /// travel in the clear beyond the loopback interface.
    pub async fn build(config: ServerConfig, layout: Layout) -> Result<Self, ServeError> {
        todo!()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    ///
    /// If it can no longer listen.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        todo!()
    }
}
