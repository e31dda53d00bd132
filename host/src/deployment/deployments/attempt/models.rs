//! Models that change, and the plugins that use them.
//!
//! Only a loaded model tells whether the plugins that use it can go on. Whether
//! its runs fail is told by the model itself: it is not blamed for a share of
//! failures that the one before it had as well.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::info;

use super::{Attempt, Work};
use crate::deployment::deployments::probation::Failing;
use crate::deployment::plan::Change;
use crate::inference::{Exchanged, Model, ModelSet, NextModels};
use crate::names::{ModelName, PluginName};

impl Attempt<'_> {
    /// The models are loaded: plugins that were to be swapped only for models that
    /// take and give what those before them did are not touched.
    pub(super) fn spare(&self, work: &mut Work, models: &NextModels) {
        let in_place = models.exchanges.names().cloned().collect();
        let mut spared = work.plan.settle(&in_place);
        let (at_work, down) = (
            self.deployments.0.deployer.line.occupants(),
            self.deployments.down(),
        );
        spared.retain(|plugin| at_work.contains_key(plugin) && !down.contains(plugin));
        work.changed.retain(|plugin| !spared.contains(plugin));
    }
}

/// The plugins that use models which change behind them.
pub(super) fn users(work: &Work, models: &NextModels) -> BTreeSet<PluginName> {
    let exchanged: BTreeSet<_> = models.exchanges.names().collect();
    let plugins = work.document.plugins.iter();
    let users = plugins.filter(|(_, plugin)| {
        let mut granted = plugin.grants.models.iter();
        granted.any(|model| exchanged.contains(model))
    });
    users.map(|(name, _)| name.clone()).collect()
}

/// Says which versions serve now.
pub(super) fn told_of(models: &ModelSet, exchanged: &Exchanged) {
    for (name, previous) in exchanged.previous() {
        let digest = models.get(name).map(|served| served.current().digest());
        info!(
            model = name.as_str(),
            digest = digest.map(tracing::field::display),
            before = %previous.digest(),
            "model swapped"
        );
    }
}

/// Judges the new and changed models of one deployment by their runs.
#[derive(Debug)]
pub(super) struct ModelJudge {
    failures_max: u32,
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    name: ModelName,
    model: Arc<Model>,
    /// Runs of the one before it, and how many of them failed.
    before: (u64, u64),
}

impl ModelJudge {
    pub(super) fn new(work: &Work, old: &ModelSet, new: &ModelSet, exchanged: &Exchanged) -> Self {
        let changes = work.plan.models.iter();
        let changed = changes.filter(|it| matches!(it.change, Change::Added | Change::Replaced));
        let watched = changed.filter_map(|change| {
            let name = &change.model;
            let mut previous = exchanged.previous();
            let before = match previous.find(|(model, _)| *model == name) {
                Some((_, previous)) => Some(Arc::clone(previous)),
                None => old.get(name).map(|served| served.current()),
            };
            Some(Watched {
                name: name.clone(),
                model: new.get(name)?.current(),
                before: before.map(|model| fares(&model)).unwrap_or_default(),
            })
        });
        Self {
            failures_max: work.document.probation.model_failures_max,
            watched: watched.collect(),
        }
    }

    /// Looks at how they fare now.
    pub(super) fn look(&self) -> Vec<Failing> {
        let failing = |watched: &Watched| {
            let now = fares(&watched.model);
            let fails = fails(watched.before, now, self.failures_max);
            fails.then(|| Failing::Model {
                model: watched.name.clone(),
                failures: now.1,
                runs: now.0,
                max: self.failures_max,
            })
        };
        self.watched.iter().filter_map(failing).collect()
    }
}

fn fares(model: &Model) -> (u64, u64) {
    let status = model.run_status();
    (status.runs_total, status.failures_total)
}

/// More failures than may be, and a larger share than before.
fn fails(before: (u64, u64), now: (u64, u64), failures_max: u32) -> bool {
    let share = |(of, among): (u64, u64)| u128::from(of) * u128::from(among);
    let larger = before.0 == 0 || share((now.1, before.0)) > share((before.1, now.0));
    now.1 > u64::from(failures_max) && larger
}

#[cfg(test)]
mod tests {
    use super::fails;

    #[test]
    fn a_model_is_not_blamed_for_what_the_one_before_it_did_as_well() {
        // Runs and failures before; now; whether it fails with 2 tolerated.
        let cases = [
            ((0, 0), (10, 2), false),
            ((0, 0), (10, 3), true),
            ((1_000, 0), (10, 3), true),
            ((1_000, 300), (10, 3), false),
            ((1_000, 299), (10, 3), true),
            ((u64::MAX, u64::MAX), (u64::MAX, u64::MAX), false),
        ];
        for (before, now, fail) in cases {
            assert_eq!(fails(before, now, 2), fail, "{before:?} {now:?}");
        }
    }
}
