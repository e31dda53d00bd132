//! Who is connected, or about to be: how many at once, from where, and who goes
//! when there is no room.
//!
//! Whoever has sent no CONNECT that was accepted is only entering. When there is no
//! room for a newcomer, the one that has been entering for longest goes; those who
//! are in stay. So connections that never say who they are keep nobody out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::devices::Device;
use crate::mqtt::Reason;
use crate::names::PartyName;

/// A connected device, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    pub device: PartyName,
    pub client_id: Arc<str>,
    pub address: SocketAddr,
    pub since: SystemTime,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    #[error("there are {max} connections")]
    Connections { max: u32 },
    #[error("there are {max} connections from there")]
    Address { max: u32 },
}

/// All connections.
#[derive(Debug)]
pub(super) struct Clients {
    connections_max: u32,
    per_address_max: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// In order of arrival.
    entering: BTreeMap<u64, Entry>,
    inside: HashMap<u64, Entry>,
    from: HashMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    since: SystemTime,
    end: Arc<End>,
    certificates: Option<Certificates>,
    known: Option<Known>,
}

/// What a client is known by.
#[derive(Clone, Debug)]
struct Known {
    device: Arc<Device>,
    client_id: Arc<str>,
    until: Option<Instant>,
}

/// What a client showed, to be looked at again.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    /// Its own first.
    pub(super) chain: Arc<[CertificateDer<'static>]>,
    /// When its own ends, in seconds since the Unix epoch.
    pub(super) not_after: i64,
}

/// How a connection is told to end, and why.
#[derive(Debug)]
pub(super) struct End {
    token: CancellationToken,
    reason: OnceLock<Reason>,
}

impl End {
    pub(super) fn now(&self, reason: Reason) {
        // The first reason stands.
        self.reason.get_or_init(|| reason);
        self.token.cancel();
    }

    /// Cancelled when the connection is to end.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// What its client is to be told.
    pub(super) fn reason(&self) -> Reason {
        let reason = self.reason.get().copied();
        reason.unwrap_or(Reason::SERVER_SHUTTING_DOWN)
    }
}

/// One that is to be looked at again.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) address: SocketAddr,
    pub(super) certificates: Option<Certificates>,
    /// None while it is entering.
    pub(super) device: Option<Arc<Device>>,
    pub(super) until: Option<Instant>,
    pub(super) end: Arc<End>,
}

/// A connection's place among all. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Ticket {
    clients: Arc<Clients>,
    id: u64,
    end: Arc<End>,
}

impl Clients {
    pub(super) fn new(connections_max: u32, per_address_max: u32) -> Self {
        Self {
            connections_max,
            per_address_max,
            state: Mutex::default(),
        }
    }

    /// A place for whoever comes from `address`; it ends with `stop` at the latest.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: SocketAddr,
        stop: &CancellationToken,
    ) -> Result<Ticket, NoRoom> {
        let source = source(address.ip());
        let mut state = self.state.lock();
        let here = state.from.get(&source).copied().unwrap_or(0);
        if here >= self.per_address_max && !state.evict(Some(source)) {
            let max = self.per_address_max;
            return Err(NoRoom::Address { max });
        }
        let all = state.entering.len() + state.inside.len();
        if all >= self.connections_max as usize && !state.evict(None) {
            let max = self.connections_max;
            return Err(NoRoom::Connections { max });
        }
        let id = state.next;
        state.next += 1;
        *state.from.entry(source).or_default() += 1;
        let end = Arc::new(End {
            token: stop.child_token(),
            reason: OnceLock::new(),
        });
        let entry = Entry {
            address,
            since: SystemTime::now(),
            end: Arc::clone(&end),
            certificates: None,
            known: None,
        };
        state.entering.insert(id, entry);
        Ok(Ticket {
            clients: Arc::clone(self),
            id,
            end,
        })
    }

    /// Connections, and how many of them are only entering.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        let entering = state.entering.len();
        (entering + state.inside.len(), entering)
    }

    /// Who is in, by device and client id.
    pub(super) fn list(&self) -> Vec<ClientStatus> {
        let state = self.state.lock();
        let status = |entry: &Entry| {
            let known = entry.known.as_ref()?;
            Some(ClientStatus {
                device: known.device.name.clone(),
                client_id: Arc::clone(&known.client_id),
                address: entry.address,
                since: entry.since,
            })
        };
        let mut list: Vec<_> = state.inside.values().filter_map(status).collect();
        drop(state);
        list.sort_by(|one, other| {
            let key =
                |client: &ClientStatus| (client.device.clone(), Arc::clone(&client.client_id));
            key(one).cmp(&key(other))
        });
        list
    }

    /// All that may have to end.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let state = self.state.lock();
        let all = state.entering.values().chain(state.inside.values());
        let watched = |entry: &Entry| Watched {
            address: entry.address,
            certificates: entry.certificates.clone(),
            device: entry.known.as_ref().map(|known| Arc::clone(&known.device)),
            until: entry.known.as_ref().and_then(|known| known.until),
            end: Arc::clone(&entry.end),
        };
        all.map(watched).collect()
    }
}

impl State {
    /// Sends away the one that has been entering for longest; whether there was
    /// one.
    fn evict(&mut self, from: Option<IpAddr>) -> bool {
        let same = |entry: &Entry| from.is_none_or(|from| source(entry.address.ip()) == from);
        let mut entering = self.entering.iter();
        let Some(id) = entering.find(|(_, entry)| same(entry)).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.remove(id) {
            entry.end.now(Reason::SERVER_BUSY);
        }
        true
    }

    fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        let inside = self.inside.get_mut(&id);
        inside.or_else(|| self.entering.get_mut(&id))
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entering.remove(&id);
        let entry = entry.or_else(|| self.inside.remove(&id))?;
        let source = source(entry.address.ip());
        if let Some(count) = self.from.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&source);
            }
        }
        Some(entry)
    }
}

impl Ticket {
    pub(super) fn end(&self) -> &Arc<End> {
        &self.end
    }

    /// What it showed, before anything is decided by it.
    pub(super) fn shows(&self, certificates: Certificates) {
        if let Some(entry) = self.clients.state.lock().entry(self.id) {
            entry.certificates = Some(certificates);
        }
    }

    /// It is `device`, until then if at all. False: it was sent away meanwhile.
    pub(super) fn is(
        &self,
        device: &Arc<Device>,
        client_id: &Arc<str>,
        until: Option<Instant>,
    ) -> bool {
        let mut state = self.clients.state.lock();
        let entry = state.entering.remove(&self.id);
        let Some(mut entry) = entry.or_else(|| state.inside.remove(&self.id)) else {
            return false;
        };
        entry.known = Some(Known {
            device: Arc::clone(device),
            client_id: Arc::clone(client_id),
            until,
        });
        state.inside.insert(self.id, entry);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.clients.state.lock().remove(self.id);
    }
}

/// Who counts as one: an address, or the network that one machine of IPv6 has all
/// addresses of.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
