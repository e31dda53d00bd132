//! How client devices find their gateway on the local network.
//!
//! mDNS/DNS-SD names the broker's addresses to anyone; the HTTPS endpoint, in the
//! shape of Greengrass discovery, names addresses and authority to holders of a
//! device's certificate. Nothing is listened to or announced unless asked for. On
//! the bus the same is kept for whoever is granted `$selvedge/discovery`.

mod announcer;
pub mod config;
mod gateway;
mod http;
mod https;
mod mdns;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::config::DiscoveryConfig;
use self::gateway::Gateway;
use self::https::Https;
use crate::bus::Party;
use crate::devices::Devices;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};
use crate::tls::{ServerSettings, TlsError};

/// Why devices cannot find the gateway.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The address is taken, or is not this machine's.
    #[error("cannot answer discovery on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot use the certificates of discovery")]
    Tls(#[from] TlsError),
}

impl DiscoveryError {
    /// A stable name for logs and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "discovery-listen",
            Self::Tls(_) => "discovery-certificates",
        }
    }
}

/// What discovery works with.
#[derive(Debug)]
pub struct Surroundings {
    /// Where the broker listens with TLS.
    pub broker: SocketAddr,
    pub devices: Devices,
    /// What devices are to trust, if the configuration does not say it (PEM).
    pub ca: PathBuf,
    /// How the broker speaks TLS: discovery does too.
    pub tls: ServerSettings,
    /// As whom it publishes.
    pub host: Party,
}

/// The units by which devices find the gateway, and where discovery is answered.
/// From an executor. Reads files.
pub fn build(
    config: &DiscoveryConfig,
    surroundings: Surroundings,
) -> Result<(Option<SocketAddr>, Vec<Unit>), DiscoveryError> {
    let Surroundings {
        broker,
        devices,
        ca,
        tls,
        host,
    } = surroundings;
    let https = config.listen.map(|listen| Https::listen(listen, tls));
    let https = https.transpose()?;
    let address = https.as_ref().map(Https::address);
    let gateway = Arc::new(Gateway {
        broker,
        https: address.map(|address| address.port()),
        ca: config.ca.clone().unwrap_or(ca),
    });
    let announcer = announcer::unit(Arc::clone(&gateway), host);
    let https = https.map(|https| https.unit(Arc::clone(&gateway), devices));
    let mdns = config
        .mdns
        .then(|| mdns::unit(gateway, config.mdns_interfaces.clone()));
    let units = [announcer].into_iter().chain(https).chain(mdns);
    Ok((address, units.collect()))
}

/// For units without which the host goes on.
const POLICY: RestartPolicy = RestartPolicy {
    delay_min: Duration::from_secs(1),
    delay_max: Duration::from_secs(60),
    failures_max: usize::MAX,
    window: Duration::from_secs(600),
    when_lost: WhenLost::KeepHost,
};

#[cfg(test)]
mod tests;
