//! Finds what differs between two deployments.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Change, ModelChange, ModelNeeds, Needs, Plan, PluginChange, Side};
use crate::deployment::document::Plugin;
use crate::deployment::document::fault::plain;
use crate::deployment::rights::{self, Party};
use crate::names::{ModelName, PluginName};

/// Differences of one plugin that are named; the rest are counted.
const DIFFERS_MAX: usize = 32;

/// What becomes of `old`, if anything runs, when `new` takes its place.
///
/// A plugin is untouched if its artifact, configuration, grants, limits and the
/// models it is granted are the same.
pub fn compare(old: Option<Side<'_>>, new: Side<'_>) -> Plan {
    let models = models(old, new);
    let names = old.into_iter().flat_map(|old| old.document.plugins.keys());
    let names: BTreeSet<_> = names.chain(new.document.plugins.keys()).collect();
    let loaded = models.iter().filter(|change| change.loads());
    let changed: BTreeSet<_> = loaded.map(|change| &change.model).collect();
    let plugin = |name: &PluginName| {
        let before = old.and_then(|old| party(old, name));
        plugin_change(name, before, party(new, name), &changed)
    };
    let plugins = names.into_iter().map(plugin).collect();
    Plan { plugins, models }
}

fn party<'a>(side: Side<'a>, name: &PluginName) -> Option<Party<'a>> {
    Some(Party {
        plugin: side.document.plugins.get(name)?,
        needs: side.plugins.get(name),
    })
}

fn plugin_change(
    name: &PluginName,
    before: Option<Party<'_>>,
    after: Option<Party<'_>>,
    models: &BTreeSet<&ModelName>,
) -> PluginChange {
    let version = |party: Option<Party<'_>>| Some(party?.needs?.version.clone());
    let differs = match (before, after) {
        (Some(before), Some(after)) => differences(before, after, models),
        _ => Vec::new(),
    };
    let change = match (before, after) {
        (Some(before), Some(after)) if component(before) != component(after) => Change::Replaced,
        (Some(_), Some(_)) if differs.is_empty() => Change::Untouched,
        (Some(_), Some(_)) => Change::Reconfigured,
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
    };
    let widens = after.map_or_else(Vec::new, |after| rights::widened(before, after));
    PluginChange {
        plugin: name.clone(),
        change,
        from: version(before),
        to: version(after),
        differs: bounded(differs),
        widens,
    }
}

/// What is compared of the component: where nothing is known of it, what the
/// document calls it.
fn component<'a>(party: Party<'a>) -> Result<crate::names::Digest, &'a Plugin> {
    let needs: Option<&Needs> = party.needs;
    needs.map(|needs| needs.component).ok_or(party.plugin)
}

fn differences(before: Party<'_>, after: Party<'_>, models: &BTreeSet<&ModelName>) -> Vec<String> {
    let (old, new) = (before.plugin, after.plugin);
    let mut differs = Vec::new();
    // The same component, released anew: what is said of it may be new.
    if component(before) == component(after)
        && before.needs.map(|needs| needs.artifact) != after.needs.map(|needs| needs.artifact)
    {
        differs.push("artifact".to_owned());
    }
    let fields = |prefix: &str, old: &Value, new: &Value| {
        let (old, new) = (old.as_object(), new.as_object());
        let keys = old.into_iter().chain(new).flat_map(|fields| fields.keys());
        let keys: BTreeSet<_> = keys.collect();
        let value = |of: Option<&serde_json::Map<String, Value>>, key: &str| of?.get(key).cloned();
        let differ = keys
            .into_iter()
            .filter(|key| value(old, key) != value(new, key));
        differ
            .map(|key| format!("{prefix}.{}", plain(key)))
            .collect::<Vec<_>>()
    };
    let config = (
        Value::from(old.config.clone()),
        Value::from(new.config.clone()),
    );
    differs.extend(fields("config", &config.0, &config.1));
    let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
    let grants = (
        serde_json::to_value(&old.grants),
        serde_json::to_value(&new.grants),
    );
    differs.extend(fields("grants", &json(grants.0), &json(grants.1)));
    let limits = (
        serde_json::to_value(&old.limits),
        serde_json::to_value(&new.limits),
    );
    differs.extend(fields("limits", &json(limits.0), &json(limits.1)));
    let granted = new
        .grants
        .models
        .iter()
        .filter(|model| models.contains(model));
    differs.extend(granted.map(model_differs));
    differs
}

/// How it is said of a plugin that a model of it differs.
pub(super) fn model_differs(model: &ModelName) -> String {
    format!("model {model}")
}

fn bounded(mut differs: Vec<String>) -> Vec<String> {
    let more = differs.len().saturating_sub(DIFFERS_MAX);
    if more > 0 {
        differs.truncate(DIFFERS_MAX);
        differs.push(format!("{more} more"));
    }
    differs
}

/// The models that are not the same, by name.
fn models(old: Option<Side<'_>>, new: Side<'_>) -> Vec<ModelChange> {
    let none = BTreeMap::new();
    let old: &BTreeMap<ModelName, ModelNeeds> = old.map_or(&none, |old| old.models);
    let names: BTreeSet<_> = old.keys().chain(new.models.keys()).collect();
    let change = |model: &ModelName| {
        let change = match (old.get(model), new.models.get(model)) {
            (Some(before), Some(after)) if before == after => return None,
            (Some(before), Some(after)) if before.is_same(after) => Change::Reconfigured,
            (Some(_), Some(_)) => Change::Replaced,
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
        };
        Some(ModelChange::undecided(model, change))
    };
    names.into_iter().filter_map(change).collect()
}
