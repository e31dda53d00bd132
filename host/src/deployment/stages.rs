//! What is done to a deployment before it touches what runs.
//!
//! Each stage goes through all plugins that it is asked for and finds all that
//! is wrong. Components are not kept between stages, for all together may be
//! larger than the memory: they are read and verified again, so what is compiled
//! is what was verified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use selvedge_registry::{Progress, Silent};
use selvedge_signing::{Origin, VerifiedArtifact};
use tracing::info;

use super::document::place::Place;
use super::document::{Document, Plugin};
use super::line::ReadyPlugin;
use super::plan::Needs;
use super::{DeployFault, Deployer, Located, load};
use crate::inference::{Chosen, ModelSet, NextModels};
use crate::names::{ModelName, PluginName};
use crate::runtime::{Admitted, PrepareError, Prepared};
use crate::spec::InstanceSpec;

/// Artifacts brought at once.
const PULLS_MAX: usize = 4;

/// What came out of a stage for each plugin, and what went wrong.
pub(super) type Staged<T> = (BTreeMap<PluginName, T>, Vec<Located>);

impl Located {
    /// `fault` of `plugin`, at the place to mend it.
    pub(super) fn of_plugin(document: &Document, name: &PluginName, fault: DeployFault) -> Self {
        Self {
            location: document.place_of(place_of(name, &fault)),
            plugin: Some(name.clone()),
            fault,
        }
    }

    /// `fault` of no plugin in particular, or of one that it names.
    pub(super) fn of_document(document: &Document, fault: DeployFault) -> Self {
        match &fault {
            DeployFault::Line(error) => {
                let plugin = error.plugin().clone();
                Self::of_plugin(document, &plugin, fault)
            }
            DeployFault::ModelFile { model, .. } | DeployFault::Model { model, .. } => Self {
                location: document.place_of(Place::Model(model)),
                plugin: None,
                fault,
            },
            _ => Self {
                location: document.place_of(Place::Document),
                plugin: None,
                fault,
            },
        }
    }
}

impl Deployer {
    /// Brings what the plugins are made from to this device.
    pub(super) async fn pull(
        &self,
        document: &Document,
        plugins: &BTreeSet<PluginName>,
        progress: impl Fn(&PluginName) -> Box<dyn Progress>,
    ) -> Vec<Located> {
        let mut work = Work::new();
        for (name, plugin) in wanted(document, plugins) {
            let progress = progress(name);
            let bring = async move {
                let brought = load::bring(self, plugin, &*progress).await;
                brought.map_err(|source| DeployFault::Component {
                    plugin: name.clone(),
                    source,
                })
            };
            work.push((name, bring.boxed()));
        }
        let mut faults = each(document, work, PULLS_MAX, |_| {}).await.1;
        faults.extend(self.pull_models(document).await);
        faults
    }

    /// Brings what the models are made from; what is in the store already is only
    /// looked for.
    async fn pull_models(&self, document: &Document) -> Vec<Located> {
        let models = document.models.iter();
        let bring = models.map(|(name, model)| async move {
            let brought = load::bring_model(self, model, &Silent).await;
            let fault = brought.map_err(|source| DeployFault::ModelFile {
                model: name.clone(),
                source,
            });
            Some(Located::of_document(document, fault.err()?))
        });
        let faults = stream::iter(bring.collect::<Vec<_>>()).buffered(PULLS_MAX);
        faults.filter_map(std::future::ready).collect().await
    }

    /// Says by whose word the plugins may run, what they need, and whether what
    /// they import and export fits what they are granted.
    pub(super) async fn verify(
        &self,
        document: &Document,
        plugins: &BTreeSet<PluginName>,
    ) -> Staged<Verified> {
        let mut work = Work::new();
        for (name, plugin) in wanted(document, plugins) {
            let verify = async move {
                let artifact = self.verified(document, name, plugin).await?;
                let spec = spec(name, plugin, &artifact);
                let verified = tokio::task::spawn_blocking(move || look(spec, artifact)).await;
                let verified = verified.map_err(|_| DeployFault::Interrupted)??;
                let origin = &verified.origin;
                info!(
                    plugin = name.as_str(),
                    digest = %origin.digest(),
                    package = %origin.package(),
                    plugin_version = %origin.version(),
                    publisher = origin.publisher(),
                    "plugin verified"
                );
                Ok(verified)
            };
            work.push((name, verify.boxed()));
        }
        each(document, work, self.compiling.max(), |_| {}).await
    }

    /// Makes native code of the plugins, and links it.
    pub(super) async fn compile(
        &self,
        document: &Document,
        plugins: &BTreeSet<PluginName>,
        done: impl Fn(&PluginName),
    ) -> Staged<ReadyPlugin> {
        let mut work = Work::new();
        for (name, plugin) in wanted(document, plugins) {
            work.push((name, self.ready(document, name, plugin).boxed()));
        }
        each(document, work, self.compiling.max(), done).await
    }

    async fn verified(
        &self,
        document: &Document,
        name: &PluginName,
        plugin: &Plugin,
    ) -> Result<VerifiedArtifact, DeployFault> {
        let artifact = load::artifact(self, document, name, plugin).await;
        artifact.map_err(|source| DeployFault::Component {
            plugin: name.clone(),
            source,
        })
    }

    async fn ready(
        &self,
        document: &Document,
        name: &PluginName,
        plugin: &Plugin,
    ) -> Result<ReadyPlugin, DeployFault> {
        let artifact = self.verified(document, name, plugin).await?;
        let spec = spec(name, plugin, &artifact);
        let (engine, cache) = (self.engine.clone(), Arc::clone(&self.cache));
        let compile = move || {
            let needs = needs(&spec.plugin, &artifact)?;
            Ok::<_, PrepareError>(ReadyPlugin {
                prepared: Prepared::new(&engine, &cache, spec, &artifact)?,
                origin: artifact.into_origin(),
                needs,
            })
        };
        let compiled = self.compiling.take(compile).await;
        Ok(compiled.ok_or(DeployFault::Interrupted)??)
    }

    /// The models of a deployment: those that `changed` names are loaded and tried
    /// out, the others are those of `before`. Nothing serves yet.
    pub(super) async fn models(
        &self,
        document: &Arc<Document>,
        before: Arc<ModelSet>,
        changed: BTreeSet<ModelName>,
    ) -> Result<NextModels, Vec<Located>> {
        let (next, faults) = self
            .models_that_load(document, before, changed, BTreeMap::new())
            .await;
        if faults.is_empty() {
            Ok(next)
        } else {
            Err(faults)
        }
    }

    /// The same, but without those that cannot be loaded; and why not. What
    /// computes them is what is `recorded`.
    pub(super) async fn models_that_load(
        &self,
        document: &Arc<Document>,
        before: Arc<ModelSet>,
        changed: BTreeSet<ModelName>,
        recorded: BTreeMap<ModelName, Chosen>,
    ) -> (NextModels, Vec<Located>) {
        let asked = Arc::clone(document);
        let (document, deployer) = (Arc::clone(document), self.clone());
        let load = move || {
            let (mut faults, mut changes) = (Vec::new(), Vec::new());
            // Loading them all to find that they are too many could cost all memory.
            if let Err(source) = deployer.models.fits(document.models.len()) {
                let fault = DeployFault::Models(source);
                faults.push(Located::of_document(&document, fault));
                return (NextModels::default(), faults);
            }
            for name in changed {
                let model = document.models.get(&name);
                let recorded = recorded.get(&name);
                let load = |model| load::prepared(&deployer, &document, (&name, model), recorded);
                match model.map(load) {
                    Some(Ok(model)) => changes.push((name, Some(model))),
                    Some(Err(fault)) => faults.push(Located::of_document(&document, fault)),
                    None => changes.push((name, None)),
                }
            }
            let shadows = document.models.iter().filter_map(|(name, model)| {
                let shadow = model.shadow.clone()?;
                Some((name.clone(), shadow))
            });
            let shadows = shadows.collect();
            let store = &deployer.models;
            let next = store.next(&before, changes.clone(), &shadows);
            let next = next.or_else(|source| {
                let fault = DeployFault::Models(source);
                faults.push(Located::of_document(&document, fault));
                // What serves does not depend on what is tried out beside it.
                store.next(&before, changes, &BTreeMap::new())
            });
            (next.unwrap_or_default(), faults)
        };
        let loaded = self.loading.take(load).await;
        loaded.unwrap_or_else(|| {
            let interrupted = Located::of_document(&asked, DeployFault::Interrupted);
            (NextModels::default(), vec![interrupted])
        })
    }
}

/// What is known of a plugin once it is verified.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) origin: Origin,
    pub(super) needs: Needs,
    /// Why it is not admitted, if so.
    pub(super) refused: Option<PrepareError>,
}

/// What an instance of `plugin` is made from.
fn spec(name: &PluginName, plugin: &Plugin, artifact: &VerifiedArtifact) -> InstanceSpec {
    InstanceSpec {
        plugin: name.clone(),
        digest: artifact.origin().component_digest(),
        config: plugin.config.clone(),
        grants: plugin.grants.clone(),
        limits: plugin.limits.clone(),
    }
}

/// Reads the component, and compiles nothing.
fn look(spec: InstanceSpec, artifact: VerifiedArtifact) -> Result<Verified, PrepareError> {
    Ok(Verified {
        needs: needs(&spec.plugin, &artifact)?,
        refused: Admitted::check(spec, &artifact).err(),
        origin: artifact.into_origin(),
    })
}

fn needs(plugin: &PluginName, artifact: &VerifiedArtifact) -> Result<Needs, PrepareError> {
    Needs::of(artifact).map_err(|source| PrepareError::Component {
        plugin: plugin.clone(),
        source,
    })
}

/// What is to be done for each plugin.
type Work<'a, T> = Vec<(&'a PluginName, BoxFuture<'a, Result<T, DeployFault>>)>;

fn wanted<'a>(
    document: &'a Document,
    plugins: &BTreeSet<PluginName>,
) -> impl Iterator<Item = (&'a PluginName, &'a Plugin)> {
    let all = document.plugins.iter();
    all.filter(|(name, _)| plugins.contains(*name))
}

/// Does all of `work`, so much at once.
async fn each<T>(
    document: &Document,
    work: Work<'_, T>,
    at_once: usize,
    done: impl Fn(&PluginName),
) -> Staged<T> {
    let (names, work): (Vec<_>, Vec<_>) = work.into_iter().unzip();
    let mut outcomes = stream::iter(work).buffered(at_once.max(1));
    let (mut ready, mut faults) = (BTreeMap::new(), Vec::new());
    for name in names {
        match outcomes.next().await {
            Some(Ok(outcome)) => {
                done(name);
                ready.insert(name.clone(), outcome);
            }
            Some(Err(fault)) => faults.push(Located::of_plugin(document, name, fault)),
            None => break,
        }
    }
    drop(outcomes);
    (ready, faults)
}

/// The part of the document that an operator would change to mend `fault`.
fn place_of<'a>(plugin: &'a PluginName, fault: &DeployFault) -> Place<'a> {
    match fault {
        DeployFault::Component { .. }
        | DeployFault::Prepare(PrepareError::Component { .. } | PrepareError::Compile { .. }) => {
            Place::PluginField(plugin, "component")
        }
        DeployFault::Prepare(PrepareError::NotAdmitted(_)) => Place::PluginField(plugin, "grants"),
        _ => Place::Plugin(plugin),
    }
}
