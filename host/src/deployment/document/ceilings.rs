//! How much a deployment may ask of one host.

use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What all plugins of a deployment may cost the host. A deployment above a
/// ceiling is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ceilings {
    /// Plugins in one deployment.
    pub plugins_max: NonZeroU32,
    /// Linear memory in bytes, summed over the limits of all plugins.
    pub memory_bytes_max: NonZeroU64,
    /// What a deployment may set as the limits of one plugin.
    pub plugin: PluginCeilings,
}

/// The highest value of each limit of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginCeilings {
    /// Highest `memory_bytes_max`, in bytes.
    pub memory_bytes_max: NonZeroU64,
    /// Highest `table_elements_max`, in elements.
    pub table_elements_max: NonZeroU32,
    /// Highest `resources_max`.
    pub resources_max: NonZeroU32,
    /// Highest `call_ms_max`, in milliseconds.
    pub call_ms_max: NonZeroU32,
    /// Highest `batch_messages_max`, in messages.
    pub batch_messages_max: NonZeroU32,
    /// Highest `inbox_messages_max`, in messages.
    pub inbox_messages_max: NonZeroU32,
    /// Highest `inbox_bytes_max`, in bytes.
    pub inbox_bytes_max: NonZeroU64,
    /// Highest `publish_per_s_max`, in messages in a second.
    pub publish_per_s_max: NonZeroU32,
    /// Highest `log_lines_per_s_max`, in lines in a second.
    pub log_lines_per_s_max: NonZeroU32,
    /// Highest `retries_max`, in deliveries of one message.
    pub retries_max: u32,
    /// Highest `restarts_max`, in failures within ten minutes.
    pub restarts_max: u32,
    /// Highest `tensor_bytes_max`, in bytes.
    pub tensor_bytes_max: NonZeroU64,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            plugins_max: nonzero!(NonZeroU32, 64),
            memory_bytes_max: nonzero!(NonZeroU64, 1 << 30),
            plugin: PluginCeilings::default(),
        }
    }
}

impl Default for PluginCeilings {
    /// Room for a large plugin, though not for several on a small gateway:
    /// there the total decides.
    fn default() -> Self {
        Self {
            memory_bytes_max: nonzero!(NonZeroU64, 256 << 20),
            table_elements_max: nonzero!(NonZeroU32, 100_000),
            resources_max: nonzero!(NonZeroU32, 4_096),
            call_ms_max: nonzero!(NonZeroU32, 60_000),
            batch_messages_max: nonzero!(NonZeroU32, 256),
            inbox_messages_max: nonzero!(NonZeroU32, 65_536),
            inbox_bytes_max: nonzero!(NonZeroU64, 64 << 20),
            publish_per_s_max: nonzero!(NonZeroU32, 1_000_000),
            log_lines_per_s_max: nonzero!(NonZeroU32, 1_000),
            retries_max: 100,
            restarts_max: 100,
            tensor_bytes_max: nonzero!(NonZeroU64, 256 << 20),
        }
    }
}
