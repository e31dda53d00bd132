//! Whether a deployment may stay, by how its plugins fare.
//!
//! Pure: it is shown how each plugin fares, again and again, and says what is
//! wrong. A plugin is not blamed for what its predecessor did as well.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::deployment::document::place::Place;
use crate::deployment::document::probation::Probation;
use crate::names::{ModelName, PluginName};

/// Looks in a probation, unless it is very long or very short.
const LOOKS: u32 = 20;
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Looks before a plugin is called slow.
const LOOKS_MIN: u32 = 3;
/// How full an inbox is that is called full, in percent.
const FULL_PERCENT: u64 = 80;

/// How a plugin fares at one moment. Totals only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fare {
    pub(super) inbox_messages: u64,
    pub(super) inbox_bytes: u64,
    pub(super) dropped_total: u64,
    pub(super) dead_letters_total: u64,
    pub(super) rate_limited_total: u64,
    pub(super) looped_total: u64,
}

/// A new or changed plugin, and what it is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) inbox_messages_max: u64,
    pub(super) inbox_bytes_max: u64,
    /// Whether dropping is not what its document asks for.
    pub(super) blocks: bool,
    /// How its predecessor fared, if it had one.
    pub(super) predecessor: Option<Before>,
}

/// How a predecessor fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) full: bool,
    pub(super) dropped: bool,
    pub(super) flooded: bool,
}

/// What is wrong with a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failing {
    #[error("plugin `{plugin}` failed: {error}")]
    Failed { plugin: PluginName, error: String },
    #[error("plugin `{plugin}` stopped though nobody stopped it")]
    Stopped { plugin: PluginName },
    #[error("{count} messages became dead letters, at the last `{plugin}`'s; {max} are tolerated")]
    DeadLetters {
        plugin: PluginName,
        count: u64,
        max: u32,
    },
    #[error("plugin `{plugin}` is slower than the inflow: its inbox was full most of the time")]
    Slow { plugin: PluginName },
    #[error("plugin `{plugin}` is slower than the inflow: its inbox dropped {count} messages")]
    Drops { plugin: PluginName, count: u64 },
    #[error("topics form a cycle: messages of plugin `{plugin}` passed through too many plugins")]
    Loops { plugin: PluginName },
    #[error("{failures} of {runs} runs of model `{model}` failed; {max} are tolerated")]
    Model {
        model: ModelName,
        failures: u64,
        runs: u64,
        max: u32,
    },
    #[error("plugin `{plugin}` floods: it publishes more than its limit, or feeds itself")]
    Floods { plugin: PluginName },
}

impl Failing {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "plugin-failed",
            Self::Stopped { .. } => "plugin-stopped",
            Self::DeadLetters { .. } => "too-many-dead-letters",
            Self::Slow { .. } | Self::Drops { .. } => "slower-than-inflow",
            Self::Loops { .. } => "topics-form-a-cycle",
            Self::Floods { .. } => "plugin-floods",
            Self::Model { .. } => "model-failed",
        }
    }

    /// The plugin that it is about.
    pub(super) fn plugin(&self) -> Option<&PluginName> {
        match self {
            Self::Model { .. } => None,
            Self::Failed { plugin, .. }
            | Self::Stopped { plugin }
            | Self::DeadLetters { plugin, .. }
            | Self::Slow { plugin }
            | Self::Drops { plugin, .. }
            | Self::Loops { plugin }
            | Self::Floods { plugin } => Some(plugin),
        }
    }

    /// Where the document asks for it.
    pub(super) fn place(&self) -> Place<'_> {
        match self {
            Self::Model { model, .. } => Place::Model(model),
            _ => self.plugin().map_or(Place::Document, Place::Plugin),
        }
    }
}

impl Fare {
    pub(super) fn is_full(&self, messages_max: u64, bytes_max: u64) -> bool {
        let full =
            |waiting: u64, max: u64| waiting.saturating_mul(100) > max.saturating_mul(FULL_PERCENT);
        full(self.inbox_messages, messages_max) || full(self.inbox_bytes, bytes_max)
    }
}

/// How long it lasts and how often one looks.
pub(super) fn rhythm(rules: Probation) -> (Duration, Duration) {
    let whole = Duration::from_secs(rules.seconds.into());
    (whole, (whole / LOOKS).clamp(LOOK_MIN, LOOK_MAX))
}

/// Judges the new and changed plugins of one deployment.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Probation,
    watched: BTreeMap<PluginName, Watched>,
    /// How they fared when they began.
    begin: BTreeMap<PluginName, Fare>,
    full: BTreeMap<PluginName, u32>,
    looks: u32,
}

impl Judge {
    pub(super) fn new(
        rules: Probation,
        watched: BTreeMap<PluginName, Watched>,
        begin: BTreeMap<PluginName, Fare>,
    ) -> Self {
        Self {
            rules,
            watched,
            begin,
            full: BTreeMap::new(),
            looks: 0,
        }
    }

    /// Looks at how they fare now.
    pub(super) fn look(&mut self, fares: &BTreeMap<PluginName, Fare>) -> Vec<Failing> {
        self.looks += 1;
        let mut failing = Vec::new();
        let mut dead = 0_u64;
        let mut last_dead = None;
        for (plugin, fare) in fares {
            let Some(watched) = self.watched.get(plugin).copied() else {
                continue;
            };
            let begin = self.begin.entry(plugin.clone()).or_default();
            let since = |total: fn(&Fare) -> u64| total(fare).saturating_sub(total(begin));
            let more_dead = since(|fare| fare.dead_letters_total);
            dead = dead.saturating_add(more_dead);
            if more_dead > 0 {
                last_dead = Some(plugin.clone());
            }
            let flooded = watched.predecessor.is_some_and(|before| before.flooded);
            if since(|fare| fare.looped_total) > 0 && !flooded {
                let plugin = plugin.clone();
                failing.push(Failing::Loops { plugin });
            } else if since(|fare| fare.rate_limited_total) > 0 && !flooded {
                let plugin = plugin.clone();
                failing.push(Failing::Floods { plugin });
            }
            let dropped = since(|fare| fare.dropped_total);
            failing.extend(self.slow(plugin, watched, fare, dropped));
        }
        let max = self.rules.dead_letters_max;
        if dead > u64::from(max) {
            failing.extend(last_dead.map(|plugin| Failing::DeadLetters {
                plugin,
                count: dead,
                max,
            }));
        }
        failing
    }

    fn slow(
        &mut self,
        plugin: &PluginName,
        watched: Watched,
        fare: &Fare,
        dropped: u64,
    ) -> Option<Failing> {
        // One that is new and may drop does as it was told.
        let (full_before, dropped_before) = match watched.predecessor {
            Some(before) => (before.full, before.dropped),
            None => (!watched.blocks, !watched.blocks),
        };
        if dropped > 0 && !dropped_before {
            let (plugin, count) = (plugin.clone(), dropped);
            return Some(Failing::Drops { plugin, count });
        }
        if full_before || !fare.is_full(watched.inbox_messages_max, watched.inbox_bytes_max) {
            return None;
        }
        let full = self.full.entry(plugin.clone()).or_default();
        *full += 1;
        let (whole, look) = rhythm(self.rules);
        let looks = u32::try_from(whole.as_millis() / look.as_millis().max(1)).unwrap_or(u32::MAX);
        let most = *full >= LOOKS_MIN && full.saturating_mul(2) > looks;
        most.then(|| Failing::Slow {
            plugin: plugin.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
