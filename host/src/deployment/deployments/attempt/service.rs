//! The part of a deployment that touches what runs: successors take over, are
//! watched, and stay or are undone.
//!
//! Predecessors are let go of once it is on the disk that the successors stay,
//! never before.

use std::collections::BTreeMap;
use std::sync::Arc;

use selvedge_signing::Origin;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

use super::models::{ModelJudge, told_of, users};
use super::{Attempt, Break, Work, all_told, told};
use crate::deployment::deployments::probation::{Failing, Judge, rhythm};
use crate::deployment::deployments::state::interrupted;
use crate::deployment::deployments::watch::Watch;
use crate::deployment::deployments::{Running, fault_point};
use crate::deployment::document::Document;
use crate::deployment::document::fault::plain;
use crate::deployment::line::{Ready, ReadyPlugin, Swapped, Warm};
use crate::deployment::report::{ComputedBy, DeploymentReport, Event, FaultReport, Phase};
use crate::deployment::{DeployFault, Located};
use crate::error_chain::ErrorChain;
use crate::inference::{Exchanged, NextModels};
use crate::names::PluginName;

/// What is ready to take over.
struct Successors {
    warm: Warm,
    models: NextModels,
}

/// What took over, and what is needed to keep or undo it.
struct InService {
    swapped: Swapped,
    exchanged: Exchanged,
    watch: Watch,
    judge: Judge,
    models: ModelJudge,
    running: Running,
}

impl Attempt<'_> {
    /// Everything is there: successors are made, take over and are watched.
    pub(super) async fn put_in_service(
        &self,
        work: Work,
        plugins: BTreeMap<PluginName, ReadyPlugin>,
        models: NextModels,
    ) -> Result<(), Break> {
        let plan = work.plan.clone();
        let computed_by = ComputedBy::of(&models.set, &models.exchanges);
        let told = move |report: &mut DeploymentReport| {
            report.plan = Some(plan);
            report.computed_by = computed_by;
        };
        self.enter("prepare", Phase::Prepare, told).await?;
        let inner = &self.deployments.0;
        let stopped = || inner.ledger.read(|state| state.stopped.clone());
        let ready = Ready {
            deployment: self.id,
            plugins,
            removed: work.removed.clone(),
            stopped: stopped(),
            models: Arc::clone(&models.set),
        };
        fault_point::before("warm-up");
        let warm = self.unless(inner.deployer.line.warm_up(ready)).await?;
        fault_point::after("warm-up");
        let of_document = |fault| Located::of_document(&work.document, fault);
        let mut warm = warm.map_err(|error| all_told(&[of_document(error.into())]))?;
        // Operators stop and start plugins before the swap or after it; however
        // long successors take to be made, they need not wait for that.
        let changing = inner.changing.lock().await;
        warm.rest(&stopped());
        self.enter("swap", Phase::Swap, |_| {}).await?;
        let successors = Successors { warm, models };
        let swapped = self.swap(&work, successors).await;
        drop(changing);
        let in_service = match swapped {
            Ok(in_service) => in_service,
            Err(faults) => {
                self.end("roll-back", Phase::RolledBack, faults).await;
                return Ok(());
            }
        };
        self.watch_over(&work, in_service).await;
        Ok(())
    }

    /// Lets the successors take over; on a fault everything is as it was.
    async fn swap(
        &self,
        work: &Work,
        successors: Successors,
    ) -> Result<InService, Vec<FaultReport>> {
        let inner = &self.deployments.0;
        let at = |fault: DeployFault| vec![told(&Located::of_document(&work.document, fault))];
        let before: Vec<_> = self.deployments.origins();
        let accepted = successors.warm.origins();
        let stay = inner.deployer.line.origins().into_iter();
        let stay = stay.filter(|(name, _)| {
            let named = work.document.plugins.contains_key(name);
            named && !work.changed.contains(name)
        });
        let models = inner
            .deployer
            .model_origins
            .of(&work.document)
            .into_values();
        let accepted = accepted
            .into_iter()
            .chain(stay.map(|(_, origin)| origin))
            .chain(models)
            .chain(inner.beside.origins());
        let supervisor = &inner.deployer.supervisor;
        let line = &inner.deployer.line;
        // Those whose models change behind them count as changed.
        let mut judged = work.changed.clone();
        judged.extend(users(work, &successors.models));
        let watch = Watch::begin(&inner.bus, line, supervisor, judged);
        let mut watch = watch.map_err(|error| {
            let message = ErrorChain(&error).to_string();
            vec![interrupted(&message)]
        })?;
        inner.operated.lock().clear();
        fault_point::before("accept");
        let accepted = accepted.map(|origin| Origin::clone(&origin)).collect();
        if let Err(fault) = inner.deployer.accept(accepted).await {
            self.accept_again(&before).await;
            return Err(at(fault));
        }
        fault_point::after("accept");
        let predecessors = watch.predecessors();
        fault_point::before("take-over");
        let swapped = line.swap(successors.warm).await;
        fault_point::after("take-over");
        let swapped = match swapped {
            Ok(swapped) => swapped,
            Err(error) => {
                self.accept_again(&before).await;
                self.deployments.miss();
                return Err(at(error.into()));
            }
        };
        let models = successors.models;
        let exchanged = models.exchanges.make();
        told_of(&models.set, &exchanged);
        let deployer = &inner.deployer;
        deployer.withdraw_revoked(&work.document, &models.set);
        let (watched, begin) = (watch.watched(&predecessors), watch.fares());
        Ok(InService {
            swapped,
            judge: Judge::new(work.document.probation, watched, begin),
            models: ModelJudge::new(work, &self.deployments.models(), &models.set, &exchanged),
            exchanged,
            watch,
            running: Running {
                document: Arc::clone(&work.document),
                models: models.set,
            },
        })
    }

    /// The deployment runs: it is watched, and kept or undone.
    async fn watch_over(&self, work: &Work, in_service: InService) {
        let InService {
            swapped,
            exchanged,
            mut watch,
            judge,
            models,
            running,
        } = in_service;
        let reports = swapped.reports.clone();
        let told = reports.clone();
        let entered = self.enter("probation", Phase::Probation, move |report| {
            report.swaps = told
        });
        if let Err(fault) = entered.await {
            return self.undo(swapped, exchanged, fault).await;
        }
        for swap in reports {
            let deployment = self.id;
            self.deployments
                .0
                .news
                .tell(Event::Swapped { deployment, swap });
        }
        let (name, version) = (
            work.document.name.as_str(),
            work.document.version.to_string(),
        );
        info!(
            deployment = name,
            deployment_version = version,
            id = self.id.0,
            "deployment started"
        );
        let operated = self.deployments.0.operated.lock().clone();
        let kept = match watch.during_swap(&operated) {
            failing if failing.is_empty() => self.probation(work, &mut watch, judge, &models).await,
            failing => Err(failing_of(&work.document, &failing)),
        };
        // Whoever hears that it stays is to find what stays.
        let before = self.deployments.running();
        let kept = match kept {
            Ok(()) => self.keep(&work.document, running).await,
            Err(broken) => Err(broken),
        };
        if kept.is_err() {
            self.deployments.in_force(before);
        }
        match kept {
            // Only now may the predecessors go.
            Ok(()) => {
                swapped.stay();
                drop(exchanged);
            }
            // The next start finds that it was not kept, and goes back.
            Err(Break::Stopping) => {}
            Err(broken) => self.undo(swapped, exchanged, broken).await,
        }
    }

    /// It is what runs, and what the device accepted last: a model that was loaded
    /// beside it meanwhile was accepted with what ran before.
    async fn keep(&self, document: &Arc<Document>, running: Running) -> Result<(), Break> {
        let changing = self.deployments.0.changing.lock().await;
        self.deployments.set_running(running);
        let origins = self.deployments.origins();
        let origins = origins.iter().map(|origin| Origin::clone(origin)).collect();
        let accepted = self.deployments.0.deployer.accept(origins).await;
        drop(changing);
        accepted.map_err(|fault| all_told(&[Located::of_document(document, fault)]))?;
        self.commit(document, |_| {}).await
    }

    /// Watches until it is certain that the deployment may stay.
    async fn probation(
        &self,
        work: &Work,
        watch: &mut Watch,
        mut judge: Judge,
        models: &ModelJudge,
    ) -> Result<(), Break> {
        let (whole, look) = rhythm(work.document.probation);
        let end = Instant::now() + whole;
        let operated = &self.deployments.0.operated;
        while Instant::now() < end {
            let operated = || operated.lock().clone();
            let next = end.min(Instant::now() + look);
            let failing = self
                .unless(timeout_at(next, watch.failure(operated)))
                .await?;
            let look = |_| [judge.look(&watch.fares()), models.look()].concat();
            let failing = failing.unwrap_or_else(look);
            if !failing.is_empty() {
                return Err(failing_of(&work.document, &failing));
            }
        }
        self.unless(std::future::ready(())).await
    }

    /// Puts everything back, and remembers that it was.
    async fn undo(&self, swapped: Swapped, exchanged: Exchanged, broken: Break) {
        let inner = &self.deployments.0;
        let changing = inner.changing.lock().await;
        let stopped = inner.ledger.read(|state| state.stopped.clone());
        fault_point::before("undo");
        // What was revoked meanwhile must not serve again, however short a time.
        if let Some(running) = self.deployments.running() {
            let document = &running.document;
            inner.deployer.withdraw_replaced(document, &exchanged);
        }
        exchanged.undo();
        inner.deployer.line.undo(swapped, &stopped).await;
        fault_point::after("undo");
        // Models as well: else the next start would refuse those that serve again.
        self.accept_again(&self.deployments.origins()).await;
        drop(changing);
        self.deployments.miss();
        // What was revoked meanwhile must not come back with the others.
        self.deployments.take_off_revoked().await;
        match broken {
            Break::Superseded => self.end("supersede", Phase::Superseded, Vec::new()).await,
            Break::Faults(faults) => self.end("roll-back", Phase::RolledBack, faults).await,
            Break::Stopping => {}
        }
    }

    /// What ran before runs again: it is what the device accepted last.
    async fn accept_again(&self, origins: &[Arc<Origin>]) {
        let origins = origins.iter().map(|origin| Origin::clone(origin)).collect();
        let accepted = self.deployments.0.deployer.accept(origins).await;
        if let Err(error) = accepted {
            let (code, error) = (error.code(), ErrorChain(&error).to_string());
            error!(code, error, "what runs again was not remembered");
        }
    }
}

fn failing_of(document: &Document, failing: &[Failing]) -> Break {
    let told = |failing: &Failing| FaultReport {
        code: failing.code().to_owned(),
        message: plain(&failing.to_string()),
        plugin: failing.plugin().cloned(),
        place: Some(document.place_of(failing.place()).to_string()),
        help: None,
    };
    Break::Faults(failing.iter().map(told).collect())
}
