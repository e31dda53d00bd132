//! What devices are told of the gateway, as it is now.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::devices::{addresses, host_name};
use crate::tls::Fingerprint;

/// Bytes of the authorities' file.
const CA_BYTES_MAX: u64 = 64 << 10;
/// Addresses that are told.
const ADDRESSES_MAX: usize = 16;

/// The gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    /// Where the broker listens.
    pub(super) broker: SocketAddr,
    /// The port on which discovery is answered, if it is.
    pub(super) https: Option<u16>,
    /// What devices are to trust (PEM).
    pub(super) ca: PathBuf,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) addresses: Vec<IpAddr>,
    /// PEM.
    pub(super) ca: String,
    /// Of the first certificate in it.
    pub(super) fingerprint: Fingerprint,
}

impl Gateway {
    /// What is told now. Touches the disk.
    pub(super) fn told(&self) -> io::Result<Told> {
        let mut bytes = Vec::new();
        let file = fs_err::File::open(&self.ca)?;
        file.take(CA_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let unusable = |what: &str| io::Error::other(format!("{}: {what}", self.ca.display()));
        if bytes.len() as u64 > CA_BYTES_MAX {
            return Err(unusable("it is too large"));
        }
        let first = CertificateDer::from_pem_slice(&bytes);
        let first = first.map_err(|_| unusable("there is no certificate in it"))?;
        Ok(Told {
            addresses: reachable(self.broker.ip(), addresses().into_iter()),
            fingerprint: Fingerprint(Sha256::digest(&first).into()),
            ca: String::from_utf8(bytes).map_err(|_| unusable("it is no text"))?,
        })
    }

    /// The answer of Greengrass discovery.
    pub(super) fn greengrass(&self, told: &Told) -> Value {
        let name = name();
        let port = self.broker.port();
        let connectivity = told.addresses.iter().map(|address| {
            let address = address.to_string();
            json!({
                "Id": address,
                "HostAddress": address,
                "PortNumber": port,
                "Metadata": "",
            })
        });
        json!({
            "GGGroups": [{
                "GGGroupId": format!("selvedge-{name}"),
                "Cores": [{
                    "thingArn": format!("urn:selvedge:gateway:{name}"),
                    "Connectivity": connectivity.collect::<Vec<_>>(),
                }],
                // One text, for clients take the first.
                "CAs": [told.ca],
            }],
        })
    }

    /// The same, on the bus.
    pub(super) fn kept(&self, told: &Told) -> Value {
        json!({
            "gateway": name(),
            "addresses": told.addresses,
            "port": self.broker.port(),
            "discovery_port": self.https,
            "ca": told.ca,
            "ca_fingerprint": told.fingerprint.to_string(),
        })
    }
}

/// What this machine is called.
pub(super) fn name() -> String {
    let name = host_name().and_then(|name| Some(name.split('.').next()?.to_owned()));
    name.unwrap_or_else(|| "gateway".to_owned())
}

/// Those of `own` by which others reach who listens at `bound`; loopback only if
/// there is nothing else.
pub(super) fn reachable(bound: IpAddr, own: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    if !bound.is_unspecified() {
        return vec![bound];
    }
    // Who listens at `::` hears IPv4 too.
    let same_kind = |address: &IpAddr| bound.is_ipv6() || address.is_ipv4();
    let (near, far): (Vec<_>, Vec<_>) = own.filter(same_kind).partition(IpAddr::is_loopback);
    let mut told = if far.is_empty() { near } else { far };
    told.truncate(ADDRESSES_MAX);
    told
}
