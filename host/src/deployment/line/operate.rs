//! What is done to single plugins: at the start of the host, and by operators.

use futures::future::join_all;
use futures::{StreamExt as _, stream};
use tracing::warn;

use super::{Line, LineError, Occupant, Ready, WARM_UPS_MAX};
use crate::error_chain::ErrorChain;
use crate::names::PluginName;

impl Line {
    /// Puts plugins at work on a line on which nothing works yet, each by
    /// itself: one that fails does not keep the others. One that cannot be
    /// initialised is tried again as often as its restarts allow. All are on the
    /// bus before the first of them runs.
    ///
    /// # Errors
    ///
    /// What did not take a place, and why.
    pub async fn resume(&self, mut ready: Ready) -> Vec<LineError> {
        let plugins = std::mem::take(&mut ready.plugins);
        let made = plugins.into_iter().map(|(name, plugin)| {
            let ready = &ready;
            async move {
                let occupant = self.successor(name, plugin, ready)?;
                if !occupant.stopped
                    && let Err(error) = occupant.generation.warm_up().await
                {
                    let plugin = occupant.plugin().as_str();
                    let error = ErrorChain(&error).to_string();
                    warn!(plugin, error, "plugin not initialised: it is tried again");
                }
                Ok::<_, LineError>(occupant)
            }
        });
        let made: Vec<_> = stream::iter(made).buffered(WARM_UPS_MAX).collect().await;
        let mut faults = Vec::new();
        let mut working = Vec::new();
        for occupant in made {
            match self.take_place(occupant).await {
                Ok(occupant) if occupant.stopped => {}
                Ok(occupant) => working.push(occupant),
                Err(fault) => faults.push(fault),
            }
        }
        let started = working.iter().map(|occupant| self.start(occupant));
        for error in join_all(started).await.into_iter().filter_map(Result::err) {
            // Its state says so, and its unit goes on trying.
            let (plugin, error) = (error.plugin().as_str(), ErrorChain(&error).to_string());
            warn!(plugin, error, "plugin not at work yet");
        }
        faults
    }

    async fn take_place(&self, made: Result<Occupant, LineError>) -> Result<Occupant, LineError> {
        let occupant = made?;
        if !occupant.stopped {
            let taken = occupant.generation.take_over(None).await;
            taken.map_err(|source| LineError::TakeOver {
                plugin: occupant.plugin().clone(),
                source,
            })?;
        }
        self.enter(occupant.clone());
        Ok(occupant)
    }

    /// Stops a plugin between two batches; it keeps its state, and what waits
    /// for it.
    ///
    /// # Errors
    ///
    /// If there is no such plugin.
    pub async fn stop(&self, plugin: &PluginName) -> Result<(), LineError> {
        let mut occupant = self.occupant(plugin)?;
        if occupant.stopped {
            return Ok(());
        }
        self.halt(&occupant).await;
        occupant.generation.leave();
        occupant.stopped = true;
        self.enter(occupant);
        Ok(())
    }

    /// Starts a plugin that was stopped or given up; nothing, if it works.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or it does not begin to work.
    pub async fn start_stopped(&self, plugin: &PluginName) -> Result<(), LineError> {
        let mut occupant = self.occupant(plugin)?;
        if occupant.stopped {
            let returned = occupant.generation.return_from(None).await;
            returned.map_err(|source| LineError::TakeOver {
                plugin: plugin.clone(),
                source,
            })?;
            occupant.stopped = false;
            self.enter(occupant.clone());
        } else if self.works(&occupant) {
            return Ok(());
        } else {
            self.halt(&occupant).await;
        }
        self.start(&occupant).await
    }

    /// Starts a plugin afresh: its state is lost, what waits for it is not.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or it does not begin to work.
    pub async fn restart(&self, plugin: &PluginName) -> Result<(), LineError> {
        let occupant = self.occupant(plugin)?;
        if !occupant.stopped {
            self.halt(&occupant).await;
        }
        occupant.generation.discard();
        if occupant.stopped {
            return self.start_stopped(plugin).await;
        }
        self.start(&occupant).await
    }

    fn works(&self, occupant: &Occupant) -> bool {
        use crate::supervisor::UnitState::{BackingOff, Running, Starting};
        let name = super::unit_name(occupant.plugin());
        let states = self.0.supervisor.states();
        let mut state = states.iter().filter(|(unit, _)| **unit == *name);
        let state = state.next_back().map(|(_, state)| state);
        matches!(state, Some(Starting | Running | BackingOff { .. }))
    }

    fn occupant(&self, plugin: &PluginName) -> Result<Occupant, LineError> {
        let found = self.0.occupants.lock().get(plugin).cloned();
        found.ok_or_else(|| LineError::Unknown(plugin.clone()))
    }
}
