//! Who is connected, or about to be: how many at once, from where, and who goes
//! when there is no room.
//!
//! Whoever has sent no CONNECT that was accepted is only entering. When there is no
//! room for a newcomer, the one that has been entering for longest goes; those who
//! are in stay. So connections that never say who they are keep nobody out.

mod client;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::client::ClientStatus;
pub(super) use self::client::{Certificates, Client, Watched};
use super::told::Told;
use crate::devices::Device;
use crate::mqtt::Reason;

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
    entrances: u32,
    /// In order of arrival.
    entering: BTreeMap<u64, Arc<Client>>,
    inside: HashTable<Arc<Client>>,
    from: HashMap<IpAddr, u32>,
}

/// A way in, by which connections come until it is closed.
#[derive(Debug)]
pub(super) struct Entrance {
    clients: Arc<Clients>,
    number: u32,
}

/// A connection's place among all. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Ticket {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl Clients {
    pub(super) fn new(connections_max: u32, per_address_max: u32) -> Self {
        Self {
            connections_max,
            per_address_max,
            state: Mutex::default(),
        }
    }

    /// One more way in.
    pub(super) fn open(self: &Arc<Self>) -> Entrance {
        let mut state = self.state.lock();
        state.entrances += 1;
        Entrance {
            number: state.entrances,
            clients: Arc::clone(self),
        }
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
        let mut list: Vec<_> = state
            .inside
            .iter()
            .filter_map(|client| client.status())
            .collect();
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
        let all = state.entering.values().chain(state.inside.iter());
        all.map(Client::watched).collect()
    }
}

impl Entrance {
    /// A place for whoever comes from `address`.
    pub(super) fn enter(&self, address: SocketAddr) -> Result<Ticket, NoRoom> {
        let clients = &self.clients;
        let source = source(address.ip());
        let mut state = clients.state.lock();
        let here = state.from.get(&source).copied().unwrap_or(0);
        if here >= clients.per_address_max && !state.evict(Some(source)) {
            let max = clients.per_address_max;
            return Err(NoRoom::Address { max });
        }
        let all = state.entering.len() + state.inside.len();
        if all >= clients.connections_max as usize && !state.evict(None) {
            let max = clients.connections_max;
            return Err(NoRoom::Connections { max });
        }
        let id = state.next;
        state.next += 1;
        *state.from.entry(source).or_default() += 1;
        let client = Arc::new(Client::new(id, self.number, address));
        state.entering.insert(id, Arc::clone(&client));
        Ok(Ticket {
            clients: Arc::clone(clients),
            client,
        })
    }

    /// Tells all who came in by it that the server shuts down.
    pub(super) fn close(&self) {
        let state = self.clients.state.lock();
        let all = state.entering.values().chain(state.inside.iter());
        for client in all.filter(|client| client.entrance == self.number) {
            client.end.tell(Reason::SERVER_SHUTTING_DOWN);
        }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    /// Takes out one that is in.
    fn leave(&mut self, id: u64) -> Option<Arc<Client>> {
        let found = self.inside.find_entry(hash(id), |own| own.id == id).ok()?;
        let (client, _) = found.remove();
        if self.inside.len() < self.inside.capacity() / 4 {
            self.inside.shrink_to_fit(|own| hash(own.id));
        }
        Some(client)
    }

    /// Sends away the one that has been entering for longest; whether there was
    /// one.
    fn evict(&mut self, from: Option<IpAddr>) -> bool {
        let same = |client: &Client| from.is_none_or(|from| source(client.address.ip()) == from);
        let mut entering = self.entering.iter();
        let Some(id) = entering.find(|(_, client)| same(client)).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(client) = self.remove(id) {
            client.end.tell(Reason::SERVER_BUSY);
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Client>> {
        let client = self.entering.remove(&id);
        let client = client.or_else(|| self.leave(id))?;
        let source = source(client.address.ip());
        if let Some(count) = self.from.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&source);
            }
        }
        Some(client)
    }
}

impl Ticket {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What tells it to end.
    pub(super) fn end(&self) -> &Told {
        &self.client.end
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.client.address
    }

    /// What it showed, before anything is decided by it.
    pub(super) fn shows(&self, certificates: Certificates) {
        self.client.shows(certificates);
    }

    /// It is `device`, until then if at all. False: it was sent away meanwhile.
    pub(super) fn is(
        &self,
        device: &Arc<Device>,
        client_id: &Arc<str>,
        until: Option<Instant>,
    ) -> bool {
        let id = self.client.id;
        let mut state = self.clients.state.lock();
        let client = state.entering.remove(&id);
        let Some(client) = client.or_else(|| state.leave(id)) else {
            return false;
        };
        client.is(device, client_id, until);
        state
            .inside
            .insert_unique(hash(id), client, |own| hash(own.id));
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.clients.state.lock().remove(self.client.id);
    }
}

/// Numbers are given in order, by us: spread over all bits they do for a hash.
fn hash(id: u64) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15)
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
