//! What plugins may reach: nothing twice, no topics of the host, and only models that
//! the document has.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::Rules;
use crate::deployment::document::fault::FaultKind;
use crate::deployment::document::suggest;
use crate::names::{ModelName, PluginName};
use crate::spec::{CaptureOptions, Grants};

/// The entries of a plugin's grants, as text with their places.
#[derive(Debug, Default)]
pub(crate) struct Granted(BTreeMap<&'static str, Vec<(String, usize)>>);

impl Granted {
    pub(crate) fn new(grants: &Grants, tree: &DeValue<'_>) -> Self {
        let entries = [
            ("publish", texts(&grants.publish)),
            ("subscribe", texts(&grants.subscribe)),
            ("tcp", texts(&grants.tcp)),
            ("udp", texts(&grants.udp)),
            ("models", texts(&grants.models)),
        ];
        let placed = entries.map(|(list, texts)| {
            let written = tree.get(list).and_then(|list| list.get_ref().as_array());
            let offsets = written.into_iter().flat_map(|list| list.iter());
            let offsets = offsets.map(|entry| entry.span().start);
            (list, texts.into_iter().zip(offsets).collect())
        });
        Self(placed.into())
    }

    fn list(&self, name: &str) -> &[(String, usize)] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn texts<T: Clone + Into<String>>(entries: &[T]) -> Vec<String> {
    entries.iter().cloned().map(Into::into).collect()
}

impl Rules<'_, '_> {
    pub(crate) fn grants(&mut self, plugin: &PluginName, granted: &Granted) {
        for (list, entries) in &granted.0 {
            self.duplicates(list, entries);
        }
        for (filter, offset) in granted.list("publish") {
            let Some(why) = reserved(filter) else {
                continue;
            };
            let filter = filter.clone();
            self.faults
                .push(*offset, FaultKind::ReservedTopic { filter, why });
        }
        for (model, offset) in granted.list("models") {
            self.models_granted.insert(model.clone());
            let mut declared = self.models.iter().map(ModelName::as_str);
            if declared.any(|name| name == model) {
                continue;
            }
            let declared = self.models.iter().map(ModelName::as_str);
            let help = suggest::or_list(model, declared);
            let kind = FaultKind::UnknownModel {
                plugin: plugin.to_string(),
                model: model.clone(),
            };
            self.faults.push_with(*offset, kind, help);
        }
    }

    fn duplicates(&mut self, list: &'static str, entries: &[(String, usize)]) {
        let mut seen = BTreeSet::new();
        for (entry, offset) in entries {
            if !seen.insert(entry) {
                let entry = entry.clone();
                self.faults
                    .push(*offset, FaultKind::Duplicate { entry, list });
            }
        }
    }

    /// Where a model's runs are captured is a topic that the host lends to no one.
    pub(crate) fn capture(&mut self, at: &str, capture: Option<&CaptureOptions>) {
        let topic = capture.and_then(|capture| capture.topic.as_ref());
        if let Some(reason) = topic.and_then(|topic| reserved(topic.as_str())) {
            let offset = self.places.nearest(&format!("{at}.capture.topic"));
            let kind = FaultKind::Invalid(reason.to_owned());
            self.faults.push(offset, kind);
        }
    }
}

/// Why nobody but the host may publish there, if so.
///
/// A filter that begins with a wildcard does not cover topics beginning with
/// `$` (MQTT 5.0 section 4.7.2), so only the first level decides.
fn reserved(filter: &str) -> Option<&'static str> {
    match filter.split('/').next() {
        Some("$selvedge") => Some("the host alone publishes under `$selvedge/`"),
        Some("$share") => Some("groups share subscriptions, not publications"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::reserved;

    #[test]
    fn only_the_first_level_reserves_a_topic() {
        for filter in ["$selvedge/#", "$selvedge", "$selvedge/log/a", "$share/g/a"] {
            assert!(reserved(filter).is_some(), "{filter}");
        }
        for filter in ["#", "+/state", "a/$selvedge/b", "$selvedges/a"] {
            assert!(reserved(filter).is_none(), "{filter}");
        }
    }
}
