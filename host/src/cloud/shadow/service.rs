//! The unit that keeps the shadow: looks at what runs, tells it, and tries what is
//! desired.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::warn;

use super::report::{Disk, Health, Host, Plugin, Report, Standing, reason};
use super::wire::Topics;
use super::{Pace, Shadow};
use crate::cloud::channel::{Channel, Waiting};
use crate::cloud::config::ShadowConfig;
use crate::cloud::desired::{Desired, Task};
use crate::cloud::jobs::record::Outcome;
use crate::cloud::name::ThingName;
use crate::cloud::operator::{Operator, phase};
use crate::deployment::report::DeploymentReport;
use crate::error_chain::ErrorChain;
use crate::storage::Storage;
use crate::supervisor::{Supervisor, UnitContext, UnitResult, UnitState};

/// Messages that wait to be looked at; deltas may come in a storm.
const WAITING_MAX: usize = 64;
/// How often it looks at what runs.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3_600);
const MIB: u64 = 1 << 20;

/// Keeps the shadow.
#[derive(Clone, Debug)]
pub struct Service {
    pub channel: Arc<dyn Channel>,
    pub operator: Operator,
    pub supervisor: Supervisor,
    pub storage: Storage,
    pub config: ShadowConfig,
    /// Whether what is desired may be deployed.
    pub allowed: bool,
}

type Work = Waiting<'static, Option<Outcome>>;

impl Service {
    /// Until it is to stop.
    pub async fn run(&self, context: UnitContext, thing: ThingName) -> UnitResult {
        let name = (!self.config.classic).then_some(&self.config.name);
        let topics = Topics::new(&thing, name);
        let mut desired = block_in_place(|| Desired::open(&self.storage, self.allowed))?;
        let mut work = desired.unfinished().map(|task| self.begin(task));
        let mut shadow = Shadow::new(topics.clone(), self.pace());
        let mut arrivals = self.channel.subscribe(topics.filters(), WAITING_MAX);
        let mut connected = arrivals.subscribed();
        let is_connected = *connected.borrow_and_update();
        shadow.connected(is_connected);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        context.ready();
        loop {
            if let Some(wanted) = shadow.take_desired()
                && let Some(task) = block_in_place(|| desired.is(wanted))?
            {
                work = Some(self.begin(task));
            }
            let now = Instant::now();
            if let Some(sent) = shadow.poll(now) {
                // Without an answer it is asked again.
                if let Err(error) = self.channel.ask(sent.topic, sent.payload).await {
                    let code = error.code();
                    let error = ErrorChain(&error).to_string();
                    warn!(code, error, "shadow not reached");
                }
                continue;
            }
            let due = shadow.due(now).unwrap_or(now + IDLE);
            tokio::select! {
                () = context.stop.cancelled() => {
                    self.operator.end().await;
                    return Ok(());
                }
                changed = connected.changed() => {
                    changed?;
                    let is_connected = *connected.borrow_and_update();
                    shadow.connected(is_connected);
                }
                arrival = arrivals.receive() => {
                    let Some(arrival) = arrival else { return Ok(()) };
                    if let Some(kind) = topics.kind(&arrival.topic) {
                        shadow.arrived(kind, &arrival.payload, Instant::now());
                    }
                }
                () = sleep_until(due) => {}
                _ = look.tick() => shadow.report(self.look(&desired), Instant::now()),
                outcome = ended(&mut work) => match outcome {
                    Some(outcome) => {
                        let next = block_in_place(|| desired.ended(outcome))?;
                        work = next.map(|task| self.begin(task));
                        shadow.report(self.look(&desired), Instant::now());
                    }
                    // The host stops.
                    None => context.stop.cancelled().await,
                }
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            debounce: Duration::from_millis(self.config.debounce_ms.get().into()),
            interval: Duration::from_secs(self.config.interval_s_min.get().into()),
            bytes_max: usize::try_from(self.config.bytes_max.get()).unwrap_or(usize::MAX),
        }
    }

    fn begin(&self, task: Task) -> Work {
        let operator = self.operator.clone();
        Box::pin(async move {
            let told = watch::Sender::default();
            operator
                .carry_out(&task.order, &task.by, task.again, &told)
                .await
        })
    }

    /// How the host fares now.
    fn look(&self, desired: &Desired) -> Report {
        let deployments = self.operator.deployments();
        let plugins = deployments.plugins();
        let mut reasons = deployments.troubles();
        let states = self.supervisor.states().into_iter();
        reasons.extend(states.filter_map(|(name, state)| {
            let given_up = matches!(state, UnitState::GivenUp { .. });
            given_up.then(|| format!("{name} given up"))
        }));
        let down = plugins.iter().filter(|plugin| {
            let stopped = plugin.state == "stopped" && !plugin.stopped_by_operator;
            stopped || plugin.state == "backing-off" || plugin.state == "given-up"
        });
        let given_up = |name: &str| format!("plugin/{name} given up");
        for plugin in down {
            let name = plugin.plugin.as_str();
            reasons.retain(|had| *had != given_up(name));
            reasons.push(format!("plugin `{name}` {}", plugin.state));
        }
        let reasons: Vec<_> = reasons.iter().map(|text| reason(text)).collect();
        let plugins = plugins.into_iter().map(|plugin| {
            let told = Plugin {
                version: plugin.version,
                digest: plugin.digest,
                state: plugin.state,
                error: plugin.error.as_deref().map(reason),
            };
            (plugin.plugin.to_string(), told)
        });
        let active = deployments.active();
        let models = active.iter().flat_map(|active| &active.models);
        let models = models.map(|(name, digest)| (name.to_string(), digest.to_string()));
        Report {
            host: Host {
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            deployment: active.as_ref().map(standing),
            under_way: deployments.under_way().first().map(standing),
            desired: desired.answer(),
            plugins: plugins.collect(),
            models: models.collect(),
            health: Health {
                ok: reasons.is_empty(),
                reasons,
            },
            disk: Disk {
                store_mib: self.storage.disk_bytes().unwrap_or_default() / MIB,
            },
        }
    }
}

fn standing(report: &DeploymentReport) -> Standing {
    Standing {
        id: report.id.0,
        name: report.name.clone(),
        version: report.version.clone(),
        digest: report.document.to_string(),
        phase: phase(report.phase),
    }
}

/// What the work came to, if there is any.
async fn ended(work: &mut Option<Work>) -> Option<Outcome> {
    match work {
        Some(done) => {
            let outcome = done.await;
            *work = None;
            outcome
        }
        None => std::future::pending().await,
    }
}
