//! A plugin as a unit: joined to the bus for good, run as often as need be.

use std::sync::Arc;
use std::time::Duration;

use super::{DeployFault, Deployer};
use crate::capabilities::Services;
use crate::capabilities::keyvalue::KeyValue;
use crate::capabilities::port::Port;
use crate::names::PluginName;
use crate::runtime::{LocalPort, Prepared, run};
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(60);
/// How long a failure counts.
const RESTART_WINDOW: Duration = Duration::from_secs(600);

/// What the unit of a plugin is called.
pub(super) fn name(plugin: &PluginName) -> String {
    format!("plugin/{plugin}")
}

/// A plugin that has joined the bus and is not yet running.
pub(super) struct PluginUnit {
    prepared: Prepared,
    port: Arc<LocalPort>,
    services: Services,
}

impl PluginUnit {
    pub(super) fn join(deployer: &Deployer, prepared: Prepared) -> Result<Self, DeployFault> {
        let spec = prepared.spec();
        let bytes_max = spec.grants.keyvalue_bytes_max;
        let bucket = (bytes_max > 0).then(|| {
            let bucket = deployer.storage.bucket(spec.plugin.as_str(), bytes_max);
            bucket.map_err(|source| DeployFault::KeyValue {
                plugin: spec.plugin.clone(),
                source,
            })
        });
        let keyvalue = bucket
            .transpose()?
            .map(|bucket| Arc::new(bucket) as Arc<dyn KeyValue>);
        let port = LocalPort::join(&deployer.bus, spec)?;
        let services = Services {
            port: Arc::clone(&port) as Arc<dyn Port>,
            keyvalue,
            models: Arc::clone(&deployer.models),
            hosts: Arc::clone(&deployer.hosts),
        };
        Ok(Self {
            prepared,
            port,
            services,
        })
    }

    pub(super) fn into_unit(self) -> Unit {
        let spec = self.prepared.spec();
        let policy = RestartPolicy {
            delay_min: RESTART_DELAY_MIN,
            delay_max: RESTART_DELAY_MAX,
            failures_max: usize::try_from(spec.limits.restarts_max).unwrap_or(usize::MAX),
            window: RESTART_WINDOW,
            when_lost: WhenLost::KeepHost,
        };
        let name = name(&spec.plugin);
        let unit = Arc::new(self);
        Unit::new(name, policy, move |context| {
            let unit = Arc::clone(&unit);
            async move {
                let services = unit.services.clone();
                let stop = context.stop.clone();
                run(&unit.prepared, &unit.port, services, stop, || {
                    context.ready()
                })
                .await?;
                Ok(())
            }
        })
    }
}
