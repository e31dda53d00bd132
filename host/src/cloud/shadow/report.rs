//! What is reported, within what a shadow holds.
//!
//! What does not fit is cut in three steps, and `cut` says which was taken: the
//! digests and reasons of plugins and models (`texts`), the plugins that are well
//! (`well`), all but counts (`all`). How the deployment stands is never cut.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// Characters of a reason.
pub const REASON_CHARS_MAX: usize = 160;
/// Reasons why the host is not well.
const REASONS_MAX: usize = 8;

/// How the host fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub host: Host,
    /// What is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Standing>,
    /// What is being brought into force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<Standing>,
    /// What became of what was desired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Answer>,
    pub plugins: BTreeMap<String, Plugin>,
    /// By the digest of their files.
    pub models: BTreeMap<String, String>,
    pub health: Health,
    pub disk: Disk,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    pub version: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    pub id: u64,
    pub name: String,
    pub version: String,
    pub digest: String,
    pub phase: &'static str,
}

/// What became of what was desired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Which: the digest of it.
    pub key: String,
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plugin {
    pub version: String,
    pub digest: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Health {
    pub ok: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Disk {
    /// MiB of the store.
    pub store_mib: u64,
}

/// How much is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    #[default]
    Nothing,
    Texts,
    Well,
    All,
}

impl Cut {
    pub const STEPS: [Self; 4] = [Self::Nothing, Self::Texts, Self::Well, Self::All];

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Texts => Some("texts"),
            Self::Well => Some("well"),
            Self::All => Some("all"),
        }
    }

    /// The next step, if there is one.
    pub fn further(self) -> Self {
        match self {
            Self::Nothing => Self::Texts,
            Self::Texts => Self::Well,
            Self::Well | Self::All => Self::All,
        }
    }
}

impl Report {
    /// The state, in at most `bytes_max`, cut at least by `least`.
    pub fn state(&self, bytes_max: usize, least: Cut) -> Map<String, Value> {
        let steps = Cut::STEPS.into_iter().filter(|step| *step >= least);
        let mut state = Map::new();
        for step in steps {
            state = self.cut(step);
            if bytes(&state) <= bytes_max {
                break;
            }
        }
        state
    }

    fn cut(&self, cut: Cut) -> Map<String, Value> {
        let mut report = self.clone();
        report.health.reasons.truncate(REASONS_MAX);
        if cut >= Cut::Well {
            report.plugins.retain(|_, plugin| plugin.state != "running");
        }
        if cut >= Cut::All {
            report.plugins.clear();
            report.health.reasons.clear();
        }
        let Ok(Value::Object(mut state)) = serde_json::to_value(&report) else {
            return Map::new();
        };
        if cut >= Cut::Texts {
            state.remove("models");
            if let Some(Value::Object(plugins)) = state.get_mut("plugins") {
                for plugin in plugins.values_mut().filter_map(Value::as_object_mut) {
                    plugin.remove("digest");
                    plugin.remove("error");
                }
            }
        }
        if let Some(name) = cut.name() {
            state.insert("cut".to_owned(), name.into());
            state.insert("plugins_total".to_owned(), self.plugins.len().into());
            state.insert("models_total".to_owned(), self.models.len().into());
        }
        state
    }
}

/// What a state counts against the limit: its bytes without blanks.
pub fn bytes(state: &Map<String, Value>) -> usize {
    serde_json::to_string(state).map_or(usize::MAX, |text| text.len())
}

/// A reason, short and without control characters.
pub fn reason(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Cut, Plugin, Report, bytes};

    fn report(plugins: usize, ill: usize) -> Report {
        let plugin = |index: usize| {
            let plugin = Plugin {
                version: "1.0.0".to_owned(),
                digest: format!("sha256:{}", "0".repeat(64)),
                state: if index < ill { "given-up" } else { "running" }.to_owned(),
                error: (index < ill).then(|| "x".repeat(160)),
            };
            (format!("plugin-{index}"), plugin)
        };
        Report {
            plugins: (0..plugins).map(plugin).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn whatever_runs_here_fits_and_what_is_cut_is_said() {
        let check = |plugins, ill, cut: Option<&str>, left: usize| {
            let state = report(plugins, ill).state(5 << 10, Cut::Nothing);
            assert!(bytes(&state) <= 5 << 10);
            assert_eq!(
                state.get("cut").and_then(Value::as_str),
                cut,
                "{plugins} {ill}"
            );
            assert_eq!(state["plugins"].as_object().unwrap().len(), left);
            if cut.is_some() {
                assert_eq!(state["plugins_total"], plugins);
            }
        };
        check(3, 1, None, 3);
        check(60, 1, Some("texts"), 60);
        check(1_000, 20, Some("well"), 20);
        check(1_000, 900, Some("all"), 0);
    }

    #[test]
    fn what_the_cloud_found_too_large_is_cut_further() {
        let state = report(3, 1).state(5 << 10, Cut::Nothing.further());
        assert_eq!(state["cut"], "texts");
        assert!(state["plugins"]["plugin-1"].get("digest").is_none());
        assert_eq!(Cut::All.further(), Cut::All);
    }
}
