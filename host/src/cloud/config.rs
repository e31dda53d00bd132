//! Which thing this gateway is, and what of the cloud it uses.
//!
//! What is not named is off: a gateway that only has an uplink reports nothing,
//! takes no jobs, and sends no logs. Deployments from the cloud need a word of
//! their own.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::{ShadowName, TemplateName, ThingName};
use crate::names::{PartyName, PluginName, Topic};

/// Bytes of the state in a shadow that AWS IoT takes: desired and reported.
pub const SHADOW_BYTES_MAX: u32 = 8 << 10;
/// Bytes of a payload that AWS IoT takes.
pub const PAYLOAD_BYTES_MAX: u32 = 128 << 10;

/// The gateway as a thing of AWS IoT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudConfig {
    /// The uplink that leads there, by its name in `[uplinks]`.
    pub uplink: PartyName,
    /// What the gateway is called there. Without it, what provisioning said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<ThingName>,
    /// Whether the cloud may deploy, roll back and restart plugins here, as an
    /// operator may. What may run is still decided by the policy of the site.
    #[serde(default)]
    pub deployments: bool,
    /// Reports what runs. Without it, nothing is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowConfig>,
    /// Takes jobs. Without it, none is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobsConfig>,
    /// Sends log lines. Without it, none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsConfig>,
    /// Gets the certificate of the uplink by a claim that the whole fleet shares,
    /// if it has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<ProvisioningConfig>,
}

/// What the shadow holds, and how often it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShadowConfig {
    /// Which of the thing's shadows.
    pub name: ShadowName,
    /// Use the thing's shadow without a name instead.
    pub classic: bool,
    /// Milliseconds that a change waits for further ones.
    pub debounce_ms: NonZeroU32,
    /// Seconds between two reports, at least.
    pub interval_s_min: NonZeroU32,
    /// Bytes of what is reported, at most 8,192, which reported and desired state
    /// share. What does not fit is cut: first digests and reasons, then the
    /// plugins that are well, then all but counts; `cut` says how far.
    pub bytes_max: NonZeroU32,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self {
            name: "selvedge".parse().expect("a constant that is a name"),
            classic: false,
            debounce_ms: nonzero!(NonZeroU32, 1_000),
            interval_s_min: nonzero!(NonZeroU32, 10),
            bytes_max: nonzero!(NonZeroU32, 5 << 10),
        }
    }
}

/// How jobs are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Minutes that a job may stand still before AWS IoT calls it timed out, 1 to
    /// 10,080. Without it, what the job itself says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_timeout_minutes: Option<NonZeroU32>,
    /// Seconds between two reports of progress, at least.
    pub progress_s_min: NonZeroU32,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            step_timeout_minutes: None,
            progress_s_min: nonzero!(NonZeroU32, 5),
        }
    }
}

/// How severe a line of a log is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LineLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// Whose log lines are sent, and how many at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogsConfig {
    /// Where they go: a topic of your own, or `$aws/rules/<rule>/...`.
    pub topic: Topic,
    /// The plugins whose lines are sent.
    #[serde(default)]
    pub plugins: Vec<PluginName>,
    /// Send those of all plugins.
    #[serde(default)]
    pub all_plugins: bool,
    /// Send what the host says of deployments and units.
    #[serde(default = "yes")]
    pub host: bool,
    /// The least severe level that is sent.
    #[serde(default = "warn")]
    pub level: LineLevel,
    /// Lines a second, over all; what is beyond it is dropped and counted.
    #[serde(default = "lines_per_s")]
    pub lines_per_s_max: NonZeroU32,
    /// Bytes that leave in a day; what is beyond it is dropped and counted.
    #[serde(default = "day_bytes")]
    pub day_bytes_max: NonZeroU32,
    /// Bytes of one message, at most 131,072.
    #[serde(default = "batch_bytes")]
    pub batch_bytes_max: NonZeroU32,
    /// Seconds that a line waits for others.
    #[serde(default = "batch_s")]
    pub batch_s_max: NonZeroU32,
    /// Bytes that wait on the disk while the cloud is away; what is beyond it is
    /// dropped and counted.
    #[serde(default = "disk_bytes")]
    pub disk_bytes_max: NonZeroU32,
}

fn yes() -> bool {
    true
}

fn warn() -> LineLevel {
    LineLevel::Warn
}

fn lines_per_s() -> NonZeroU32 {
    nonzero!(NonZeroU32, 50)
}

fn day_bytes() -> NonZeroU32 {
    nonzero!(NonZeroU32, 64 << 20)
}

fn batch_bytes() -> NonZeroU32 {
    nonzero!(NonZeroU32, 64 << 10)
}

fn batch_s() -> NonZeroU32 {
    nonzero!(NonZeroU32, 15)
}

fn disk_bytes() -> NonZeroU32 {
    nonzero!(NonZeroU32, 16 << 20)
}

/// How the gateway gets a certificate of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisioningConfig {
    /// The provisioning template.
    pub template: TemplateName,
    /// The certificate that claims (PEM). Relative to this file.
    pub claim_certificate: PathBuf,
    /// Its key (PEM). Relative to this file.
    pub claim_key: PathBuf,
    /// Parameters of the template.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Where the key is made.
    #[serde(default)]
    pub key: KeyMaker,
}

/// Where a key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyMaker {
    /// Here; it never leaves the gateway.
    #[default]
    Here,
    /// By AWS IoT, which sends it.
    Cloud,
}

impl LogsConfig {
    /// Whether anybody's lines are sent.
    pub(super) fn is_any(&self) -> bool {
        self.host || self.all_plugins || !self.plugins.is_empty()
    }
}

impl CloudConfig {
    /// What no type can say by itself: `field` and what is wrong with it.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut at_most = |field, value: u32, max: u32| {
            if value > max {
                faults.push((field, format!("{value} is above {max}")));
            }
        };
        if let Some(shadow) = &self.shadow {
            at_most(
                "cloud.shadow.bytes_max",
                shadow.bytes_max.get(),
                SHADOW_BYTES_MAX,
            );
        }
        if let Some(jobs) = &self.jobs {
            let minutes = jobs.step_timeout_minutes.map_or(0, NonZeroU32::get);
            at_most("cloud.jobs.step_timeout_minutes", minutes, 10_080);
        }
        if let Some(logs) = &self.logs {
            let bytes = logs.batch_bytes_max.get();
            at_most("cloud.logs.batch_bytes_max", bytes, PAYLOAD_BYTES_MAX);
        }
        if self.thing.is_none() && self.provisioning.is_none() {
            let what = "either the thing's name or `provisioning` is needed";
            faults.push(("cloud.thing", what.to_owned()));
        }
        faults
    }

    /// Its paths, seen from `folder` where they are relative.
    pub(crate) fn within(&mut self, folder: &Path) {
        if let Some(provisioning) = &mut self.provisioning {
            for path in [
                &mut provisioning.claim_certificate,
                &mut provisioning.claim_key,
            ] {
                *path = folder.join(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloudConfig;

    #[test]
    fn what_is_not_named_is_off() {
        let config: CloudConfig = toml::from_str("uplink = \"aws\"\nthing = \"gw\"").unwrap();
        assert!(!config.deployments);
        assert!(config.shadow.is_none() && config.jobs.is_none() && config.logs.is_none());
        assert!(config.provisioning.is_none());
        assert!(config.faults().is_empty());
    }

    #[test]
    fn what_the_cloud_would_not_take_is_a_fault() {
        let text = "uplink = \"aws\"\n[shadow]\nbytes_max = 9000\n[jobs]\nstep_timeout_minutes = 10081\n\
                    [logs]\ntopic = \"logs/gw\"\nbatch_bytes_max = 200000";
        let config: CloudConfig = toml::from_str(text).unwrap();
        let fields: Vec<_> = config
            .faults()
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        let expected = [
            "cloud.shadow.bytes_max",
            "cloud.jobs.step_timeout_minutes",
            "cloud.logs.batch_bytes_max",
            "cloud.thing",
        ];
        assert_eq!(fields, expected);
        assert!(toml::from_str::<CloudConfig>("uplink = \"aws\"\nthing = \"a/b\"").is_err());
        assert!(toml::from_str::<CloudConfig>("uplink = \"aws\"\nshadows = 1").is_err());
    }
}
