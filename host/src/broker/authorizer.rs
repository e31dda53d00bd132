//! A second opinion on who connects: tokens, passwords of an older world.
//!
//! Asked after TLS and after the registry of devices, never instead of them where
//! client certificates are required. What answers is not this module's business:
//! a plugin does.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::names::{PartyName, TopicFilter};

/// What is known of whoever wants to connect.
#[derive(Clone, Debug)]
pub struct Request {
    /// The device that its certificate names; none if it showed none.
    pub device: Option<PartyName>,
    pub client_id: Arc<str>,
    pub username: Option<Arc<str>>,
    pub password: Option<Bytes>,
    pub address: SocketAddr,
}

/// What it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// As whom it goes; the certificate's device, if there was one.
    pub device: PartyName,
    /// Narrows what the device may do; None: all that its registration says. A
    /// device without registration may do only this.
    pub publish: Option<Vec<TopicFilter>>,
    pub subscribe: Option<Vec<TopicFilter>>,
    /// Seconds after which the connection ends; None: when it likes.
    pub valid_s: Option<u32>,
}

/// Why nobody was let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    #[error("refused: {0}")]
    Refused(String),
    #[error("there is no answer from the authorizer")]
    Unavailable,
}

/// Boxed: behind a trait object.
pub type Answer = Pin<Box<dyn Future<Output = Result<Permission, AuthorizeError>> + Send>>;

/// Who answers. Bounded in time by whoever asks.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, request: Request) -> Answer;
}
