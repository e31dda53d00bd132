//! The host's own configuration, `host.toml`: where things are, and ceilings.
//!
//! What runs is not its business: that is the deployment's. Every setting has a
//! safe default, so that a host needs no file at all; every bound is finite.
//! There are no secrets in it and nothing is read from the environment.
//! Editors complete it where it begins with
//! `#:schema <path>/host/schemas/host.schema.json` (taplo, Even Better TOML).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use crate::api::config::ApiConfig;
use crate::artifacts::RegistryConfig;
use crate::broker::config::BrokerConfig;
use crate::bus::BusLimits;
use crate::cloud::config::CloudConfig;
use crate::deployment::document::ceilings::Ceilings;
use crate::deployment::document::fault::{Checked, Collector, FaultKind, Faults};
use crate::deployment::document::place::Places;
use crate::deployment::document::shape::Shape;
use crate::deployment::document::source::Source;
use crate::deployment::document::{Site, piece};
use crate::discovery::config::DiscoveryConfig;
use crate::inference::InferenceConfig;
use crate::names::{Digest, PartyName, PluginName};
use crate::trust::TrustConfig;
use crate::uplink::config::UplinkConfig;

/// How one host is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostConfig {
    /// Where all that must last is kept: state, plugins' key-value buckets,
    /// compiled components and the device key. Relative to this file. Only the
    /// host may have access to it.
    pub data_directory: PathBuf,
    /// Where components are looked for, in this order, after the folder of the
    /// deployment. Relative to this file.
    pub plugin_directories: Vec<PathBuf>,
    /// Names that endpoints may be granted by, with the address each leads to;
    /// others are asked of the system's resolver. Sites without a name server
    /// name their machines here.
    pub hosts: BTreeMap<String, IpAddr>,
    /// Time in milliseconds that each unit has to stop in when the host shuts
    /// down; then it is aborted.
    pub shutdown_grace_ms: NonZeroU32,
    /// Components compiled at once; each takes one core while it lasts.
    pub compile_threads_max: NonZeroU32,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What a deployment may ask of this host.
    pub ceilings: Ceilings,
    /// What the bus may hold.
    pub bus: BusLimits,
    /// What inference may take.
    pub inference: InferenceConfig,
    /// Whom this device trusts. Without it, only shipped plugins run.
    pub trust: Option<TrustConfig>,
    /// How this device reaches registries.
    pub registry: RegistryConfig,
    /// Where the management API listens, and who may use it.
    pub api: ApiConfig,
    /// The MQTT server for client devices. Without it, there is none.
    pub broker: Option<BrokerConfig>,
    /// MQTT connections outward, by name. Here and not in a deployment, so that no
    /// deployment can cut the gateway off.
    pub uplinks: BTreeMap<PartyName, UplinkConfig>,
    /// The gateway as a thing of AWS IoT.
    pub cloud: Option<CloudConfig>,
    /// How client devices find this gateway.
    pub discovery: DiscoveryConfig,
}

/// What the host logs to standard error, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least severe level that is logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// How severe a log line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// Unexpected, though nothing is lost.
    Warn,
    /// Starts, stops and deployments.
    #[default]
    Info,
    /// Each decision.
    Debug,
    /// Each message.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            data_directory: PathBuf::from("/var/lib/selvedge"),
            plugin_directories: Vec::new(),
            hosts: BTreeMap::new(),
            shutdown_grace_ms: nonzero!(NonZeroU32, 5_000),
            compile_threads_max: nonzero!(NonZeroU32, 2),
            log: LogConfig::default(),
            ceilings: Ceilings::default(),
            bus: BusLimits::default(),
            inference: InferenceConfig::default(),
            trust: None,
            registry: RegistryConfig::default(),
            api: ApiConfig::default(),
            broker: None,
            uplinks: BTreeMap::new(),
            cloud: None,
            discovery: DiscoveryConfig::default(),
        }
    }
}

impl HostConfig {
    /// The names that only a host's configuration has at its top.
    pub(crate) const FIELDS: [&str; 16] = [
        "data_directory",
        "plugin_directories",
        "hosts",
        "shutdown_grace_ms",
        "compile_threads_max",
        "log",
        "ceilings",
        "bus",
        "inference",
        "trust",
        "registry",
        "api",
        "broker",
        "uplinks",
        "cloud",
        "discovery",
    ];

    /// Reads the configuration; its paths are then seen from where the file is.
    ///
    /// # Errors
    ///
    /// All faults, in the order of the file, if any of them is an error.
    pub fn check(source: &Arc<Source>) -> Result<Checked<Self>, Faults> {
        let mut faults = Collector::new(source);
        let mut places = Places::default();
        let Some(tree) = source.tree(&mut faults) else {
            return faults.finish(None);
        };
        let span = tree.span();
        let mut root = tree.into_inner();
        let schema = Self::schema();
        Shape::new(&schema, &mut faults, &mut places).prune(&mut root);
        let mut root = Spanned::new(span, DeValue::Table(root));
        let config: Option<Self> = piece::read(&mut root, &mut faults);
        let config = config.map(|config| {
            config.validate(&places, &mut faults);
            config.within(source.file().parent().unwrap_or(Path::new("")))
        });
        faults.finish(config)
    }

    /// The JSON Schema of the configuration, for editors.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// What no type can say by itself.
    fn validate(&self, places: &Places, faults: &mut Collector<'_>) {
        let mut too_large = |field: &str, value: u64, whole: &str, ceiling: u64| {
            if value > ceiling {
                let kind = FaultKind::Invalid(format!(
                    "`{field}` is {value}, above `{whole}`, which is {ceiling}"
                ));
                // Whichever was written is the one to look at.
                let offset = [field, whole].map(|path| places.nearest(path));
                faults.push(offset.into_iter().max().unwrap_or_default(), kind);
            }
        };
        too_large(
            "ceilings.plugin.memory_bytes_max",
            self.ceilings.plugin.memory_bytes_max.get(),
            "ceilings.memory_bytes_max",
            self.ceilings.memory_bytes_max.get(),
        );
        too_large(
            "bus.message_bytes_max",
            self.bus.message_bytes_max.into(),
            "bus.retained_bytes_max",
            self.bus.retained_bytes_max,
        );
        for (field, text) in self.broker.iter().flat_map(BrokerConfig::faults) {
            faults.push(places.nearest(&field), FaultKind::Invalid(text));
        }
        for (field, text) in self.inference.faults() {
            faults.push(places.nearest(field), FaultKind::Invalid(text));
        }
        self.validate_uplinks(places, faults);
        self.validate_cloud(places, faults);
        let texts = std::iter::once(("data_directory".to_owned(), &self.data_directory));
        let directories = self.plugin_directories.iter().enumerate();
        let directories =
            directories.map(|(index, path)| (format!("plugin_directories[{index}]"), path));
        for (field, path) in texts.chain(directories) {
            let text = path.to_string_lossy();
            if text.is_empty() || text.contains('\0') {
                let kind = FaultKind::Invalid(format!("`{text}` is not a path"));
                faults.push(places.nearest(&field), kind);
            }
        }
    }

    fn validate_cloud(&self, places: &Places, faults: &mut Collector<'_>) {
        let Some(cloud) = &self.cloud else { return };
        for (field, text) in cloud.faults() {
            faults.push(places.nearest(field), FaultKind::Invalid(text));
        }
        if !self.uplinks.contains_key(&cloud.uplink) {
            let text = format!("`{}` is not in `[uplinks]`", cloud.uplink);
            let place = places.nearest("cloud.uplink");
            faults.push(place, FaultKind::Invalid(text));
        }
    }

    fn validate_uplinks(&self, places: &Places, faults: &mut Collector<'_>) {
        let mut known = BTreeMap::new();
        for (name, uplink) in &self.uplinks {
            for (field, text) in uplink.faults() {
                let place = places.nearest(&format!("uplinks.{name}.{field}"));
                faults.push(place, FaultKind::Invalid(text));
            }
            let identity = (&uplink.endpoint, &uplink.client_id);
            if let Some(other) = known.insert(identity, name) {
                let text = format!(
                    "uplink `{other}` has this `client_id` at this endpoint: one would end the other"
                );
                let place = places.nearest(&format!("uplinks.{name}.client_id"));
                faults.push(place, FaultKind::Invalid(text));
            }
        }
    }

    /// Its paths, seen from `folder` where they are relative.
    fn within(mut self, folder: &Path) -> Self {
        self.data_directory = folder.join(&self.data_directory);
        for directory in &mut self.plugin_directories {
            *directory = folder.join(&directory);
        }
        if let Some(trust) = &mut self.trust {
            trust.within(folder);
        }
        self.registry.within(folder);
        self.inference = self.inference.within(folder);
        self.api.within(folder);
        if let Some(broker) = &mut self.broker {
            broker.within(folder);
        }
        for uplink in self.uplinks.values_mut() {
            uplink.within(folder);
        }
        if let Some(cloud) = &mut self.cloud {
            cloud.within(folder);
        }
        self.discovery.within(folder);
        self
    }

    /// What a deployment is judged by.
    pub fn site(&self, shipped: BTreeMap<PluginName, Digest>) -> Site {
        Site {
            ceilings: self.ceilings.clone(),
            message_bytes_max: self.bus.message_bytes_max.into(),
            shipped,
            plugin_directories: self.plugin_directories.clone(),
            uplinks: self.uplinks.keys().cloned().collect(),
        }
    }

    /// Artifacts: an OCI image layout.
    pub fn artifacts_directory(&self) -> PathBuf {
        self.data_directory.join("artifacts")
    }

    /// Compiled components, which the device key authenticates.
    pub fn compiled_directory(&self) -> PathBuf {
        self.data_directory.join("compiled")
    }
}

#[cfg(test)]
mod tests;
