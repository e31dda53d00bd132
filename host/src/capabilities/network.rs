//! `wasi:sockets`: connections to granted endpoints, and nothing else.
//!
//! A plugin names an endpoint by address or by name. A name is resolved by the
//! host, only if it is granted, and never to an address that a name should not
//! lead to: the gateway itself, link-local addresses, cloud metadata services.
//! Listening is not offered.

mod policy;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use futures::future::{BoxFuture, FutureExt as _, Shared};
use tokio::time::timeout;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, IoError, Pollable, SocketError, subscribe};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView as _};

use super::PluginState;
use super::bindings::wasi::sockets::ip_name_lookup::{self, Host, HostResolveAddressStream};

pub use policy::{Hosts, NetworkPolicy};

/// Bytes in a name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens in `builder` what `policy` grants.
pub(super) fn grant(builder: &mut WasiCtxBuilder, policy: &Arc<NetworkPolicy>) {
    builder
        .allow_tcp(policy.any_tcp())
        .allow_udp(policy.any_udp())
        // Names are resolved by our own implementation, below.
        .allow_ip_name_lookup(false);
    let policy = Arc::clone(policy);
    builder.socket_addr_check(move |address, reason| {
        let allowed = match reason {
            SocketAddrUse::TcpConnect => policy.allows_tcp(address),
            SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => policy.allows_udp(address),
            // An outgoing connection or datagram binds to whatever is free.
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            SocketAddrUse::UdpBind => {
                policy.allows_udp(address) || (address.ip().is_unspecified() && address.port() == 0)
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        };
        Box::pin(std::future::ready(allowed))
    });
}

pub(super) fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<_, HasSelf<PluginState>>(linker, |state| state)
}

type Resolving = Shared<BoxFuture<'static, Result<Arc<[IpAddr]>, ErrorCode>>>;

/// A name being resolved, and then its addresses one by one.
pub struct Addresses {
    resolving: Resolving,
    left: Option<vec::IntoIter<IpAddr>>,
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Addresses")
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Addresses {
    async fn ready(&mut self) {
        // The outcome is kept by the shared future.
        drop(self.resolving.clone().await);
    }
}

impl Host for PluginState {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<Addresses>, SocketError> {
        self.table.get(&network)?;
        let policy = Arc::clone(&self.network);
        // Before anything of the guest's is kept.
        if name.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::InvalidArgument.into());
        }
        let name = name.to_ascii_lowercase();
        if name.parse::<IpAddr>().is_err() && !policy.names(&name) {
            return Err(ErrorCode::AccessDenied.into());
        }
        let resolving = async move { resolve(&policy, &name).await }
            .boxed()
            .shared();
        Ok(self.table.push(Addresses {
            resolving,
            left: None,
        })?)
    }
}

impl HostResolveAddressStream for PluginState {
    fn resolve_next_address(
        &mut self,
        stream: Resource<Addresses>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let stream = self.table.get_mut(&stream)?;
        if stream.left.is_none() {
            let resolved = stream.resolving.clone().now_or_never();
            let addresses = resolved.ok_or(ErrorCode::WouldBlock)??;
            let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
            stream.left = Some(addresses.into_iter());
        }
        Ok(stream
            .left
            .as_mut()
            .and_then(Iterator::next)
            .map(IpAddress::from))
    }

    fn subscribe(
        &mut self,
        stream: Resource<Addresses>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, stream)
    }

    fn drop(&mut self, stream: Resource<Addresses>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

/// The addresses that `name` may lead to.
async fn resolve(policy: &NetworkPolicy, name: &str) -> Result<Arc<[IpAddr]>, ErrorCode> {
    if let Ok(address) = name.parse::<IpAddr>() {
        // An address is no name: whether it may be used is decided on connecting.
        return Ok(Arc::new([address]));
    }
    let found = match policy.known_host(name) {
        Some(address) => vec![address],
        None => look_up(policy, name).await?,
    };
    let allowed = policy.admit_resolved(name, &found);
    if allowed.is_empty() {
        Err(ErrorCode::AccessDenied)
    } else {
        Ok(allowed)
    }
}

/// Asks the system's resolver. It cannot be stopped once asked, so a plugin has
/// at most one question open, whether or not it still waits for the answer.
async fn look_up(policy: &NetworkPolicy, name: &str) -> Result<Vec<IpAddr>, ErrorCode> {
    let permit = policy.lookup_permit();
    let permit = permit.ok_or(ErrorCode::TemporaryResolverFailure)?;
    let question = (name.to_owned(), 0_u16);
    let lookup = tokio::task::spawn_blocking(move || {
        let answer = question.to_socket_addrs();
        drop(permit);
        answer
    });
    let answer = timeout(RESOLVE_TIMEOUT, lookup).await;
    let answer = answer.map_err(|_| ErrorCode::TemporaryResolverFailure)?;
    let addresses = answer.map_err(|_| ErrorCode::PermanentResolverFailure)?;
    let addresses = addresses.map_err(|_| ErrorCode::NameUnresolvable)?;
    Ok(addresses.map(|address| address.ip()).collect())
}

/// Errors are told apart as `wasmtime-wasi` tells them apart.
impl network::Host for PluginState {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.sockets(), error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets(), error)
    }
}

impl network::HostNetwork for PluginState {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), network)
    }
}
