//! A stand-in for AWS IoT Core: an MQTT broker with an authority, devices and a bus
//! of its own, in this process and reached only over mutual TLS on loopback.
//!
//! It takes what the gateway's uplink may send and nothing else. What arrives is on
//! its bus, which has nothing to do with the gateway's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::client::{self, ClientError, Credentials};
use crate::broker::config::BrokerConfig;
use crate::broker::{Broker, BrokerError, SiteFiles, Surroundings};
#[cfg(test)]
use crate::bus::Party;
use crate::bus::{Bus, BusLimits, Inbox, InboxLimits, SubscribeError};
use crate::devices::{Devices, DevicesError, Rules};
use crate::names::PartyName;
use crate::storage::{Storage, StorageError};
use crate::supervisor::Supervisor;

/// What each of its units has to stop in.
const GRACE: Duration = Duration::from_secs(2);

/// Why there is no stand-in.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    #[error("cannot open its store")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot tell who its devices are")]
    Devices(#[from] DevicesError),
    #[error("cannot serve devices")]
    Broker(#[from] BrokerError),
    #[error("cannot watch what arrives")]
    Watch(#[from] SubscribeError),
}

/// The stand-in, at work.
#[derive(Debug)]
pub(super) struct StandIn {
    bus: Bus,
    broker: Broker,
    supervisor: Supervisor,
}

impl StandIn {
    /// Begins to serve with all its files in `directory`, for one client that may
    /// publish and subscribe `topics`; what that one needs.
    pub(super) fn start(
        directory: &Path,
        client: &PartyName,
        topics: [&[&str]; 2],
    ) -> Result<(Self, Credentials), StandInError> {
        let storage = Storage::open(directory)?;
        let authority = client::authority(directory, "Selvedge demo cloud");
        let authority = authority.map_err(ClientError::from)?;
        let credentials = client::register(directory, &authority, client, topics)?;
        let devices = Devices::open(directory, Rules::default())?;
        let bus = Bus::new(BusLimits::default());
        let files = authority.files();
        let surroundings = Surroundings {
            bus: bus.clone(),
            storage,
            devices,
            authorizer: None,
            site_files: SiteFiles {
                certificate: files.server_certificate.clone(),
                key: files.server_key.clone(),
                client_ca: files.ca.clone(),
                crl: Some(files.crl.clone()),
            },
            grace: GRACE,
        };
        let (broker, units) = Broker::build(&loopback(), surroundings)?;
        let supervisor = Supervisor::new(GRACE, Arc::new(|_, _| {}));
        for unit in units {
            drop(supervisor.start(unit));
        }
        let stand_in = Self {
            bus,
            broker,
            supervisor,
        };
        Ok((stand_in, credentials))
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.broker.addresses().tls
    }

    /// What arrives from now on.
    pub(super) fn arrivals(
        &self,
        prefix: &str,
        limits: InboxLimits,
    ) -> Result<Inbox, SubscribeError> {
        let filter = format!("{prefix}#").parse().expect("a prefix of topics");
        self.bus.host_party().subscribe(&[filter], limits)
    }

    #[cfg(test)]
    pub(super) fn party(&self) -> Party {
        self.bus.host_party()
    }

    #[cfg(test)]
    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    pub(super) async fn shut_down(&self) {
        self.bus.close();
        self.supervisor.shut_down().await;
    }
}

/// A broker that only this machine reaches, on any free port.
pub(super) fn loopback() -> BrokerConfig {
    toml::from_str("listen = '127.0.0.1:0'").expect("this is a configuration")
}
