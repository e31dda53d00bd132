//! A small OCI registry over an image layout (OCI distribution-spec 1.1).
//!
//! For development and for sites without a network. Whoever reaches it may pull;
//! pushing needs credentials, and is off without them.
//!
//! A repository has its own tags. Everything else is one store: whoever may pull
//! from one repository may pull from all, and a manifest that is deleted in one
//! is deleted in all. Blobs are named by SHA-256 alone.

use std::fmt;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::access::Gate;
use self::api::Registry;
use self::connection::{Connections, Peer};
use self::uploads::Uploads;
use crate::{Credentials, Layout};

mod access;
mod api;
mod body;
mod connection;
mod query;
mod refusal;
mod target;
mod tls;
mod uploads;

#[cfg(test)]
mod tests;

/// How a registry is served.
#[derive(Clone)]
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
    address: SocketAddr,
    connections: Connections,
    registry: Arc<Registry>,
    patience: Patience,
}

/// Why a registry is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or is not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Passwords would travel where others can read them.
    #[error("credentials would be taken on {address} without TLS")]
    InTheClear {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The credentials are none that a client can send.
    #[error("the credentials cannot be used: {0}")]
    Credentials(&'static str),
    /// The certificate chain or its key is none, or they do not belong together.
    #[error("the certificate or its key cannot be used")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A limit is zero or more than the server can count.
    #[error("`{0}` is out of range")]
    Limit(&'static str),
    /// The system gives no random numbers.
    #[error("cannot get random numbers")]
    Random(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServeError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "registry-listen",
            Self::InTheClear { .. } => "registry-credentials-in-the-clear",
            Self::Credentials(_) => "registry-credentials",
            Self::Certificate(_) => "registry-certificate",
            Self::Limit(_) => "registry-limit",
            Self::Random(_) => "registry-random",
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => Some("choose another address, or port 0 for any that is free"),
            Self::InTheClear { .. } => {
                Some("give a certificate and key, listen on 127.0.0.1, or serve read-only")
            }
            Self::Certificate(_) => {
                Some("both are PEM; the chain begins with the server's own certificate")
            }
            Self::Credentials(_) | Self::Limit(_) | Self::Random(_) => None,
        }
    }
}

impl fmt::Debug for ServerConfig {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("listen", &self.listen)
            .field("access", &self.access)
            .field("tls", &self.tls.is_some())
            .field("blob_bytes_max", &self.blob_bytes_max)
            .field("connections_max", &self.connections_max)
            .field("uploads_max", &self.uploads_max)
            .finish()
    }
}

/// How long the server waits, and for what.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For a request's head, from the connection or the answer before it on.
    head: Duration,
    /// For the next bytes of a body, in either direction.
    idle: Duration,
    /// For a whole body, on top of one second for each [`RATE_BYTES_MIN`].
    body: Duration,
    /// For the next request of an upload.
    upload: Duration,
    /// For requests under way, once told to stop.
    stop: Duration,
}

/// Bytes in a second that a body moves at least, on average. Slower ones are
/// cut off, so that a connection cannot be held for nothing.
const RATE_BYTES_MIN: u64 = 1024;
/// Between two searches for uploads that nobody continues.
const SWEEP: Duration = Duration::from_secs(60);
/// For connections to notice that they are cut off.
const CUT: Duration = Duration::from_secs(1);
/// What a semaphore can count, and more than a process can hold open.
const CONNECTIONS_MAX: usize = 1 << 20;

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            body: Duration::from_secs(60),
            upload: Duration::from_secs(60 * 60),
            stop: Duration::from_secs(5),
        }
    }
}

impl Patience {
    /// How long a body may have taken when it has moved `bytes`.
    fn for_body(&self, bytes: u64) -> Duration {
        self.body + Duration::from_secs(bytes / RATE_BYTES_MIN)
    }
}

impl Server {
    /// Listens. Nothing is served yet.
    ///
    /// # Errors
    ///
    /// If the address is taken, the certificate is none, or credentials would
    /// travel in the clear beyond the loopback interface.
    pub async fn build(config: ServerConfig, layout: Layout) -> Result<Self, ServeError> {
        Self::build_with(config, layout, Patience::default()).await
    }

    async fn build_with(
        config: ServerConfig,
        layout: Layout,
        patience: Patience,
    ) -> Result<Self, ServeError> {
        let address = config.listen;
        let pushes = matches!(config.access, Access::Push(_));
        if pushes && config.tls.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::InTheClear { address });
        }
        if config.connections_max == 0 || config.connections_max > CONNECTIONS_MAX {
            return Err(ServeError::Limit("connections_max"));
        }
        let gate = Gate::new(config.access)?;
        let tls = config.tls.map(|(chain, key)| tls::config(&chain, &key));
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let uploads = Uploads::new(config.uploads_max, patience.upload);
        Ok(Self {
            address,
            connections: Connections::new(
                listener,
                tls.transpose()?,
                config.connections_max,
                patience,
            ),
            registry: Arc::new(Registry::new(
                layout,
                gate,
                uploads,
                config.blob_bytes_max,
                patience,
            )),
            patience,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop. Then nothing more is accepted, and requests
    /// under way get five seconds.
    ///
    /// # Errors
    ///
    /// None today; a connection that cannot be accepted is tried again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self {
            address,
            connections,
            registry,
            patience,
        } = self;
        // Both are cancelled too when this future is dropped, so that no
        // connection outlives it.
        let stopping = stop.child_token();
        let cut = connections.cut();
        let _guards = (stopping.clone().drop_guard(), cut.clone().drop_guard());

        let sweeping = registry.clone();
        let app = Router::new()
            .fallback(api::answer)
            .with_state(registry)
            .into_make_service_with_connect_info::<Peer>();
        info!(%address, "registry serving");
        let serving = axum::serve(connections, app)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let mut serving = pin!(serving.into_future());
        let out_of_time = async {
            stopping.cancelled().await;
            sleep(patience.stop).await;
        };
        tokio::select! {
            _ = &mut serving => {}
            () = sweep(&sweeping) => {}
            () = out_of_time => {
                cut.cancel();
                if timeout(CUT, serving).await.is_err() {
                    warn!(%address, "registry connections did not end in time");
                }
            }
        }
        info!(%address, "registry stopped");
        Ok(())
    }
}

/// Drops uploads that nobody continues, for ever.
async fn sweep(registry: &Registry) {
    loop {
        sleep(SWEEP).await;
        registry.uploads.sweep();
    }
}
