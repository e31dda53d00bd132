//! What differs between two documents, by name.
//!
//! Two plugins are the same if what they are made from, what they may reach, what
//! they may cost and the models that they may load are the same, bytes included.

use crate::deployment::document::component_source::{ComponentSource, FilePath};
use crate::deployment::document::{Document, Plugin};
use crate::deployment::plan::{Change, ModelChange, Plan, PluginChange};
use crate::names::{Digest, ModelName, PluginName};

/// What `new` changes of `old`.
pub(super) fn compare(old: Option<&Document>, new: &Document) -> Plan {
    let old_plugins = old.into_iter().flat_map(|old| old.plugins.keys());
    let mut names: Vec<_> = old_plugins.chain(new.plugins.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let plugins = names.into_iter().map(|name| plugin(old, new, name));
    let old_models = old.into_iter().flat_map(|old| old.models.keys());
    let mut models: Vec<_> = old_models.chain(new.models.keys()).collect();
    models.sort_unstable();
    models.dedup();
    let models = models.into_iter().filter_map(|name| model(old, new, name));
    Plan {
        plugins: plugins.collect(),
        models: models.collect(),
    }
}

fn plugin(old: Option<&Document>, new: &Document, name: &PluginName) -> PluginChange {
    let before = old.and_then(|old| Some((old, old.plugins.get(name)?)));
    let after = new.plugins.get(name);
    let mut differs = Vec::new();
    let change = match (before, after) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        (Some((old, before)), Some(after)) => {
            differs = differences((old, before), (new, after));
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

fn differences(old: (&Document, &Plugin), new: (&Document, &Plugin)) -> Vec<String> {
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
    let models = models.filter(|model| !same_model(old_document, new_document, model));
    parts
        .chain(models.map(|model| format!("model {model}")))
        .collect()
}

fn model(old: Option<&Document>, new: &Document, name: &ModelName) -> Option<ModelChange> {
    let before = old.is_some_and(|old| old.models.contains_key(name));
    let change = match (before, new.models.contains_key(name)) {
        (false, _) => Change::Added,
        (true, false) => Change::Removed,
        (true, true) if old.is_some_and(|old| same_model(old, new, name)) => return None,
        (true, true) => Change::Replaced,
    };
    let model = name.clone();
    Some(ModelChange { model, change })
}

fn same_model(old: &Document, new: &Document, name: &ModelName) -> bool {
    let of = |document: &Document| {
        let model = document.models.get(name)?.clone();
        let golden = model
            .golden
            .as_ref()
            .and_then(|path| handed(document, path));
        let bytes = handed(document, &model.path);
        Some((model, bytes, golden))
    };
    of(old) == of(new)
}

fn handed(document: &Document, path: &FilePath) -> Option<Digest> {
    document.files().digest(path)
}
