//! What one plugin may cost the device.
//!
//! Every limit is finite. That they hold is the business of `runtime`, of the bus
//! and of the supervisor; what a site lets a deployment ask for is that of its
//! ceilings.

use std::num::{NonZeroU32, NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a message that does not fit into a full inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The publisher waits, within the time limit of its call.
    #[default]
    Block,
    /// The oldest waiting message is dropped and counted.
    DropOldest,
    /// The arriving message is dropped and counted.
    DropNewest,
    /// A waiting message of the same topic is replaced; else as `drop-oldest`.
    LatestPerTopic,
}

/// What one plugin may cost the device. Every limit is finite; the defaults
/// suit a small plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes, summed over the instance's memories.
    pub memory_bytes_max: NonZeroU64,
    /// Table elements, summed over the instance's tables.
    pub table_elements_max: NonZeroU32,
    /// Host resources (pollables, sockets, tensors) open at once.
    pub resources_max: NonZeroU32,
    /// Milliseconds that the guest may compute without waiting, after which it
    /// traps. A call may take four times as long if it waits; `run` may wait for
    /// as long as it likes.
    pub call_ms_max: NonZeroU32,
    /// Messages in one batch.
    pub batch_messages_max: NonZeroU32,
    /// Messages waiting for the guest.
    pub inbox_messages_max: NonZeroU32,
    /// Bytes waiting for the guest, topics and payloads together.
    pub inbox_bytes_max: NonZeroU64,
    /// What becomes of a message that does not fit.
    pub inbox_overflow: Overflow,
    /// Messages it may publish in a second, on average; bursts of one second.
    pub publish_per_s_max: NonZeroU32,
    /// Log lines in a second; what exceeds them is counted and dropped.
    pub log_lines_per_s_max: NonZeroU32,
    /// Deliveries of one message after the first, before it is dead-lettered.
    pub retries_max: u32,
    /// Failures within ten minutes after which it is given up.
    pub restarts_max: u32,
    /// Bytes of tensors held at once.
    pub tensor_bytes_max: NonZeroU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: nonzero!(NonZeroU64, 16 << 20),
            table_elements_max: nonzero!(NonZeroU32, 10_000),
            resources_max: nonzero!(NonZeroU32, 256),
            call_ms_max: nonzero!(NonZeroU32, 1_000),
            batch_messages_max: nonzero!(NonZeroU32, 64),
            inbox_messages_max: nonzero!(NonZeroU32, 1_024),
            inbox_bytes_max: nonzero!(NonZeroU64, 4 << 20),
            inbox_overflow: Overflow::default(),
            publish_per_s_max: nonzero!(NonZeroU32, 10_000),
            log_lines_per_s_max: nonzero!(NonZeroU32, 20),
            retries_max: 3,
            restarts_max: 5,
            tensor_bytes_max: nonzero!(NonZeroU64, 4 << 20),
        }
    }
}
