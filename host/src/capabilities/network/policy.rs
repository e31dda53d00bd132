//! Which endpoints a plugin may reach: pure, no sockets.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::spec::Endpoint;

/// Names that the operator resolves in the host's configuration.
pub type Hosts = BTreeMap<String, IpAddr>;

/// Addresses of one name that are remembered.
const ADDRESSES_MAX: usize = 16;

/// The endpoints that one plugin is granted.
#[derive(Debug)]
pub struct NetworkPolicy {
    tcp: Vec<Endpoint>,
    udp: Vec<Endpoint>,
    hosts: Arc<Hosts>,
    resolved: Mutex<HashMap<String, Arc<[IpAddr]>>>,
    lookup: Arc<Semaphore>,
}

impl NetworkPolicy {
    /// The policy that grants `tcp` and `udp`.
    pub fn new(tcp: &[Endpoint], udp: &[Endpoint], hosts: Arc<Hosts>) -> Self {
        Self {
            tcp: tcp.to_vec(),
            udp: udp.to_vec(),
            hosts,
            resolved: Mutex::default(),
            lookup: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn any_tcp(&self) -> bool {
        !self.tcp.is_empty()
    }

    pub(super) fn any_udp(&self) -> bool {
        !self.udp.is_empty()
    }

    pub(super) fn allows_tcp(&self, address: SocketAddr) -> bool {
        self.allows(&self.tcp, address)
    }

    pub(super) fn allows_udp(&self, address: SocketAddr) -> bool {
        self.allows(&self.udp, address)
    }

    /// Whether an endpoint with this name is granted at all.
    pub(super) fn names(&self, name: &str) -> bool {
        self.tcp
            .iter()
            .chain(&self.udp)
            .any(|endpoint| endpoint.host == name)
    }

    /// To be held while the system's resolver is asked: `None` while it is.
    pub(super) fn lookup_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.lookup).try_acquire_owned().ok()
    }

    /// The address that the operator gave `name`.
    pub(super) fn known_host(&self, name: &str) -> Option<IpAddr> {
        self.hosts.get(name).copied()
    }

    /// Remembers what a granted name resolved to, less what no name may lead to.
    pub(super) fn admit_resolved(&self, name: &str, found: &[IpAddr]) -> Arc<[IpAddr]> {
        let local = name == "localhost";
        let allowed = found.iter().map(IpAddr::to_canonical);
        let allowed = allowed.filter(|&address| reachable_by_name(address, local));
        let allowed: Arc<[IpAddr]> = allowed.take(ADDRESSES_MAX).collect();
        // Bounded: only granted names come here.
        self.resolved
            .lock()
            .insert(name.to_owned(), Arc::clone(&allowed));
        allowed
    }

    fn allows(&self, granted: &[Endpoint], address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        granted
            .iter()
            .filter(|endpoint| endpoint.port.get() == address.port())
            .any(|endpoint| match endpoint.host.parse::<IpAddr>() {
                Ok(literal) => literal.to_canonical() == ip,
                Err(_) => {
                    let resolved = self.resolved.lock();
                    resolved
                        .get(&endpoint.host)
                        .is_some_and(|known| known.contains(&ip))
                }
            })
    }
}

/// Whether a name may lead to `address`. Whoever controls a name must not reach
/// the gateway itself or the services that a cloud puts beside it; only an
/// endpoint granted by its address can.
fn reachable_by_name(address: IpAddr, local: bool) -> bool {
    // What a translator on the way would make of it is what counts.
    let address = match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    const AWS_METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let forbidden = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == AWS_METADATA_V6
        }
    };
    !forbidden && (local || !address.is_loopback())
}

/// The IPv4 address that an IPv6 address stands for: IPv4-compatible and -mapped
/// (RFC 4291), NAT64 (RFC 6052, the well-known prefix) and 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::NetworkPolicy;
    use crate::spec::Endpoint;

    fn policy(tcp: &[&str]) -> NetworkPolicy {
        let endpoint = |text: &&str| Endpoint::try_from((*text).to_owned()).unwrap();
        let tcp: Vec<Endpoint> = tcp.iter().map(endpoint).collect();
        NetworkPolicy::new(&tcp, &[], Arc::default())
    }

    #[test]
    fn an_address_is_granted_with_its_port_and_in_any_notation() {
        let policy = policy(&["192.0.2.7:502", "[2001:db8::1]:502"]);
        for allowed in [
            "192.0.2.7:502",
            "[::ffff:192.0.2.7]:502",
            "[2001:db8::1]:502",
        ] {
            assert!(policy.allows_tcp(allowed.parse().unwrap()), "{allowed}");
        }
        for refused in [
            "192.0.2.7:503",
            "192.0.2.8:502",
            "0.0.0.0:502",
            "169.254.169.254:80",
        ] {
            assert!(!policy.allows_tcp(refused.parse().unwrap()), "{refused}");
        }
        assert!(!policy.allows_udp("192.0.2.7:502".parse().unwrap()));
    }

    #[test]
    fn a_name_leads_only_where_it_resolved_to() {
        let policy = policy(&["plc.example:502"]);
        let address = "192.0.2.7:502".parse().unwrap();
        assert!(!policy.allows_tcp(address));
        policy.admit_resolved("plc.example", &["192.0.2.7".parse().unwrap()]);
        assert!(policy.allows_tcp(address));
        policy.admit_resolved("plc.example", &["192.0.2.9".parse().unwrap()]);
        assert!(!policy.allows_tcp(address));
    }

    #[test]
    fn no_name_leads_to_metadata_services_or_the_gateway_itself() {
        let policy = policy(&["evil.example:80"]);
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "64:ff9b::127.0.0.1",
            "fd00:ec2::254",
            "fe80::1",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            let found = [address.parse().unwrap()];
            assert!(
                policy.admit_resolved("evil.example", &found).is_empty(),
                "{address}"
            );
        }
        let loopback = ["127.0.0.1".parse().unwrap()];
        assert_eq!(policy.admit_resolved("localhost", &loopback).len(), 1);
    }

    #[test]
    fn only_granted_names_are_resolved() {
        let policy = policy(&["plc.example:502"]);
        assert!(policy.names("plc.example"));
        assert!(!policy.names("exfiltrate.example"));
    }
}
