//! Who is connected, or about to be: how many at once, from where, and who goes
//! when there is no room.
//!
//! Whoever has sent no CONNECT that was accepted is only entering. When there is no
//! room for a newcomer, the one that has been entering for longest goes; those who
//! are in stay. So connections that never say who they are keep nobody out.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;

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
    entrances: u32,
    /// In order of arrival.
    entering: BTreeMap<u64, Arc<Client>>,
    inside: HashMap<u64, Arc<Client>>,
    from: HashMap<IpAddr, u32>,
}

/// One connection: all that is known of it in one place, since there are many.
#[derive(Debug)]
pub(super) struct Client {
    id: u64,
    entrance: u32,
    /// Why it is to end; [`NOTHING`]: it is not.
    told: AtomicU8,
    /// Of its task, which alone waits to be told.
    waker: AtomicWaker,
    address: SocketAddr,
    since: SystemTime,
    shown: Mutex<Shown>,
}

/// No reason that anybody is told.
const NOTHING: u8 = 0;

#[derive(Debug, Default)]
struct Shown {
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

impl Client {
    /// Tells it to end. The first reason stands.
    pub(super) fn now(&self, reason: Reason) {
        let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
        let first = self
            .told
            .compare_exchange(NOTHING, reason.0, done, failed)
            .is_ok();
        if first {
            self.waker.wake();
        }
    }

    /// What it is to end for, if it is.
    pub(super) fn told(&self) -> Option<Reason> {
        let told = self.told.load(Ordering::Acquire);
        (told != NOTHING).then_some(Reason(told))
    }

    /// For its own task: ready when it is to end.
    pub(super) fn poll_told(&self, context: &mut Context<'_>) -> Poll<Reason> {
        if let Some(reason) = self.told() {
            return Poll::Ready(reason);
        }
        self.waker.register(context.waker());
        self.told().map_or(Poll::Pending, Poll::Ready)
    }

    /// Done when it is to end.
    pub(super) async fn ends(&self) -> Reason {
        poll_fn(|context| self.poll_told(context)).await
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
    pub(super) end: Arc<Client>,
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
        let status = |client: &Arc<Client>| {
            let shown = client.shown.lock();
            let known = shown.known.as_ref()?;
            Some(ClientStatus {
                device: known.device.name.clone(),
                client_id: Arc::clone(&known.client_id),
                address: client.address,
                since: client.since,
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
        let watched = |client: &Arc<Client>| {
            let Shown {
                certificates,
                known,
            } = &*client.shown.lock();
            Watched {
                address: client.address,
                certificates: certificates.clone(),
                device: known.as_ref().map(|known| Arc::clone(&known.device)),
                until: known.as_ref().and_then(|known| known.until),
                end: Arc::clone(client),
            }
        };
        all.map(watched).collect()
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
        let client = Arc::new(Client {
            id,
            entrance: self.number,
            told: AtomicU8::new(NOTHING),
            waker: AtomicWaker::new(),
            address,
            since: SystemTime::now(),
            shown: Mutex::default(),
        });
        state.entering.insert(id, Arc::clone(&client));
        Ok(Ticket {
            clients: Arc::clone(clients),
            client,
        })
    }

    /// Tells all who came in by it that the server shuts down.
    pub(super) fn close(&self) {
        let state = self.clients.state.lock();
        let all = state.entering.values().chain(state.inside.values());
        for client in all.filter(|client| client.entrance == self.number) {
            client.now(Reason::SERVER_SHUTTING_DOWN);
        }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    /// Sends away the one that has been entering for longest; whether there was
    /// one.
    fn evict(&mut self, from: Option<IpAddr>) -> bool {
        let same = |client: &Client| from.is_none_or(|from| source(client.address.ip()) == from);
        let mut entering = self.entering.iter();
        let Some(id) = entering.find(|(_, client)| same(client)).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(client) = self.remove(id) {
            client.now(Reason::SERVER_BUSY);
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Client>> {
        let client = self.entering.remove(&id);
        let client = client.or_else(|| self.inside.remove(&id))?;
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
    /// What tells it to end.
    pub(super) fn end(&self) -> &Arc<Client> {
        &self.client
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.client.address
    }

    /// What it showed, before anything is decided by it.
    pub(super) fn shows(&self, certificates: Certificates) {
        self.client.shown.lock().certificates = Some(certificates);
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
        let Some(client) = client.or_else(|| state.inside.remove(&id)) else {
            return false;
        };
        client.shown.lock().known = Some(Known {
            device: Arc::clone(device),
            client_id: Arc::clone(client_id),
            until,
        });
        state.inside.insert(id, client);
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.clients.state.lock().remove(self.client.id);
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
