//! The gateway of the demo, as an operator would set it up: an authority, a device,
//! a broker for it and an uplink to a cloud.
//!
//! Everything is made anew for each run and reached on loopback only, but for a
//! real account.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use super::client::{self, ClientError, Credentials};
use super::cloud::{Cloud, PREFIX};
use super::device::Device;
use super::folder::{Folder, FolderError};
use super::mqtt_machine::Gateway;
use super::stand_in::{self, StandIn, StandInError};
use super::uplink::{self, Account, CLIENT_ID, UplinkError};
use crate::bus::{InboxLimits, SubscribeError};
use crate::config::HostConfig;
use crate::uplink::Uplinks;
use crate::uplink::config::UplinkConfig;

/// Where the responder wants to be answered: see the deployment.
const REPLIES: &str = "reply/responder";

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("cannot prepare the demo's folder")]
    Folder(#[from] FolderError),
    #[error("cannot prepare the MQTT machine")]
    Machine(#[from] ClientError),
    #[error("cannot start the stand-in cloud")]
    StandIn(#[from] StandInError),
    #[error(transparent)]
    Uplink(#[from] UplinkError),
}

/// What the gateway and its machine need, and the cloud if it is a stand-in.
#[derive(Debug)]
pub struct Site {
    folder: Folder,
    config: HostConfig,
    machine: Credentials,
    stand_in: Option<StandIn>,
}

impl Site {
    /// A gateway for `device` with all its files in `directory`, and an uplink to
    /// `account`, or else to a stand-in that is started here. From an executor.
    pub fn prepare(
        directory: &Path,
        device: Device,
        account: Option<&Account>,
    ) -> Result<Self, SiteError> {
        let folder = Folder::begin(directory)?;
        let gateway = folder.gateway();
        // Both wait for the disk most of the time.
        let (machine, far) = std::thread::scope(|scope| {
            let machine = scope.spawn(|| register(&gateway, device));
            let far = far_end(&folder, account);
            let machine = machine.join();
            (machine.unwrap_or_else(|panic| resume_unwind(panic)), far)
        });
        let (machine, (uplink, stand_in)) = (machine?, far?);
        let config = HostConfig {
            data_directory: gateway,
            broker: Some(stand_in::loopback()),
            uplinks: [(uplink::name(), uplink)].into(),
            ..HostConfig::default()
        };
        Ok(Self {
            folder,
            config,
            machine,
            stand_in,
        })
    }

    /// What the host is to be like.
    pub fn config(&self) -> &HostConfig {
        &self.config
    }

    /// Writes the deployment beside the models it names; says where it is.
    pub fn write_deployment(&self, text: &str) -> Result<PathBuf, SiteError> {
        Ok(self.folder.write_deployment(text)?)
    }

    /// What the machine needs to find the gateway at `address`.
    pub fn gateway(&self, address: SocketAddr) -> Result<Gateway, SiteError> {
        let tls = self.machine.tls()?;
        Ok(Gateway { address, tls })
    }

    /// Where it is seen what arrives in the cloud. None: `uplinks` are not of a host
    /// of this site.
    pub fn cloud(
        &self,
        uplinks: &Uplinks,
        limits: InboxLimits,
    ) -> Result<Option<Cloud>, SubscribeError> {
        Ok(match &self.stand_in {
            Some(stand_in) => Some(Cloud::StandIn(stand_in.arrivals(PREFIX, limits)?)),
            None => uplinks.get(&uplink::name()).map(Cloud::Account),
        })
    }

    /// Stops the stand-in, after the host.
    pub async fn shut_down(&self) {
        if let Some(stand_in) = &self.stand_in {
            stand_in.shut_down().await;
        }
    }
}

/// Makes the site's authority, and lets `device` in with the topics it needs.
fn register(gateway: &Path, device: Device) -> Result<Credentials, ClientError> {
    let authority = client::authority(gateway, "Selvedge demo site")?;
    let name = device.name();
    let party = name.parse().expect("devices have names of parties");
    let telemetry = format!("telemetry/plant/{name}");
    let commands = format!("command/plant/{name}/+");
    let topics: [&[&str]; 2] = [&[&telemetry, REPLIES], &[&commands]];
    client::register(gateway, &authority, &party, topics)
}

/// The uplink to `account`, or to a stand-in that begins to serve.
fn far_end(
    folder: &Folder,
    account: Option<&Account>,
) -> Result<(UplinkConfig, Option<StandIn>), SiteError> {
    if let Some(account) = account {
        return Ok((account.uplink(folder)?, None));
    }
    let client = CLIENT_ID.parse().expect("this is a name of a party");
    let below = format!("{PREFIX}#");
    let topics: [&[&str]; 2] = [&[&below], &[]];
    let (stand_in, shown) = StandIn::start(&folder.cloud(), &client, topics)?;
    let endpoint = stand_in.address().to_string();
    let uplink = uplink::to_stand_in(endpoint, &shown, folder)?;
    Ok((uplink, Some(stand_in)))
}
