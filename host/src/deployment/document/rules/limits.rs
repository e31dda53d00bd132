//! What plugins may cost, held against the host's ceilings: each limit by itself, the
//! memory of all together, and limits that do not fit each other.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Rules;
use crate::deployment::document::fault::FaultKind;
use crate::names::PluginName;
use crate::spec::Limits;

impl Rules<'_, '_> {
    pub(crate) fn limits(&mut self, plugin: &PluginName, limits: &Limits) {
        let at = |limit: &str| format!("plugins.{plugin}.limits.{limit}");
        let ceilings = numbers(&self.site.ceilings.plugin);
        let asked = numbers(limits);
        for (limit, value) in &asked {
            let ceiling = ceilings.get(limit).copied().unwrap_or(u64::MAX);
            if *value > ceiling {
                let kind = FaultKind::AboveCeiling {
                    limit: limit.clone(),
                    value: *value,
                    ceiling,
                };
                let raise = format!("raise `ceilings.plugin.{limit}` in the host's configuration");
                let help = if self.places.is_written(&at(limit)) {
                    raise
                } else {
                    format!("that is its default: set `limits.{limit}`, or {raise}")
                };
                let offset = self.places.nearest(&at(limit));
                self.faults.push_with(offset, kind, Some(help));
            }
        }
        self.total_memory(plugin, limits.memory_bytes_max.get());
        let largest = self.site.message_bytes_max;
        if limits.inbox_bytes_max.get() < largest {
            let kind = FaultKind::Doubtful(format!(
                "`inbox_bytes_max` is {}, below the largest message of {largest} bytes: larger messages are never delivered",
                limits.inbox_bytes_max
            ));
            let offset = self.places.nearest(&at("inbox_bytes_max"));
            self.faults.push(offset, kind);
        }
        if limits.batch_messages_max > limits.inbox_messages_max {
            let kind = FaultKind::Doubtful(format!(
                "`batch_messages_max` is {}, above `inbox_messages_max`, {}: batches are never that large",
                limits.batch_messages_max, limits.inbox_messages_max
            ));
            let offset = self.places.nearest(&at("batch_messages_max"));
            self.faults.push(offset, kind);
        }
    }

    fn total_memory(&mut self, plugin: &PluginName, bytes: u64) {
        let ceiling = self.site.ceilings.memory_bytes_max.get();
        let before = self.memory_bytes;
        self.memory_bytes = before.saturating_add(bytes);
        if before <= ceiling && self.memory_bytes > ceiling {
            let at = format!("plugins.{plugin}.limits.memory_bytes_max");
            let kind = FaultKind::Invalid(format!(
                "with plugin `{plugin}` the sum of `memory_bytes_max` is {}, above the host's ceiling of {ceiling}",
                self.memory_bytes
            ));
            self.faults.push(self.places.nearest(&at), kind);
        }
    }
}

/// The whole numbers of a flat structure by name.
fn numbers(of: &impl serde::Serialize) -> BTreeMap<String, u64> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_u64()?)))
            .collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::numbers;
    use crate::deployment::document::ceilings::PluginCeilings;
    use crate::spec::Limits;

    #[test]
    fn every_limit_has_a_ceiling_that_admits_its_default() {
        let ceilings = numbers(&PluginCeilings::default());
        let limits = numbers(&Limits::default());
        assert!(ceilings.keys().eq(limits.keys()));
        for (limit, value) in limits {
            assert!(value <= ceilings[&limit], "{limit}");
        }
    }
}
