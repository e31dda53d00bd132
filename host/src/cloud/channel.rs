//! What the cloud is reached through: the part of an uplink that is needed here.
//!
//! A trait, for the thing's own connection and that of a claim are not the same,
//! and protocols are tested without either.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::watch;

use crate::names::{Topic, TopicFilter};
use crate::uplink::{RemoteInbox, Uplink, UplinkError};

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

impl From<UplinkError> for ChannelError {
    fn from(error: UplinkError) -> Self {
        match error {
            UplinkError::NotConnected | UplinkError::Lost => Self::Away,
            UplinkError::Full => Self::Full,
            error => Self::Refused(Box::new(error)),
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

    /// Whether it is there.
    fn connected(&self) -> watch::Receiver<bool>;
}

/// Messages from the far end, in order.
pub trait Arrivals: Send {
    /// The next one; none when there will be no more.
    fn receive(&mut self) -> Waiting<'_, Option<Arrival>>;

    /// Whether the far end has confirmed, on the present connection, that it will
    /// send them: what is asked before may be answered to nobody.
    fn subscribed(&self) -> watch::Receiver<bool>;
}

impl Channel for Uplink {
    fn publish(
        &self,
        topic: Topic,
        payload: Bytes,
        priority: u8,
    ) -> Waiting<'_, Result<(), ChannelError>> {
        let published = Self::publish(self, topic, payload, priority);
        Box::pin(async move { published.await.map_err(ChannelError::from) })
    }

    fn ask(&self, topic: Topic, payload: Bytes) -> Waiting<'_, Result<(), ChannelError>> {
        let asked = Self::ask(self, topic, payload);
        Box::pin(async move { asked.await.map_err(ChannelError::from) })
    }

    fn subscribe(&self, filters: Vec<TopicFilter>, waiting_max: usize) -> Box<dyn Arrivals> {
        Box::new(Self::subscribe(self, filters, waiting_max))
    }

    fn connected(&self) -> watch::Receiver<bool> {
        Self::connected(self)
    }
}

impl Arrivals for RemoteInbox {
    /// What was taken is acknowledged: whatever it hints at is asked for anew on
    /// the next connection.
    fn receive(&mut self) -> Waiting<'_, Option<Arrival>> {
        Box::pin(async move {
            let remote = Self::receive(self).await;
            let (topic, payload) = (remote.topic.clone(), remote.payload.clone());
            Some(Arrival { topic, payload })
        })
    }

    fn subscribed(&self) -> watch::Receiver<bool> {
        Self::subscribed(self)
    }
}
