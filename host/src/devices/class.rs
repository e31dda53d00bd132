//! What devices may do that do not say it themselves: by their class, else what
//! everybody may.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quota;
use crate::names::{PartyName, TopicFilter};

/// Stands for the device's name in the topic filters of grants.
const DEVICE: &str = "{device}";
/// What a device without class and grants may publish to.
const PUBLISH: [&str; 2] = ["telemetry/+/{device}/#", "state/{device}/#"];
/// What such a device may subscribe.
const SUBSCRIBE: [&str; 1] = ["command/+/{device}/#"];

/// Topics and bounds that devices of one kind have in common. `{device}` stands
/// for the device's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassConfig {
    /// Topic filters that they may publish to: `telemetry/+/{device}/#`.
    pub publish: Vec<String>,
    /// Topic filters that they may subscribe.
    pub subscribe: Vec<String>,
    /// What each may cost.
    pub quota: Option<Quota>,
}

/// What holds for devices whose files say nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Kinds of devices, by name.
    pub classes: BTreeMap<String, ClassConfig>,
    /// What a device may cost.
    pub quota: Quota,
}

/// A class that a device names and nobody defined.
#[derive(Debug, thiserror::Error)]
#[error("there is no class `{0}`; the host's `[broker.classes]` would define it")]
pub struct NoClass(pub String);

/// What a class, or the lack of one, gives a device.
pub(super) struct Given {
    pub(super) publish: Vec<String>,
    pub(super) subscribe: Vec<String>,
    pub(super) quota: Quota,
}

impl Rules {
    pub(super) fn given(&self, class: Option<&str>) -> Result<Given, NoClass> {
        let Some(name) = class else {
            return Ok(Given {
                publish: PUBLISH.map(str::to_owned).into(),
                subscribe: SUBSCRIBE.map(str::to_owned).into(),
                quota: self.quota.clone(),
            });
        };
        let class = self.classes.get(name);
        let class = class.ok_or_else(|| NoClass(name.to_owned()))?;
        Ok(Given {
            publish: class.publish.clone(),
            subscribe: class.subscribe.clone(),
            quota: class.quota.clone().unwrap_or_else(|| self.quota.clone()),
        })
    }
}

/// The filters that `patterns` are for this device; or the pattern that is none.
pub(super) fn expanded(
    patterns: &[String],
    device: &PartyName,
) -> Result<Vec<TopicFilter>, <TopicFilter as std::str::FromStr>::Err> {
    let expand = |pattern: &String| pattern.replace(DEVICE, device.as_str()).parse();
    patterns.iter().map(expand).collect()
}
