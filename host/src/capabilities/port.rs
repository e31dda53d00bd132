//! The only way between an instance and the rest of the host.
//!
//! In this process a port is a party on the bus. For a jailed worker process it
//! will be a socket pair with a ring in shared memory, and nothing above this
//! trait may notice.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;

use crate::bus::Message;

/// How hard the bus tries to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A full subscriber may miss it.
    AtMostOnce,
    /// The publisher waits for a full subscriber that asks for it.
    AtLeastOnce,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its topic is not granted.
    NotGranted,
    /// Its payload has more bytes than this.
    TooLarge(u32),
    /// Another part of it exceeds its bound.
    Malformed,
    /// Try again after this many milliseconds.
    Busy(u32),
    /// What led to it has passed through too many plugins.
    TooManyHops,
}

/// The first message of a batch that was not accepted, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub reason: Refusal,
}

/// What became of one message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Handled.
    Done,
    /// To be delivered again, because of this.
    Retry(String),
    /// Never to be delivered again, because of this.
    Reject(String),
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// The host asks the instance to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping;

/// What an instance may ask of the host.
pub trait Port: Send + Sync + 'static {
    /// Publishes a batch in order. Those before a refused message are accepted.
    fn publish(
        &self,
        messages: Vec<Message>,
        delivery: Delivery,
    ) -> BoxFuture<'_, Result<(), Refused>>;

    /// Takes up to `max` waiting messages as the batch in hand, without waiting.
    /// The batch before it must have been settled.
    fn receive(&self, max: usize) -> Result<Vec<Arc<Message>>, Stopping>;

    /// Resolves when a message waits or the instance is asked to stop.
    fn ready(&self) -> BoxFuture<'_, ()>;

    /// Says what became of the batch in hand, in its order.
    fn settle(&self, dispositions: Vec<Disposition>);

    /// Says how many bytes of linear memory the instance holds.
    fn holds(&self, memory_bytes: u64);

    /// Logs a line. The rate is limited behind the port.
    fn log(&self, level: LogLevel, context: &str, text: &str);
}
