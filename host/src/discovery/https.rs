//! Answers discovery over HTTPS: to devices, each about itself.
//!
//! A connection is one handshake, one request and one answer, within a time and
//! so many at once. Who has no certificate of the site does not get to ask.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::gateway::Gateway;
use super::http::{Asked, HEAD_BYTES_MAX, answer, asked, end};
use super::{DiscoveryError, POLICY};
use crate::devices::Devices;
use crate::names::PartyName;
use crate::supervisor::{TaskGroup, Unit, UnitContext, UnitResult};
use crate::tls::{Clients, Identity, Server, ServerSettings};

/// Connections at once; a further one is closed as it comes.
const CONNECTIONS_MAX: u32 = 32;
/// Of them from one address.
const CONNECTIONS_PER_ADDRESS_MAX: u32 = 8;
/// From the connection to the end of its answer.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// Between two looks at the certificates' files.
const LOOK: Duration = Duration::from_secs(1);
/// Before the next attempt, when the system lets nobody in.
const PAUSE: Duration = Duration::from_millis(100);
/// What AWS SDKs ask for, and others.
const ALPN: [&[u8]; 2] = [b"x-amzn-http-ca", b"http/1.1"];

/// A port, listening.
pub(super) struct Https {
    address: SocketAddr,
    server: Arc<Server>,
    first: Mutex<Option<TcpListener>>,
}

/// What each connection works with.
#[derive(Clone)]
struct Desk {
    gateway: Arc<Gateway>,
    devices: Devices,
    server: Arc<Server>,
}

impl Https {
    pub(super) fn listen(
        address: SocketAddr,
        settings: ServerSettings,
    ) -> Result<Self, DiscoveryError> {
        let server = Arc::new(Server::open(ServerSettings {
            // Whatever the broker does: there is nobody else to say who asks.
            clients: Clients::Required,
            alpn: ALPN.map(<[u8]>::to_vec).into(),
            ..settings
        })?);
        let fault = |source| DiscoveryError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let listener = TcpListener::from_std(listener).map_err(fault)?;
        Ok(Self {
            address: listener.local_addr().map_err(fault)?,
            server,
            first: Mutex::new(Some(listener)),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn unit(self, gateway: Arc<Gateway>, devices: Devices) -> Unit {
        Unit::new("discovery/https", POLICY, move |context| {
            let (first, address) = (self.first.lock().take(), self.address);
            let desk = Desk {
                gateway: Arc::clone(&gateway),
                devices: devices.clone(),
                server: Arc::clone(&self.server),
            };
            async move {
                let listener = match first {
                    Some(listener) => listener,
                    None => TcpListener::bind(address).await?,
                };
                info!(%address, "discovery serving");
                serve(listener, desk, context).await
            }
        })
    }
}

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, u32>>>);

/// One of them, until it is dropped.
struct Place(Places, IpAddr);

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock();
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

async fn serve(listener: TcpListener, desk: Desk, context: UnitContext) -> UnitResult {
    // Dropped with this, it ends all connections.
    let group = TaskGroup::new(CONNECTIONS_MAX);
    let places = Places::default();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.ready();
    loop {
        tokio::select! {
            () = context.stop.cancelled() => break,
            _ = look.tick() => {
                let server = Arc::clone(&desk.server);
                spawn_blocking(move || server.look()).await?;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let Some(place) = places.take(from.ip().to_canonical()) else {
                        debug!(client = %from, "discovery refused: it has many connections");
                        continue;
                    };
                    let (desk, stop) = (desk.clone(), context.stop.clone());
                    let connection = async move {
                        let _place = place;
                        tokio::select! {
                            () = stop.cancelled() => {}
                            served = timeout(CONNECTION_MAX, desk.serve(stream)) => {
                                told(from, served.unwrap_or(Err(io::ErrorKind::TimedOut.into())));
                            }
                        }
                    };
                    if group.start(connection).is_err() {
                        debug!(client = %from, "discovery refused: there are too many");
                    }
                }
                Err(error) => {
                    warn!(error = %error, "connection not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }
    group.end(PAUSE).await;
    Ok(())
}

fn told(client: SocketAddr, served: io::Result<(Option<PartyName>, &'static str)>) {
    match served {
        Ok((Some(device), status)) => debug!(%client, %device, status, "discovery answered"),
        Ok((None, status)) => debug!(%client, status, "discovery answered"),
        Err(error) => debug!(%client, error = %error, "discovery not answered"),
    }
}

impl Desk {
    async fn serve(&self, stream: TcpStream) -> io::Result<(Option<PartyName>, &'static str)> {
        let config = self.server.terms().config();
        let mut stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let identity = certificate.and_then(Identity::of);
        let device = identity.and_then(|identity| self.devices.admit(&identity).ok());
        let device = device.map(|device| device.name.clone());
        let mut head = Vec::new();
        let asked = loop {
            if let Some(end) = end(&head) {
                break asked(head.get(..end).unwrap_or_default());
            }
            let room = (HEAD_BYTES_MAX - head.len()) as u64;
            let read = (&mut stream).take(room).read_buf(&mut head).await?;
            if read == 0 {
                // It ends early, or never.
                break Asked::Nonsense;
            }
        };
        let gateway = Arc::clone(&self.gateway);
        let told = spawn_blocking(move || gateway.told()).await?;
        if let Err(error) = &told {
            warn!(error = %error, "discovery has nothing to tell");
        }
        let told = || Some(self.gateway.greengrass(&told.ok()?));
        let answer = answer(&asked, device.as_ref(), told);
        stream.write_all(&answer.bytes()).await?;
        stream.shutdown().await?;
        Ok((device, answer.status))
    }
}
