//! What differs between what runs and what is to run.
//!
//! At a glance, before anything is brought: two plugins are the same if what they are made from, what they may reach, what
//! they may cost and the models that they may load are the same, bytes included.

use std::collections::{BTreeMap, BTreeSet};

use super::Deployments;
use crate::deployment::document::component_source::{ComponentSource, FilePath};
use crate::deployment::document::{Document, Model, Plugin};
use crate::deployment::plan::{
    self, Change, ModelChange, ModelNeeds, Needs, Plan, PluginChange, Side,
};
use crate::names::{Digest, ModelName, PluginName};

impl Deployments {
    /// What `document` changes of what runs, by all that is known; `needs` is of
    /// the plugins that were verified for it.
    pub(super) fn compared(
        &self,
        document: &Document,
        mut needs: BTreeMap<PluginName, Needs>,
    ) -> Plan {
        let occupants = self.0.deployer.line.occupants().into_iter();
        let of_running = occupants.map(|(name, occupant)| (name, Needs::clone(&occupant.needs)));
        let of_running: BTreeMap<_, _> = of_running.collect();
        for (name, running) in &of_running {
            if document.plugins.contains_key(name) {
                needs.entry(name.clone()).or_insert_with(|| running.clone());
            }
        }
        let running = self.running();
        let idle = self.idle_models(document);
        let old_models = running.as_ref().map(|running| {
            let mut models = models(&running.document);
            models.retain(|name, _| !idle.contains(name));
            models
        });
        let new_models = models(document);
        let old = running.as_ref().zip(old_models.as_ref());
        let old = old.map(|(running, models)| Side {
            document: &running.document,
            plugins: &of_running,
            models,
        });
        let new = Side {
            document,
            plugins: &needs,
            models: &new_models,
        };
        plan::compare(old, new)
    }
}

/// What the models of a document are.
fn models(document: &Document) -> BTreeMap<ModelName, ModelNeeds> {
    let needs = |(name, model): (&ModelName, &Model)| {
        let needs = ModelNeeds {
            file: document.model_digest(model)?,
            golden: model
                .golden
                .as_ref()
                .and_then(|path| handed(document, path)),
            backend: model.backend.unwrap_or_default(),
            target: model.target.unwrap_or_default(),
            run: model.run.unwrap_or_default(),
            artifact: model.artifact.as_ref().map(|_| Model {
                shadow: None,
                ..model.clone()
            }),
            shadow: model.shadow.clone(),
        };
        Some((name.clone(), needs))
    };
    document.models.iter().filter_map(needs).collect()
}

/// What `new` changes of `old`, as far as the documents say; those of its models
/// that are `idle` are not there.
pub(super) fn glance(old: Option<&Document>, new: &Document, idle: &BTreeSet<ModelName>) -> Plan {
    let old_plugins = old.into_iter().flat_map(|old| old.plugins.keys());
    let mut names: Vec<_> = old_plugins.chain(new.plugins.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let plugins = names.into_iter().map(|name| plugin(old, (new, idle), name));
    let old_models = old.into_iter().flat_map(|old| old.models.keys());
    let mut models: Vec<_> = old_models.chain(new.models.keys()).collect();
    models.sort_unstable();
    models.dedup();
    let models = models
        .into_iter()
        .filter_map(|name| model(old, (new, idle), name));
    Plan {
        plugins: plugins.collect(),
        models: models.collect(),
    }
}

/// A document, and those of its models that serve nobody.
type Wanted<'a> = (&'a Document, &'a BTreeSet<ModelName>);

fn plugin(old: Option<&Document>, (new, idle): Wanted<'_>, name: &PluginName) -> PluginChange {
    let before = old.and_then(|old| Some((old, old.plugins.get(name)?)));
    let after = new.plugins.get(name);
    let mut differs = Vec::new();
    let change = match (before, after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (Some((old, before)), Some(after)) => {
            differs = differences((old, before), (new, after), idle);
            match differs.first().map(String::as_str) {
                None => Change::Untouched,
                Some("component") => Change::Replaced,
                Some(_) => Change::Reconfigured,
            }
        }
    };
    PluginChange {
        plugin: name.clone(),
        change,
        from: None,
        to: None,
        differs,
        widens: Vec::new(),
    }
}

fn differences(
    old: (&Document, &Plugin),
    new: (&Document, &Plugin),
    idle: &BTreeSet<ModelName>,
) -> Vec<String> {
    let ((old_document, old), (new_document, new)) = (old, new);
    let made_from = |document: &Document, plugin: &Plugin| match &plugin.component {
        ComponentSource::File(path) => handed(document, path),
        _ => None,
    };
    let same_component = old.component == new.component
        && old.digest == new.digest
        && made_from(old_document, old) == made_from(new_document, new);
    let parts = [
        ("component", same_component),
        ("config", old.config == new.config),
        ("grants", old.grants == new.grants),
        ("limits", old.limits == new.limits),
    ];
    let parts = parts.into_iter().filter(|(_, same)| !same);
    let parts = parts.map(|(part, _)| part.to_owned());
    let models = new.grants.models.iter();
    let same = |model: &ModelName| same_model(old_document, new_document, model);
    let models = models.filter(|model| idle.contains(*model) || !same(model));
    parts
        .chain(models.map(|model| format!("model {model}")))
        .collect()
}

fn model(old: Option<&Document>, (new, idle): Wanted<'_>, name: &ModelName) -> Option<ModelChange> {
    let before = old.is_some_and(|old| old.models.contains_key(name)) && !idle.contains(name);
    let change = match (before, new.models.contains_key(name)) {
        (false, _) => Change::Added,
        (true, false) => Change::Removed,
        (true, true) if old.is_some_and(|old| same_model(old, new, name)) => {
            let shadow = |document: &Document| document.models.get(name)?.shadow.clone();
            if old.and_then(shadow) == shadow(new) {
                return None;
            }
            Change::Reconfigured
        }
        (true, true) => Change::Replaced,
    };
    Some(ModelChange::undecided(name, change))
}

fn same_model(old: &Document, new: &Document, name: &ModelName) -> bool {
    let of = |document: &Document| {
        let shadow = None;
        let model = document.models.get(name)?.clone();
        let model = Model { shadow, ..model };
        let golden = model
            .golden
            .as_ref()
            .and_then(|path| handed(document, path));
        let bytes = document.model_digest(&model);
        Some((model, bytes, golden))
    };
    of(old) == of(new)
}

fn handed(document: &Document, path: &FilePath) -> Option<Digest> {
    document.files().digest(path)
}
