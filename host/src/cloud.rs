//! The gateway as a thing of AWS IoT: its shadow, its jobs, its first
//! certificate, its logs.
//!
//! Speaks the protocols that AWS publishes, over an uplink. It asks `deployment`
//! for what it is told to, as any operator; what may run is decided there. What
//! arrives is bounded, read strictly, and answers only what was asked.

pub mod config;
pub mod name;

pub mod asking;
pub mod channel;
#[cfg(test)]
mod far_end;

pub mod desired;
pub mod operator;
pub mod order;

pub mod jobs;
pub mod logs;
pub mod provisioning;
pub mod shadow;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::channel::Channel;
use self::config::CloudConfig;
use self::jobs::store::Store;
use self::name::ThingName;
use self::operator::Operator;
use self::provisioning::Claim;
use self::provisioning::files::Files;
use crate::bus::Bus;
use crate::deployment::deployments::Deployments;
use crate::storage::{BucketError, Storage};
use crate::supervisor::{RestartPolicy, Supervisor, Unit, UnitContext, WhenLost};

/// What the cloud's parts work with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub bus: Bus,
    pub storage: Storage,
    pub supervisor: Supervisor,
    pub deployments: Deployments,
    /// The thing's own connection.
    pub channel: Arc<dyn Channel>,
    /// Where the uplink looks for certificate and key.
    pub files: Option<Files>,
    /// The claim's connection, while it is needed.
    pub claim: Option<ClaimWay>,
}

/// The connection of a claim, and the units that hold it.
#[derive(Clone, Debug)]
pub struct ClaimWay {
    pub channel: Arc<dyn Channel>,
    pub units: Vec<String>,
}

/// Why the gateway cannot be a thing.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot open what is remembered of jobs")]
    Jobs(#[source] BucketError),
    #[error("cannot read which thing this is")]
    Thing(#[source] std::io::Error),
    #[error("`cloud.thing` is not set, and nothing can be provisioned")]
    NoThing,
}

/// The units of what `config` names, in the order in which they are to be started.
/// Those that need the thing's name wait until it is known. Blocks.
///
/// # Errors
///
/// If the disk cannot be read, or nothing says which thing this is.
pub fn build(config: &CloudConfig, with: &Surroundings) -> Result<Vec<Unit>, BuildError> {
    let mut units = Vec::new();
    let had = with.files.as_ref().map(Files::thing).transpose();
    let had = had.map_err(BuildError::Thing)?.flatten();
    let known = config.thing.clone().or(had.map(|had| had.thing));
    if known.is_none() && with.claim.is_none() {
        return Err(BuildError::NoThing);
    }
    let thing = watch::Sender::new(known);
    units.extend(provisioning(config, with, &thing));
    units.extend(config.shadow.as_ref().map(|shadow| {
        let service = shadow::service::Service {
            channel: Arc::clone(&with.channel),
            operator: Operator::new(with.deployments.clone()),
            supervisor: with.supervisor.clone(),
            storage: with.storage.clone(),
            config: shadow.clone(),
            allowed: config.deployments,
        };
        of_thing("cloud/shadow", &thing, move |context, thing| {
            let service = service.clone();
            async move { service.run(context, thing).await }
        })
    }));
    if let Some(jobs) = &config.jobs {
        let service = jobs::service::Service {
            channel: Arc::clone(&with.channel),
            operator: Operator::new(with.deployments.clone()),
            store: Store::open(&with.storage).map_err(BuildError::Jobs)?,
            pace: jobs::Pace::new(jobs, config.deployments),
        };
        units.push(of_thing("cloud/jobs", &thing, move |context, thing| {
            let service = service.clone();
            async move { service.run(context, thing).await }
        }));
    }
    let logs = config.logs.as_ref().filter(|logs| logs.is_any());
    units.extend(logs.map(|logs| {
        let service = logs::service::Service {
            channel: Arc::clone(&with.channel),
            bus: with.bus.clone(),
            config: logs.clone(),
        };
        Unit::new("cloud/logs", POLICY, move |context| {
            let service = service.clone();
            async move { service.run(context).await }
        })
    }));
    Ok(units)
}

/// The unit that gets a certificate, if there is none.
fn provisioning(
    config: &CloudConfig,
    with: &Surroundings,
    thing: &watch::Sender<Option<ThingName>>,
) -> Option<Unit> {
    let claim = config.provisioning.as_ref()?;
    let way = with.claim.clone()?;
    let service = provisioning::service::Service {
        way,
        supervisor: with.supervisor.clone(),
        claim: Claim {
            template: claim.template.clone(),
            parameters: claim.parameters.clone(),
            key: claim.key,
        },
        files: with.files.clone()?,
        thing: thing.clone(),
    };
    Some(Unit::new("cloud/provisioning", POLICY, move |context| {
        let service = service.clone();
        async move { service.run(context).await }
    }))
}

/// What fails is tried again, however often: the cloud is not the host's to lose.
const POLICY: RestartPolicy = RestartPolicy {
    delay_min: Duration::from_secs(2),
    delay_max: Duration::from_secs(600),
    failures_max: usize::MAX,
    window: Duration::from_secs(3_600),
    when_lost: WhenLost::KeepHost,
};

/// A unit that begins when it is known which thing this is.
fn of_thing<F>(
    name: &'static str,
    thing: &watch::Sender<Option<ThingName>>,
    run: impl Fn(UnitContext, ThingName) -> F + Clone + Send + Sync + 'static,
) -> Unit
where
    F: Future<Output = crate::supervisor::UnitResult> + Send + 'static,
{
    let thing = thing.clone();
    Unit::new(name, POLICY, move |context| {
        let (run, mut thing) = (run.clone(), thing.subscribe());
        async move {
            let stop = context.stop.clone();
            let known = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                known = thing.wait_for(Option::is_some) => known?.clone(),
            };
            match known {
                Some(known) => run(context, known).await,
                None => Ok(()),
            }
        }
    })
}
