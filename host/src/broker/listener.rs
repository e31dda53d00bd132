//! Where devices come in: a port with TLS, and one without on loopback.
//!
//! Accepting never waits for anyone. Each connection has a place among all and a
//! time in which its CONNECT must have come; TLS handshakes that cost computing
//! take turns, those that wait for the other side take none. Who is refused here
//! is told by a TLS alert or by the end of the connection.

mod handshake;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use self::handshake::Shaken;
use super::clients::{Clients, Entrance, NoRoom};
use super::config::PlainConfig;
use super::connection::{self, FAREWELL_MAX, Stage};
use super::shared::{Peer, Shared};
use super::{BrokerError, policy};
use crate::names::PartyName;
use crate::supervisor::{TaskGroup, Unit, UnitContext, UnitResult};
use crate::tls::Server;

/// Connections that the system accepts before we do.
const BACKLOG: u32 = 1_024;
/// Before the next attempt, when the system lets nobody in.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log about that.
const COMPLAIN_EACH: Duration = Duration::from_secs(10);
/// Connections that end beside those that are counted.
const ENDING_MAX: u32 = 256;

/// What all listeners have in common.
pub(super) struct Guard {
    shared: Arc<Shared>,
    clients: Arc<Clients>,
    /// Handshakes that may compute.
    turns: Semaphore,
    connect_max: Duration,
    tasks_max: u32,
    grace: Duration,
}

/// A port, listening.
pub(super) struct Listener {
    name: &'static str,
    address: SocketAddr,
    first: Mutex<Option<TcpListener>>,
    way: Way,
    guard: Arc<Guard>,
}

/// How clients come in.
enum Way {
    Secure(Arc<Server>),
    /// As this device.
    Plain(PartyName),
}

impl Guard {
    pub(super) fn new(shared: Arc<Shared>, clients: Arc<Clients>, grace: Duration) -> Arc<Self> {
        let limits = &shared.config.limits;
        let turns = usize::try_from(limits.handshakes_max.get()).unwrap_or(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            turns: Semaphore::new(turns.min(Semaphore::MAX_PERMITS)),
            connect_max: Duration::from_millis(limits.connect_ms_max.get().into()),
            tasks_max: limits.connections_max.get().saturating_add(ENDING_MAX),
            clients,
            grace: grace.saturating_sub(FAREWELL_MAX),
            shared,
        })
    }

    /// Tells of who did not come in.
    fn turn_away(&self, code: &'static str, address: SocketAddr, reason: &str) {
        self.shared.refusals.turned_away(code, address, reason);
    }
}

impl Listener {
    pub(super) fn secure(
        guard: &Arc<Guard>,
        address: SocketAddr,
        server: Arc<Server>,
    ) -> Result<Self, BrokerError> {
        Self::new("broker/tls", guard, address, Way::Secure(server))
    }

    pub(super) fn plain(guard: &Arc<Guard>, config: &PlainConfig) -> Result<Self, BrokerError> {
        let way = Way::Plain(config.device.clone());
        Self::new("broker/plain", guard, config.listen, way)
    }

    fn new(
        name: &'static str,
        guard: &Arc<Guard>,
        address: SocketAddr,
        way: Way,
    ) -> Result<Self, BrokerError> {
        let fault = |source| BrokerError::Listen { address, source };
        let listener = listen(address).map_err(fault)?;
        Ok(Self {
            name,
            address: listener.local_addr().map_err(fault)?,
            first: Mutex::new(Some(listener)),
            way,
            guard: Arc::clone(guard),
        })
    }

    /// Where it listens, its port found out.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn unit(self) -> Unit {
        let listener = Arc::new(self);
        Unit::new(listener.name, policy(), move |context| {
            Arc::clone(&listener).serve(context)
        })
    }

    async fn serve(self: Arc<Self>, context: UnitContext) -> UnitResult {
        let first = self.first.lock().take();
        let listener = match first {
            Some(listener) => listener,
            None => listen(self.address)?,
        };
        let is_secure = matches!(self.way, Way::Secure(_));
        info!(address = %self.address, tls = is_secure, "broker listening");
        context.ready();
        // Closed too when this future is dropped, so that no connection outlives it.
        let entrance = self.guard.clients.open();
        let tasks = TaskGroup::new(self.guard.tasks_max);
        let mut complained = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = context.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.enter((stream, address), &tasks, &entrance),
                Err(error) => {
                    self.guard.shared.counters.accept_errors_total.add(1);
                    let now = Instant::now();
                    if complained.is_none_or(|at| now.duration_since(at) >= COMPLAIN_EACH) {
                        complained = Some(now);
                        warn!(error = %error, "connection not accepted");
                    }
                    // Those who are in are told at once when the host stops.
                    timeout(PAUSE, context.stop.cancelled()).await.ok();
                }
            }
        }
        drop((listener, entrance));
        let left = tasks.end(self.guard.grace).await;
        if left > 0 {
            warn!(left, "connections of the broker did not end in time");
        }
        Ok(())
    }

    /// Gives a connection its place and its task.
    fn enter(
        self: &Arc<Self>,
        (stream, address): (TcpStream, SocketAddr),
        tasks: &TaskGroup,
        entrance: &Entrance,
    ) {
        let guard = &self.guard;
        guard.shared.counters.accepted_total.add(1);
        let ticket = match entrance.enter(address) {
            Ok(ticket) => ticket,
            Err(full) => {
                let code = match full {
                    NoRoom::Connections { .. } => "too-many-connections",
                    NoRoom::Address { .. } => "too-many-connections-from-address",
                };
                return guard.turn_away(code, address, &full.to_string());
            }
        };
        let connect_by = Instant::now() + guard.connect_max;
        let peer = Peer {
            stands_for: match &self.way {
                Way::Secure(_) => None,
                Way::Plain(device) => Some(device.clone()),
            },
            identity: None,
            address,
            connect_by,
            ticket,
        };
        let task = Stage::new(Arc::clone(self).let_in(stream, peer));
        if let Err(full) = tasks.start(task) {
            guard.turn_away("too-many-connections", address, &full.to_string());
        }
    }

    /// From the first byte to the answer to CONNECT.
    async fn let_in(self: Arc<Self>, stream: TcpStream, peer: Peer) -> Option<Stage> {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(address = %peer.address, error = %error, "connection lost");
            return None;
        }
        let shared = Arc::clone(&self.guard.shared);
        match &self.way {
            Way::Plain(_) => connection::accept(stream, peer, shared).await,
            Way::Secure(server) => {
                let shaken = self.guard.shake(stream, &peer, server).await;
                let Shaken { stream, identity } = shaken?;
                let peer = Peer { identity, ..peer };
                connection::accept(stream, peer, shared).await
            }
        }
    }
}

/// Listens, so that connections which die in silence are noticed in the end: what
/// is accepted inherits it.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_keepalive(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
