//! What the gateway is called: the names and addresses in its certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use if_addrs::IfAddr;

use super::AuthorityError;
use crate::devices::disk;

/// Names and addresses in one certificate; more are left out.
const NAMES_MAX: usize = 64;
/// Bytes of one name (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
const FILE_BYTES_MAX: u64 = 32 << 10;
/// The file with the names that were given, one a line.
pub(super) const NAMES: &str = "server.names";

/// All names and addresses of this machine, the given ones first.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, AuthorityError> {
    let path = folder.join(NAMES);
    let given = match path.exists() {
        true => disk::read(&path, FILE_BYTES_MAX)?,
        false => Vec::new(),
    };
    let given = String::from_utf8_lossy(&given);
    let given = given.lines().map(str::to_owned);
    let host = host_name().into_iter();
    let host = host.flat_map(|host| [format!("{host}.local"), host.clone()]);
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let addresses = addresses().into_iter().map(|address| address.to_string());
    let mut seen = BTreeSet::new();
    let all = given.chain(host).chain(own).chain(addresses);
    let all = all.filter(|name| is_name(name) && seen.insert(name.clone()));
    Ok(all.take(NAMES_MAX).collect())
}

/// Whether all are names or addresses.
pub(super) fn check(names: &[String]) -> Result<(), AuthorityError> {
    match names.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(AuthorityError::Name(bad.clone())),
        None => Ok(()),
    }
}

/// The addresses of this machine that others may reach it by, in a fixed order.
/// None, if the system does not say.
pub fn addresses() -> BTreeSet<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    let found = found.map(|interface| match interface.addr {
        IfAddr::V4(address) => IpAddr::V4(address.ip),
        IfAddr::V6(address) => IpAddr::V6(address.ip),
    });
    // An address that is only good with a zone is in nobody's certificate.
    let local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    found.filter(|address| !local(address)).collect()
}

/// As the kernel says it; the first label, if it is fit for a certificate.
pub fn host_name() -> Option<String> {
    let text = disk::read(Path::new("/proc/sys/kernel/hostname"), 256).ok()?;
    let name = String::from_utf8(text).ok()?.trim().to_ascii_lowercase();
    is_name(&name).then_some(name)
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(plain)
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= NAME_BYTES_MAX && name.split('.').all(label))
}
