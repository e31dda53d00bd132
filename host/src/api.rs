//! The management API: what the command line, consoles and other programs use.
//!
//! HTTP with JSON over a Unix socket, whose peers are known by their
//! credentials, and over TLS with client certificates if that is configured. It
//! decides who may do what; doing it is the business of the modules below. What
//! there is to ask for is one table, [`routes`]: the router and the OpenAPI
//! document are both made from it.

pub(crate) mod access;
mod answers;
mod audit;
mod body;
pub mod config;
mod connection;
pub(crate) mod door;
mod health;
mod inference_counts;
mod lines;
mod metrics;
pub mod openapi;
mod places;
mod recorder;
mod refusal;
mod request;
mod routes;
mod server;
mod tls;
pub mod wire;
mod work;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use self::audit::Audit;
use self::config::ApiConfig;
use self::health::Probe;
use self::recorder::Recorder;
use self::work::Work;
use crate::broker::Broker;
use crate::bus::{AttachError, Bus, Grant, Party};
use crate::deployment::deployments::Deployments;
use crate::devices::Devices;
use crate::retention::RetentionStatus;
use crate::storage::{BucketError, Storage};
use crate::supervisor::{RestartPolicy, Supervisor, Unit, WhenLost};
use crate::uplink::{UplinkStatus, Uplinks};

pub use crate::tls::TlsError;
pub use access::Role;
pub use inference_counts::InferenceCounts;
pub use server::Served;

/// Streams of viewers, and of operators.
const STREAMS_MAX: usize = 16;
/// Files that are taken in at once, each up to its bound in memory.
const FILES_MAX: usize = 2;
/// Plans that are made at once.
const PLANS_MAX: usize = 4;
/// By which name operators publish.
const OPERATOR: &str = "operator";

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder is not there, the name is too long, or it is not ours.
    #[error("cannot listen on the socket {path}", path = path.display())]
    Socket { path: PathBuf, source: io::Error },
    /// Something else has that name.
    #[error("{path} is there and is not a socket", path = path.display())]
    NotASocket { path: PathBuf },
    /// Another host is at work there.
    #[error("someone listens on the socket {path}", path = path.display())]
    InUse { path: PathBuf },
    /// The address is taken, or is not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// The network would be served without certificates.
    #[error("cannot use the certificates of the API")]
    Tls(#[from] TlsError),
    /// The kernel does not say who we are.
    #[error("cannot tell users apart")]
    Credentials(#[source] io::Error),
    /// Health could not be told.
    #[error("cannot write to the store")]
    Probe(#[from] BucketError),
}

impl ServeError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Socket { .. } => "api-socket",
            Self::NotASocket { .. } => "api-socket-not-a-socket",
            Self::InUse { .. } => "api-socket-in-use",
            Self::Listen { .. } => "api-listen",
            Self::Tls(_) => "api-certificates",
            Self::Credentials(_) => "api-credentials",
            Self::Probe(_) => "api-probe",
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Socket { .. } | Self::NotASocket { .. } | Self::InUse { .. } => {
                Some("name another place under `[api] socket`")
            }
            Self::Listen { .. } => Some("name another address under `[api.https] listen`"),
            Self::Tls(_) => Some("all are PEM; the chain begins with the host's own certificate"),
            Self::Credentials(_) | Self::Probe(_) => None,
        }
    }
}

/// The host, as the API sees it.
#[derive(Debug)]
pub struct Surroundings {
    pub bus: Bus,
    pub supervisor: Supervisor,
    pub deployments: Deployments,
    pub storage: Storage,
    pub retention: RetentionStatus,
    pub uplinks: Uplinks,
    /// Who may connect by MQTT, and who is; none without a broker.
    pub devices: Option<(Devices, Broker)>,
    /// The inference API, if there is one.
    pub inference: Option<Arc<InferenceCounts>>,
}

/// What all requests share.
#[derive(Debug)]
struct Api {
    bus: Bus,
    supervisor: Supervisor,
    deployments: Deployments,
    storage: Storage,
    retention: RetentionStatus,
    uplinks: Uplinks,
    devices: Option<(Devices, Broker)>,
    inference: Option<Arc<InferenceCounts>>,
    started_at: Timestamp,
    recorder: Arc<Recorder>,
    work: Arc<Work>,
    audit: Audit,
    probe: Probe,
    /// Operators on the bus.
    operator: Result<Party, AttachError>,
    viewers_streams: Arc<Semaphore>,
    operators_streams: Arc<Semaphore>,
    files: Semaphore,
    plans: Semaphore,
    requests: AtomicU64,
    refusals: AtomicU64,
}

impl Api {
    /// How the uplinks fare; reads the disk.
    async fn uplink_statuses(&self) -> Vec<UplinkStatus> {
        let uplinks = self.uplinks.clone();
        let statuses = tokio::task::spawn_blocking(move || uplinks.statuses());
        statuses.await.unwrap_or_default()
    }

    fn new(host: Surroundings) -> Result<Self, ServeError> {
        let name = OPERATOR.parse().expect("a constant that is a name");
        // Everything that is not the system's.
        let everything = "#".parse().expect("a constant that is a filter");
        let grant = Grant {
            publish: vec![everything],
            subscribe: Vec::new(),
        };
        Ok(Self {
            started_at: Timestamp::now(),
            recorder: Arc::default(),
            work: Arc::default(),
            audit: Audit::new(host.bus.host_party()),
            probe: Probe::new(&host.storage)?,
            operator: host.bus.attach(name, grant),
            viewers_streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            operators_streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            files: Semaphore::new(FILES_MAX),
            plans: Semaphore::new(PLANS_MAX),
            requests: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            bus: host.bus,
            supervisor: host.supervisor,
            deployments: host.deployments,
            storage: host.storage,
            retention: host.retention,
            uplinks: host.uplinks,
            devices: host.devices,
            inference: host.inference,
        })
    }

    /// Who remembers what passes on the bus.
    fn recording(&self) -> Unit {
        let (recorder, bus) = (Arc::clone(&self.recorder), self.bus.clone());
        let deployments = self.deployments.clone();
        Unit::new("api/recorder", policy(), move |context| {
            Arc::clone(&recorder).run(bus.clone(), deployments.clone(), context)
        })
    }

    /// Who does what is asked for.
    fn working(&self) -> Unit {
        let work = Arc::clone(&self.work);
        Unit::new("api/work", policy(), move |context| {
            Arc::clone(&work).run(context)
        })
    }
}

/// Serves the API as units of the host's supervisor. When this returns, clients
/// can connect.
///
/// # Errors
///
/// If it cannot be served as configured. Nothing listens then.
pub fn serve(
    host: Surroundings,
    config: &ApiConfig,
    data_directory: &Path,
    grace: Duration,
) -> Result<Served, ServeError> {
    config.make_usual_folder(data_directory);
    let socket = config.socket(data_directory);
    let supervisor = host.supervisor.clone();
    let api = Arc::new(Api::new(host)?);
    let (units, served) = server::build(&api, config, socket, grace)?;
    // Stopped in reverse: who listens first, who remembers last.
    for unit in [api.recording(), api.working()].into_iter().chain(units) {
        supervisor.start(unit);
    }
    Ok(served)
}

/// The API comes back whatever happens to it; the host does not end without it.
fn policy() -> RestartPolicy {
    RestartPolicy {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_secs(10),
        failures_max: usize::MAX,
        window: Duration::from_secs(60),
        when_lost: WhenLost::KeepHost,
    }
}
