//! What the cloud is reached through: the part of an uplink that is needed here.
//!
//! A trait, for the thing's own connection and that of a claim are not the same,
//! and protocols are tested without either.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::watch;

use crate::names::{Topic, TopicFilter};

/// What is waited for.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a message did not leave.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("the uplink is not connected")]
    Away,
    #[error("the queue of the uplink is full")]
    Full,
    #[error("the uplink does not take it")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ChannelError {
    /// A stable name for metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Away => "uplink-away",
            Self::Full => "uplink-full",
            Self::Refused(_) => "uplink-refused",
        }
    }
}

/// A message from the far end.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub topic: Topic,
    pub payload: Bytes,
}

/// A connection to the cloud that comes and goes.
pub trait Channel: Send + Sync + fmt::Debug {
    /// Durable; on the disk when this returns. The lowest `priority` leaves first.
    fn publish(
        &self,
        topic: Topic,
        payload: Bytes,
        priority: u8,
    ) -> Waiting<'_, Result<(), ChannelError>>;

    /// Only if connected now; kept nowhere.
    fn ask(&self, topic: Topic, payload: Bytes) -> Waiting<'_, Result<(), ChannelError>>;

    /// What arrives on `filters`, on each connection anew.
    fn subscribe(&self, filters: Vec<TopicFilter>, waiting_max: usize) -> Box<dyn Arrivals>;

    /// Whether it is there, with its subscriptions.
    fn connected(&self) -> watch::Receiver<bool>;
}

/// Messages from the far end, in order.
pub trait Arrivals: Send {
    /// The next one; none when there will be no more.
    fn receive(&mut self) -> Waiting<'_, Option<Arrival>>;
}
