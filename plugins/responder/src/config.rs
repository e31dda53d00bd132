//! What the operator configures, and whether it makes sense.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::anomaly::{Anomaly, AnomalyState};
use crate::template::{JsonTemplate, Template, TemplateError};

/// The plugin's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The topic on which commands are answered; the plugin is subscribed to it.
    #[serde(default = "default_reply_to")]
    pub reply_to: String,
    /// Milliseconds between two looks at the clock; 10 to 60,000. Time-outs
    /// and hold-offs are late by this much at most.
    #[serde(default = "default_tick_ms")]
    pub tick_ms: u32,
    /// Commands waiting for an answer; 1 to 4,096. One more is not sent.
    #[serde(default = "default_pending_max")]
    pub pending_max: u32,
    /// Devices remembered; 1 to 65,536. One more displaces the device unheard
    /// of for longest without an anomaly; if all have one, it is left alone.
    #[serde(default = "default_devices_max")]
    pub devices_max: u32,
    /// What to do when; 1 to 64. Each rule that matches acts.
    pub rules: Vec<Rule>,
}

/// What to do when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in the audit.
    pub name: String,
    /// Sites it is for; `*` at the end stands for anything; all if empty.
    #[serde(default)]
    pub sites: Vec<String>,
    /// Devices it is for, in the same way.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Kinds of anomaly it is for, in the same way.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Least score; an anomaly without a score does not match.
    #[serde(default)]
    pub score_min: Option<f64>,
    /// States it acts on: `raised`, or `ongoing` too. An anomaly first heard
    /// of as ongoing counts as raised.
    #[serde(default = "default_states")]
    pub states: Vec<AnomalyState>,
    /// Milliseconds that the anomaly must go on before anything is done; 0 to
    /// 86,400,000.
    #[serde(default)]
    pub hold_off_ms: u32,
    /// Milliseconds after acting during which the rule leaves the same device
    /// alone; 0 to 86,400,000.
    #[serde(default = "default_cool_down_ms")]
    pub cool_down_ms: u32,
    /// Actions within an hour, over all devices; at least as many as there
    /// are in `actions`, at most 3,600. Reverting does not count.
    #[serde(default = "default_actions_per_hour_max")]
    pub actions_per_hour_max: u32,
    /// What is done, in order; 1 to 8.
    pub actions: Vec<Action>,
    /// What is done when the anomaly clears, if the rule acted; 8 at most.
    #[serde(default)]
    pub revert: Vec<Action>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Tells a device to do something and waits for its answer.
    Command {
        /// A template, for example `command/{site}/{device}/speed`.
        topic: String,
        /// What is sent, as JSON; strings in it are templates.
        payload: Json,
        /// Milliseconds to wait for the answer; 10 to 600,000.
        #[serde(default = "default_timeout_ms")]
        timeout_ms: u32,
        /// How often it is sent at most; 1 to 100.
        #[serde(default = "default_attempts_max")]
        attempts_max: u32,
    },
    /// Tells people, on `notice/<site>/<device>`.
    Notify {
        /// A template.
        text: String,
    },
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A number is out of its bounds.
    #[error("`{field}` is {value}, but must be {min} to {max}")]
    OutOfBounds {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u32,
        /// Least.
        min: u32,
        /// Most.
        max: u32,
    },
    /// Two rules have one name, or one has none.
    #[error("the rule name `{0}` is empty or given twice")]
    Name(String),
    /// A rule that can never act.
    #[error("rule `{rule}`: {what}")]
    Never {
        /// Which.
        rule: String,
        /// Why not.
        what: &'static str,
    },
    /// A template of a rule is not one.
    #[error("rule `{rule}`: {fault}")]
    Template {
        /// Which.
        rule: String,
        /// What is wrong.
        fault: TemplateError,
    },
    /// `reply_to` is not a plain topic.
    #[error("`reply_to`: {0}")]
    ReplyTo(TemplateError),
}

/// An action with its templates parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Command(CommandStep),
    Notify(Template),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandStep {
    pub(crate) topic: Template,
    pub(crate) payload: JsonTemplate,
    pub(crate) timeout_ms: u64,
    pub(crate) attempts_max: u32,
}

/// The steps of one rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Steps {
    pub(crate) actions: Vec<Step>,
    pub(crate) revert: Vec<Step>,
}

impl Config {
    /// The steps of each rule, if everything is within its bounds.
    ///
    /// # Errors
    /// Names the first thing that is not.
    pub(crate) fn compile(&self) -> Result<Vec<Steps>, ConfigError> {
        bound("tick_ms", self.tick_ms, 10, 60_000)?;
        bound("pending_max", self.pending_max, 1, 4_096)?;
        bound("devices_max", self.devices_max, 1, 65_536)?;
        bound("rules", length(&self.rules), 1, 64)?;
        let braced = self.reply_to.replace(['{', '}'], "+");
        Template::parse_topic(&braced).map_err(ConfigError::ReplyTo)?;
        let mut names = HashSet::new();
        for rule in &self.rules {
            if rule.name.is_empty() || !names.insert(&rule.name) {
                return Err(ConfigError::Name(rule.name.clone()));
            }
        }
        self.rules.iter().map(Rule::compile).collect()
    }
}

impl Rule {
    /// Whether the rule is for `anomaly`, whatever its state.
    pub(crate) fn matches(&self, anomaly: &Anomaly) -> bool {
        let score = match (self.score_min, anomaly.score) {
            (None, _) => true,
            (Some(min), Some(score)) => score >= min,
            (Some(_), None) => false,
        };
        score && self.is_for(anomaly) && any(&self.kinds, &anomaly.kind)
    }

    /// Whether the rule is for the device that has `anomaly`.
    pub(crate) fn is_for(&self, anomaly: &Anomaly) -> bool {
        any(&self.sites, &anomaly.site) && any(&self.devices, &anomaly.device)
    }

    fn compile(&self) -> Result<Steps, ConfigError> {
        const DAY_MS: u32 = 86_400_000;
        bound("hold_off_ms", self.hold_off_ms, 0, DAY_MS)?;
        bound("cool_down_ms", self.cool_down_ms, 0, DAY_MS)?;
        bound("actions", length(&self.actions), 1, 8)?;
        bound("revert", length(&self.revert), 0, 8)?;
        let hourly = self.actions_per_hour_max;
        bound("actions_per_hour_max", hourly, length(&self.actions), 3_600)?;
        let never = |what| {
            let rule = self.name.clone();
            ConfigError::Never { rule, what }
        };
        if self.states.is_empty() {
            return Err(never("`states` is empty"));
        }
        if self.states.contains(&AnomalyState::Cleared) {
            return Err(never("`cleared` is not acted on: use `revert`"));
        }
        if self.score_min.is_some_and(|min| !min.is_finite()) {
            return Err(never("`score_min` is not finite"));
        }
        let steps = |actions: &[Action]| -> Result<Vec<Step>, ConfigError> {
            actions.iter().map(|one| self.step(one)).collect()
        };
        Ok(Steps {
            actions: steps(&self.actions)?,
            revert: steps(&self.revert)?,
        })
    }

    fn step(&self, action: &Action) -> Result<Step, ConfigError> {
        let fault = |fault| {
            let rule = self.name.clone();
            ConfigError::Template { rule, fault }
        };
        match action {
            Action::Notify { text } => Template::parse(text).map(Step::Notify).map_err(fault),
            Action::Command {
                topic,
                payload,
                timeout_ms,
                attempts_max,
            } => {
                bound("timeout_ms", *timeout_ms, 10, 600_000)?;
                bound("attempts_max", *attempts_max, 1, 100)?;
                Ok(Step::Command(CommandStep {
                    topic: Template::parse_topic(topic).map_err(fault)?,
                    payload: JsonTemplate::parse(payload).map_err(fault)?,
                    timeout_ms: u64::from(*timeout_ms),
                    attempts_max: *attempts_max,
                }))
            }
        }
    }
}

/// Whether one of `patterns` fits `name`, or there are none.
fn any(patterns: &[String], name: &str) -> bool {
    patterns.is_empty()
        || patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            })
}

fn bound(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        field,
        value,
        min,
        max,
    })
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

fn default_reply_to() -> String {
    "reply/responder".to_owned()
}

fn default_tick_ms() -> u32 {
    250
}

fn default_pending_max() -> u32 {
    64
}

fn default_devices_max() -> u32 {
    256
}

fn default_states() -> Vec<AnomalyState> {
    vec![AnomalyState::Raised]
}

fn default_cool_down_ms() -> u32 {
    60_000
}

fn default_actions_per_hour_max() -> u32 {
    60
}

fn default_timeout_ms() -> u32 {
    5_000
}

fn default_attempts_max() -> u32 {
    3
}
