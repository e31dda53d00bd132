//! How plugins change hands, and how they are put back.
//!
//! What was swapped is undone in reverse. What cannot be brought back has no
//! place any more, and whoever asks is told so.

use std::collections::BTreeSet;

use tracing::error;

use super::{Change, Line, LineError, Occupant, Swapped};
use crate::error_chain::ErrorChain;
use crate::names::PluginName;
use crate::runtime::{Generation, HandOver, TakeOverError};

impl Swapped {
    /// It is certain that what was swapped stays: predecessors go, and what still
    /// waits for plugins that were removed is given up and named.
    pub fn stay(self) {
        for change in &self.changes {
            if let Change::Removed(occupant) = change {
                occupant.generation.give_up_waiting();
            }
        }
    }
}

impl Line {
    pub(super) async fn hand_over(
        predecessor: &Occupant,
        successor: &Occupant,
        from: Option<&Generation>,
    ) -> Result<HandOver, TakeOverError> {
        if predecessor.stopped {
            // State is handed over by whoever has the seat.
            predecessor.generation.return_from(None).await?;
        }
        successor.generation.take_over(from).await
    }

    /// Puts everything back as it was before a swap, the last change first. What
    /// an operator `stopped` rests.
    pub async fn undo(&self, swapped: Swapped, stopped: &BTreeSet<PluginName>) {
        for change in swapped.changes.into_iter().rev() {
            if let Err(error) = self.undo_one(&change, stopped).await {
                let (plugin, code) = (error.plugin().as_str(), error.code());
                let error = ErrorChain(&error).to_string();
                error!(plugin, code, error, "plugin not brought back");
            }
        }
    }

    async fn undo_one(
        &self,
        change: &Change,
        stopped: &BTreeSet<PluginName>,
    ) -> Result<(), LineError> {
        let (back, from) = match change {
            Change::Added(occupant) => {
                self.halt(occupant).await;
                occupant.generation.leave();
                occupant.generation.give_up_waiting();
                self.0.occupants.lock().remove(occupant.plugin());
                return Ok(());
            }
            Change::Replaced {
                predecessor,
                successor,
            } => (predecessor, Some(successor)),
            Change::Removed(occupant) => (occupant, None),
        };
        if let Some(successor) = from {
            self.halt(successor).await;
        }
        let from = from.map(|successor| &*successor.generation);
        let returned = back.generation.return_from(from).await;
        if let Err(source) = returned {
            // Then nobody has the seat: what failed does not stay in it.
            if let Some(from) = from {
                from.leave();
            }
            let plugin = back.plugin().clone();
            self.0.occupants.lock().remove(&plugin);
            return Err(LineError::TakeOver { plugin, source });
        }
        let mut back = back.clone();
        back.stopped = stopped.contains(back.plugin());
        self.enter(back.clone());
        if back.stopped {
            back.generation.leave();
            return Ok(());
        }
        self.start(&back).await
    }
}
