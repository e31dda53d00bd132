//! The ways outward, put together: uplinks, and the gateway as a thing of the
//! cloud over one of them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::BuildError;
use crate::bus::Bus;
use crate::cloud::channel::Channel;
use crate::cloud::config::{CloudConfig, ProvisioningConfig};
use crate::cloud::provisioning::files::Files;
use crate::cloud::{self, ClaimWay, Surroundings};
use crate::config::HostConfig;
use crate::deployment::deployments::Deployments;
use crate::names::PartyName;
use crate::storage::Storage;
use crate::supervisor::{Supervisor, Unit};
use crate::uplink::config::{QueueConfig, UplinkConfig};
use crate::uplink::{Units, Uplinks};

/// Bytes that may wait for a claim: it only asks, and keeps nothing.
const CLAIM_QUEUE_BYTES_MAX: NonZeroU64 = nonzero!(NonZeroU64, 64 << 10);

/// Who speaks outward.
pub(super) struct Outward<'a> {
    pub(super) config: &'a HostConfig,
    pub(super) bus: &'a Bus,
    pub(super) storage: &'a Storage,
    pub(super) supervisor: &'a Supervisor,
    pub(super) deployments: &'a Deployments,
}

impl Outward<'_> {
    /// All uplinks, the units that work on them, and those that speak with the cloud,
    /// in the order in which they are to be started.
    pub(super) fn build(&self) -> Result<(Uplinks, Units, Vec<Unit>), BuildError> {
        let (uplinks, units) = self.uplinks(&self.config.uplinks)?;
        let cloud = self.config.cloud.as_ref();
        let cloud = cloud.map(|cloud| self.cloud(cloud, &uplinks)).transpose()?;
        Ok((uplinks, units, cloud.unwrap_or_default()))
    }

    fn uplinks(
        &self,
        config: &BTreeMap<PartyName, UplinkConfig>,
    ) -> Result<(Uplinks, Units), BuildError> {
        let hosts = Arc::new(self.config.hosts.clone());
        Ok(Uplinks::build(config, &hosts, self.bus, self.storage)?)
    }

    fn cloud(&self, config: &CloudConfig, uplinks: &Uplinks) -> Result<Vec<Unit>, BuildError> {
        let name = &config.uplink;
        let unknown = || BuildError::NoUplink(name.clone());
        let channel: Arc<dyn Channel> = Arc::new(uplinks.get(name).ok_or_else(unknown)?);
        let uplink = self.config.uplinks.get(name).ok_or_else(unknown)?;
        let files = uplink.certificate.clone().zip(uplink.key.clone());
        let files = files.map(|(certificate, key)| Files { certificate, key });
        let (claim, mut units) = match (&config.provisioning, &files) {
            (Some(provisioning), Some(files)) if !files.is_there() => {
                let (way, units) = self.claim(name, uplink, provisioning)?;
                (Some(way), units)
            }
            _ => (None, Vec::new()),
        };
        let surroundings = Surroundings {
            bus: self.bus.clone(),
            storage: self.storage.clone(),
            supervisor: self.supervisor.clone(),
            deployments: self.deployments.clone(),
            channel,
            files,
            claim,
        };
        units.extend(cloud::build(config, &surroundings)?);
        Ok(units)
    }

    /// A connection like that of the uplink, with the claim's certificate.
    fn claim(
        &self,
        name: &PartyName,
        uplink: &UplinkConfig,
        claim: &ProvisioningConfig,
    ) -> Result<(ClaimWay, Vec<Unit>), BuildError> {
        let claims = format!("{name}-claim");
        let Ok(claims) = claims.parse::<PartyName>() else {
            return Err(BuildError::NoUplink(name.clone()));
        };
        let config = claiming(uplink, claim);
        let (uplinks, units) = self.uplinks(&[(claims.clone(), config)].into())?;
        let uplink = uplinks.get(&claims);
        let channel = uplink.ok_or_else(|| BuildError::NoUplink(claims.clone()))?;
        let units_of_it = ["uplink", "uplink-queue"];
        let way = ClaimWay {
            channel: Arc::new(channel),
            units: units_of_it.map(|kind| format!("{kind}/{claims}")).into(),
        };
        Ok((way, units.into_all().collect()))
    }
}

/// How a claim connects: as the uplink, but with its certificate and no rules.
pub(crate) fn claiming(uplink: &UplinkConfig, claim: &ProvisioningConfig) -> UplinkConfig {
    UplinkConfig {
        certificate: Some(claim.claim_certificate.clone()),
        key: Some(claim.claim_key.clone()),
        client_id: uplink.client_id.as_ref().map(|id| format!("{id}-claim")),
        rules: Vec::new(),
        queue: QueueConfig {
            bytes_max: CLAIM_QUEUE_BYTES_MAX,
            ..QueueConfig::default()
        },
        ..uplink.clone()
    }
}
