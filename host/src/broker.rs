//! The MQTT server for client devices: MQTT 3.1.1 and 5.0 over TLS.
//!
//! A device is a party on the bus, known by its certificate, with its own grant
//! and nothing else. What a device sent with QoS 1 or 2 is acknowledged when it is
//! handled or on the disk. Nothing that a device sends or withholds can do more
//! than end its own connection.

mod admission;
pub mod authorizer;
mod changes;
mod clients;
pub mod config;
mod connection;
mod inflight;
mod listener;
mod metrics;
mod quota;
mod rare_queue;
mod refusals;
mod session;
mod sessions;
mod shared;
mod store;
mod subscriptions;
mod told;
mod translate;
mod will;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::admission::AUTHORIZING_MAX;
use self::authorizer::Authorizer;
use self::changes::Changes;
use self::clients::Clients;
use self::config::{BrokerConfig, BrokerTlsConfig, ClientCertificates, TlsVersion};
use self::listener::{Guard, Listener};
use self::sessions::{Opening, Sessions};
use self::shared::Shared;
use self::store::StoreError;
use crate::bus::Bus;
use crate::devices::Devices;
use crate::mqtt::Reason;
use crate::names::PartyName;
use crate::storage::Storage;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};
use crate::tls::{self, ServerSettings, TlsError};

pub use self::clients::ClientStatus;

/// What is spoken over TLS, and what AWS SDKs call it.
const ALPN: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];

/// Why devices are not served.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address is taken, or is not this machine's.
    #[error("cannot listen for devices on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot use the certificates of the broker")]
    Tls(#[from] TlsError),
    /// Else everybody on the network could be the device that it stands for.
    #[error("without TLS the broker listens on loopback addresses only, not on {address}")]
    NotLoopback { address: SocketAddr },
    /// Else nobody would say who they are.
    #[error("without client certificates the broker needs an authorizer")]
    NoAuthorizer,
    #[error("cannot read the sessions of devices")]
    Sessions(#[from] StoreError),
}

impl BrokerError {
    /// A stable name for logs and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "broker-listen",
            Self::Tls(_) => "broker-certificates",
            Self::NotLoopback { .. } => "broker-plain-not-loopback",
            Self::NoAuthorizer => "broker-no-authorizer",
            Self::Sessions(error) => error.code(),
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => Some("name another address under `[broker] listen`"),
            Self::Tls(_) => Some(
                "`selvedge ca init` makes what is needed; all files under `[broker.tls]` are PEM",
            ),
            Self::NotLoopback { .. } => Some("name a loopback address under `[broker.plain]`"),
            Self::NoAuthorizer => Some("name a plugin under `[broker] authorizer`"),
            Self::Sessions(_) => None,
        }
    }
}

/// What the broker works with.
pub struct Surroundings {
    pub bus: Bus,
    pub storage: Storage,
    pub devices: Devices,
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// What is used where the configuration names no file.
    pub site_files: SiteFiles,
    /// What each unit has to stop in.
    pub grace: Duration,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// The site's own certificates, as its authority made them.
#[derive(Clone, Debug)]
pub struct SiteFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
    pub crl: Option<PathBuf>,
}

/// Where devices are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub tls: SocketAddr,
    /// Without TLS, on loopback.
    pub plain: Option<SocketAddr>,
}

/// The MQTT server. Clones are the same.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    addresses: Addresses,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// A broker that listens, and the units that serve. From an executor. Reads
    /// files.
    pub fn build(
        config: &BrokerConfig,
        surroundings: Surroundings,
    ) -> Result<(Self, Vec<Unit>), BrokerError> {
        if let Some(plain) = &config.plain
            && !plain.listen.ip().to_canonical().is_loopback()
        {
            let address = plain.listen;
            return Err(BrokerError::NotLoopback { address });
        }
        let is_optional = config.tls.client_certificates == ClientCertificates::Optional;
        if is_optional && surroundings.authorizer.is_none() {
            return Err(BrokerError::NoAuthorizer);
        }
        let server = tls::Server::open(tls_settings(&config.tls, &surroundings.site_files))?;
        let server = Arc::new(server);
        let limits = &config.limits;
        let clients = Arc::new(Clients::new(
            limits.connections_max.get(),
            limits.connections_per_address_max.get(),
        ));
        let grace = surroundings.grace;
        let shared = Arc::new(shared(config, surroundings)?);
        let guard = Guard::new(Arc::clone(&shared), Arc::clone(&clients), grace);
        let secure = Listener::secure(&guard, config.listen, Arc::clone(&server))?;
        let plain = config.plain.as_ref();
        let plain = plain
            .map(|plain| Listener::plain(&guard, plain))
            .transpose()?;
        let broker = Self {
            addresses: Addresses {
                tls: secure.address(),
                plain: plain.as_ref().map(Listener::address),
            },
            shared: Arc::clone(&shared),
            clients: Arc::clone(&clients),
        };
        // Last started, first stopped: whoever is let in is watched.
        let sessions = shared.sessions.unit();
        let changes = Changes::new(shared, clients, server).unit();
        let listeners = [secure].into_iter().chain(plain).map(Listener::unit);
        let units = [sessions, changes].into_iter().chain(listeners).collect();
        Ok((broker, units))
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Who is connected, by device and client id.
    pub fn clients(&self) -> Vec<ClientStatus> {
        self.clients.list()
    }

    /// Ends the connections of a device, which may come again. How many there were.
    pub fn disconnect(&self, device: &PartyName) -> usize {
        let mut count = 0;
        for watched in self.clients.watched() {
            if watched.device.is_some_and(|own| own.name == *device) {
                watched.client.end.tell(Reason::ADMINISTRATIVE_ACTION);
                count += 1;
            }
        }
        count
    }

    /// Connections now, and how many of them have not said yet who they are.
    pub fn connections(&self) -> (usize, usize) {
        self.clients.count()
    }

    /// Sessions, connected or kept.
    pub fn sessions(&self) -> usize {
        self.shared.sessions.len()
    }

    /// Name and value of what the broker counts.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.shared.counters.list()
    }

    /// Who was not let in, or may be in no longer, by reason.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.shared.refusals.list()
    }
}

fn shared(config: &BrokerConfig, surroundings: Surroundings) -> Result<Shared, StoreError> {
    let counters = Arc::default();
    let sessions = Sessions::open(Opening {
        bus: surroundings.bus,
        storage: &surroundings.storage,
        config,
        devices: &surroundings.devices,
        counters: Arc::clone(&counters),
    })?;
    Ok(Shared {
        config: config.clone(),
        sessions,
        quotas: quota::Quotas::default(),
        authorizer: surroundings.authorizer,
        authorizing: Semaphore::new(AUTHORIZING_MAX),
        devices: surroundings.devices,
        refusals: refusals::Refusals::default(),
        counters,
    })
}

/// The files that are named, and those of the site for the others. Revocation
/// lists of the site say nothing of other authorities.
pub fn tls_settings(config: &BrokerTlsConfig, site: &SiteFiles) -> ServerSettings {
    let or = |own: &Option<PathBuf>, other: &PathBuf| own.as_ref().unwrap_or(other).clone();
    let crl = match (&config.crl, &config.client_ca) {
        (None, None) => site.crl.clone(),
        (own, _) => own.clone(),
    };
    let version = |version: &TlsVersion| match version {
        TlsVersion::V12 => tls::Version::V12,
        TlsVersion::V13 => tls::Version::V13,
    };
    ServerSettings {
        certificate: or(&config.certificate, &site.certificate),
        key: or(&config.key, &site.key),
        client_ca: or(&config.client_ca, &site.client_ca),
        crl,
        clients: match config.client_certificates {
            ClientCertificates::Required => tls::Clients::Required,
            ClientCertificates::Optional => tls::Clients::Optional,
        },
        versions: config.versions.iter().map(version).collect(),
        cipher_suites: config.cipher_suites.clone(),
        alpn: ALPN.map(<[u8]>::to_vec).into(),
    }
}

/// For units without which the host goes on: devices can wait.
fn policy() -> RestartPolicy {
    RestartPolicy {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_secs(10),
        failures_max: usize::MAX,
        window: Duration::from_secs(60),
        when_lost: WhenLost::KeepHost,
    }
}
