//! What all connections have in common, and what is known of each before its
//! first packet.
//!
//! Made by [`super::Broker`]; connections only use it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::authorizer::Authorizer;
use super::clients::Ticket;
use super::config::BrokerConfig;
use super::metrics::Counters;
use super::quota::Quotas;
use super::refusals::Refusals;
use super::sessions::Sessions;
use crate::devices::Devices;
use crate::names::PartyName;
use crate::tls::Identity;

/// Who is at the other end, as far as it is known before CONNECT.
#[derive(Debug)]
pub(super) struct Peer {
    /// The device that everybody is who comes in by this listener.
    pub(super) stands_for: Option<PartyName>,
    /// What its certificate says, if it showed one.
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) address: SocketAddr,
    /// When its CONNECT must have come.
    pub(super) connect_by: Instant,
    /// Its place among all connections, by which it is told to end.
    pub(super) ticket: Ticket,
}

/// What all connections have in common.
pub(super) struct Shared {
    pub(super) config: BrokerConfig,
    pub(super) sessions: Sessions,
    pub(super) quotas: Quotas,
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    /// Who may ask it now.
    pub(super) authorizing: Semaphore,
    pub(super) devices: Devices,
    pub(super) refusals: Refusals,
    pub(super) counters: Arc<Counters>,
}
