//! One plugin at work: its seat, the version that has it, and the unit that
//! runs it.

use std::sync::Arc;
use std::time::Duration;

use selvedge_signing::Origin;

use crate::deployment::plan::Needs;
use crate::deployment::report::DeploymentId;
use crate::names::PluginName;
use crate::runtime::{Generation, Seat};
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(60);
/// How long a failure counts.
const RESTART_WINDOW: Duration = Duration::from_secs(600);

/// The least time that a plugin has to finish what is in hand; a service may
/// need it for closing its connections.
const GRACE_MIN: Duration = Duration::from_secs(5);
/// A call may take this many times its computing limit.
const WAIT_FACTOR: u32 = 4;

/// What the unit of a plugin is called.
pub fn unit_name(plugin: &PluginName) -> String {
    format!("plugin/{plugin}")
}

/// One plugin at work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Occupant {
    /// Its place on the bus.
    pub seat: Arc<Seat>,
    /// The version that has it.
    pub generation: Arc<Generation>,
    /// By whose word that runs.
    pub origin: Arc<Origin>,
    /// What that needs, by its component and its manifest.
    pub needs: Arc<Needs>,
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Whether an operator stopped it.
    pub stopped: bool,
}

impl Occupant {
    pub(super) fn new(
        seat: Arc<Seat>,
        generation: Arc<Generation>,
        (origin, needs): (Origin, Needs),
        deployment: DeploymentId,
    ) -> Self {
        Self {
            seat,
            generation,
            origin: Arc::new(origin),
            needs: Arc::new(needs),
            deployment,
            stopped: false,
        }
    }

    /// Its name.
    pub fn plugin(&self) -> &PluginName {
        self.seat.plugin()
    }

    /// Whether it hands its state to its successor.
    pub fn is_stateful(&self) -> bool {
        let exports = self.generation.prepared().exports();
        exports.names().contains(&"stateful")
    }

    /// How long it may take to come to a batch boundary: no less than a call.
    pub(super) fn grace(&self) -> Duration {
        let limits = &self.generation.prepared().spec().limits;
        let call = Duration::from_millis(limits.call_ms_max.get().into());
        call.saturating_mul(WAIT_FACTOR).max(GRACE_MIN)
    }

    /// Runs it, as often as need be.
    pub(super) fn unit(&self) -> Unit {
        let limits = &self.generation.prepared().spec().limits;
        let policy = RestartPolicy {
            delay_min: RESTART_DELAY_MIN,
            delay_max: RESTART_DELAY_MAX,
            failures_max: usize::try_from(limits.restarts_max).unwrap_or(usize::MAX),
            window: RESTART_WINDOW,
            when_lost: WhenLost::KeepHost,
        };
        let generation = Arc::clone(&self.generation);
        Unit::new(unit_name(self.plugin()), policy, move |context| {
            let generation = Arc::clone(&generation);
            async move {
                let stop = context.stop.clone();
                generation.run(stop, || context.ready()).await?;
                Ok(())
            }
        })
    }
}
