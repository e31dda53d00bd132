//! What all connections have in common, and what is known of each before its
//! first packet.
//!
//! Made by [`super::Broker`]; connections only use it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::authorizer::Authorizer;
use super::config::BrokerConfig;
use super::metrics::Counters;
use super::quota::Quotas;
use super::sessions::Sessions;
use crate::bus::Bus;
use crate::devices::Device;
use crate::names::PartyName;
use crate::tls::Identity;

/// Who is at the other end, as far as it is known before CONNECT.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The device that its certificate names, or that the listener stands for;
    /// None: the authorizer says.
    pub(super) device: Option<Arc<Device>>,
    /// What its certificate says, if it showed one.
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) address: SocketAddr,
    /// When its CONNECT must have come.
    pub(super) connect_by: Instant,
}

/// Looks a device up by its name: for those that the authorizer names.
pub(super) type FindDevice = Box<dyn Fn(&PartyName) -> Option<Arc<Device>> + Send + Sync>;

/// What all connections have in common.
pub(super) struct Shared {
    pub(super) bus: Bus,
    pub(super) config: BrokerConfig,
    pub(super) sessions: Sessions,
    pub(super) quotas: Quotas,
    pub(super) authorizer: Option<Arc<dyn Authorizer>>,
    pub(super) find: FindDevice,
    pub(super) counters: Arc<Counters>,
}
