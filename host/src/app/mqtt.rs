//! MQTT, put together: what is retained, uplinks, devices, their authority and the
//! broker.
//!
//! All is opened before anything runs. Retained values are there before anybody
//! publishes, and whoever writes them is stopped last; uplinks take in what their
//! rules name from the first message on, but connect only when what they bring finds
//! those it is for. Devices come in last, when those they talk to are there, and are
//! the first to be told that the host stops.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::BuildError;
use super::authorizer::PluginAuthorizer;
use super::cloud::Outward;
use crate::broker::authorizer::Authorizer;
use crate::broker::{Broker, SiteFiles, Surroundings, tls_settings};
use crate::bus::Bus;
use crate::config::HostConfig;
use crate::deployment::deployments::Deployments;
use crate::devices::{Authority, AuthorityFiles, Devices, Rules};
use crate::discovery;
use crate::retention::{self, RetentionStatus};
use crate::storage::Storage;
use crate::supervisor::{Supervisor, Unit};
use crate::uplink::Uplinks;

/// What speaks MQTT here, or is needed for it.
#[derive(Debug)]
pub(super) struct Mqtt {
    retention: RetentionStatus,
    uplinks: Uplinks,
    /// None: there is nothing for devices to connect to.
    devices: Option<Devices>,
    broker: Option<Broker>,
    /// Those that were not started, in the order in which they are to be: before
    /// anybody publishes, and when all is at work, connections outward first.
    first: Mutex<Vec<Unit>>,
    links: Mutex<Vec<Unit>>,
    last: Mutex<Vec<Unit>>,
}

impl Mqtt {
    /// What must be there before anybody publishes.
    pub(super) fn build(
        config: &HostConfig,
        storage: &Storage,
        bus: &Bus,
    ) -> Result<Self, BuildError> {
        let (retention, unit) = retention::open(storage, bus, &config.bus)?;
        Ok(Self {
            retention,
            uplinks: Uplinks::default(),
            devices: None,
            broker: None,
            first: vec![unit].into(),
            links: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// The same, with the ways outward: uplinks take in before anybody publishes, and
    /// connect when all is at work; then the cloud is listened to.
    pub(super) fn with_uplinks(mut self, outward: &Outward<'_>) -> Result<Self, BuildError> {
        let (uplinks, units, cloud) = outward.build()?;
        self.first.lock().extend(units.queues);
        self.links.lock().extend(units.links);
        self.last.lock().extend(cloud);
        self.uplinks = uplinks;
        Ok(self)
    }

    /// The same, with what devices connect to, if the configuration says so.
    pub(super) fn with_devices(
        mut self,
        config: &HostConfig,
        (bus, storage): (&Bus, &Storage),
        deployments: &Deployments,
    ) -> Result<Self, BuildError> {
        let Some(broker) = &config.broker else {
            return Ok(self);
        };
        let rules = Rules {
            classes: broker.classes.clone(),
            quota: broker.quota.clone(),
        };
        let devices = Devices::open(&config.data_directory, rules)?;
        Authority::catch_up(&config.data_directory);
        let files = AuthorityFiles::in_directory(&config.data_directory);
        let authorizer = broker.authorizer.as_ref().map(|plugin| {
            let asked = PluginAuthorizer::new(deployments.clone(), plugin.clone());
            asked as Arc<dyn Authorizer>
        });
        let site_files = SiteFiles {
            certificate: files.server_certificate,
            key: files.server_key,
            client_ca: files.ca,
            crl: Some(files.crl),
        };
        let tls = tls_settings(&broker.tls, &site_files);
        let surroundings = Surroundings {
            bus: bus.clone(),
            storage: storage.clone(),
            devices: devices.clone(),
            authorizer,
            site_files,
            grace: Duration::from_millis(u64::from(config.shutdown_grace_ms.get())),
        };
        let (broker, units) = Broker::build(broker, surroundings)?;
        let surroundings = discovery::Surroundings {
            broker: broker.addresses().tls,
            devices: devices.clone(),
            ca: files.chain,
            tls,
            host: bus.host_party(),
        };
        let (_, found) = discovery::build(&config.discovery, surroundings)?;
        let own = [devices.unit(), Authority::unit(&config.data_directory)];
        self.last
            .lock()
            .extend(own.into_iter().chain(units).chain(found));
        self.devices = Some(devices);
        self.broker = Some(broker);
        Ok(self)
    }

    /// Starts what must run before anybody publishes, once.
    pub(super) fn start_first(&self, supervisor: &Supervisor) {
        start(&self.first, supervisor);
    }

    /// Begins to connect outward, once.
    pub(super) fn start_links(&self, supervisor: &Supervisor) {
        start(&self.links, supervisor);
    }

    /// Begins to connect outward and to serve devices, once.
    pub(super) fn start_last(&self, supervisor: &Supervisor) {
        self.start_links(supervisor);
        start(&self.last, supervisor);
    }

    /// How retained values fare.
    pub(super) fn retention(&self) -> &RetentionStatus {
        &self.retention
    }

    pub(super) fn devices(&self) -> Option<&Devices> {
        self.devices.as_ref()
    }

    pub(super) fn uplinks(&self) -> &Uplinks {
        &self.uplinks
    }

    pub(super) fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }
}

fn start(units: &Mutex<Vec<Unit>>, supervisor: &Supervisor) {
    for unit in std::mem::take(&mut *units.lock()) {
        supervisor.start(unit);
    }
}
