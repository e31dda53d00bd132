//! What operators do to single plugins.
//!
//! That a plugin is stopped is on the disk before it is; so it stays stopped
//! whatever happens to the host, until it is started.

use super::Deployments;
use crate::deployment::line::LineError;
use crate::names::PluginName;

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
