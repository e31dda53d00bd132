//! What operators do to single plugins.
//!
//! That a plugin is stopped is on the disk before it is; so it stays stopped
//! whatever happens to the host, until it is started.

use super::Deployments;
use crate::deployment::line::LineError;
use crate::names::PluginName;
use crate::runtime::{AskError, Question, Verdict};

/// Why a plugin did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("plugin `{0}` is not at work")]
    NotThere(PluginName),
    #[error("plugin `{0}` exports no `authorizer`")]
    NoAuthorizer(PluginName),
    #[error("plugin `{plugin}` did not answer")]
    Failed {
        plugin: PluginName,
        source: AskError,
    },
}

impl Deployments {
    /// Stops a plugin until it is started; also after a restart of the host.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or it cannot be remembered.
    pub async fn stop_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        let _changing = self.0.changing.lock().await;
        self.known(plugin)?;
        self.remember(plugin, true).await?;
        self.0.deployer.line.stop(plugin).await
    }

    /// Starts a plugin that was stopped or given up.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, it cannot be remembered, or it does not begin
    /// to work.
    pub async fn start_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        let _changing = self.0.changing.lock().await;
        self.known(plugin)?;
        self.remember(plugin, false).await?;
        self.0.deployer.line.start_stopped(plugin).await
    }

    /// Starts a plugin afresh: its state is lost, what waits for it is not.
    ///
    /// # Errors
    ///
    /// As for [`start_plugin`](Self::start_plugin).
    pub async fn restart_plugin(&self, plugin: &PluginName) -> Result<(), LineError> {
        let _changing = self.0.changing.lock().await;
        self.known(plugin)?;
        self.remember(plugin, false).await?;
        self.0.deployer.line.restart(plugin).await
    }

    /// Asks a plugin whether somebody may connect to the broker. What it answers is
    /// a guest's word, not yet parsed.
    ///
    /// # Errors
    ///
    /// If there is no such plugin at work that answers.
    pub async fn ask(
        &self,
        plugin: &PluginName,
        question: Question,
    ) -> Result<Result<Verdict, String>, NoAnswer> {
        let occupants = self.0.deployer.line.occupants();
        let occupant = occupants.get(plugin).filter(|occupant| !occupant.stopped);
        let Some(occupant) = occupant else {
            return Err(NoAnswer::NotThere(plugin.clone()));
        };
        let exports = occupant.generation.prepared().exports();
        if !exports.names().contains(&"authorizer") {
            return Err(NoAnswer::NoAuthorizer(plugin.clone()));
        }
        let plugin = plugin.clone();
        let answer = occupant.seat.ask(question).await;
        answer.map_err(|source| NoAnswer::Failed { plugin, source })
    }

    fn known(&self, plugin: &PluginName) -> Result<(), LineError> {
        let occupants = self.0.deployer.line.occupants();
        let known = occupants.contains_key(plugin);
        known
            .then_some(())
            .ok_or_else(|| LineError::Unknown(plugin.clone()))
    }

    async fn remember(&self, plugin: &PluginName, stopped: bool) -> Result<(), LineError> {
        self.0.operated.lock().insert(plugin.clone());
        let name = plugin.clone();
        let written = self.0.ledger.write("operate", move |state| {
            if stopped {
                state.stopped.insert(name);
            } else {
                state.stopped.remove(&name);
            }
        });
        written.await.map_err(|source| LineError::NotRemembered {
            plugin: plugin.clone(),
            source: Box::new(source),
        })
    }
}
