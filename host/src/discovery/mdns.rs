//! Announces the broker by mDNS and DNS-SD (RFC 6762, 6763): `_secure-mqtt._tcp`.
//!
//! Whoever hears it may be anybody, and whoever says it too: a device trusts the
//! authority that it was given, not what it hears. The library's thread lives as
//! long as the unit.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, ServiceDaemon, ServiceInfo};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::POLICY;
use super::gateway::{Gateway, Told, name};
use crate::supervisor::{Unit, UnitContext, UnitResult};

pub(super) const SERVICE: &str = "_secure-mqtt._tcp.local.";
const PATH: &str = "/greengrass/discover/thing/";
/// For taking the announcement back.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

pub(super) fn unit(gateway: Arc<Gateway>, interfaces: Vec<String>) -> Unit {
    Unit::new("discovery/mdns", POLICY, move |context| {
        announce(Arc::clone(&gateway), interfaces.clone(), context)
    })
}

async fn announce(
    gateway: Arc<Gateway>,
    interfaces: Vec<String>,
    context: UnitContext,
) -> UnitResult {
    let looking = Arc::clone(&gateway);
    let told = spawn_blocking(move || looking.told()).await??;
    // Dropped, its thread goes on: so it is shut down whatever happens below.
    let daemon = Daemon(ServiceDaemon::new()?);
    let service = service(&gateway, &told, &interfaces)?;
    let full_name = service.get_fullname().to_owned();
    if interfaces.is_empty() {
        let loopback = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
        daemon.0.disable_interface(loopback)?;
    } else {
        daemon.0.disable_interface(IfKind::All)?;
        let named: Vec<_> = interfaces.into_iter().map(IfKind::Name).collect();
        daemon.0.enable_interface(named)?;
    }
    let events = daemon.0.monitor()?;
    daemon.0.register(service)?;
    info!(service = %full_name, "broker announced");
    context.ready();
    loop {
        tokio::select! {
            () = context.stop.cancelled() => break,
            event = events.recv_async() => match event? {
                DaemonEvent::Error(error) => warn!(error = %error, "broker not announced"),
                DaemonEvent::NameChange(change) => {
                    warn!(name = %change.new_name, "somebody else has our name: we take another");
                }
                _ => {}
            }
        }
    }
    let gone = daemon.0.unregister(&full_name)?;
    // Heard or not, the announcement runs out by itself.
    drop(timeout(FAREWELL_MAX, gone.recv_async()).await);
    Ok(())
}

/// The library's thread.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            warn!(error = %error, "mDNS not shut down");
        }
    }
}

fn service(gateway: &Gateway, told: &Told, interfaces: &[String]) -> mdns_sd::Result<ServiceInfo> {
    let name = name();
    let fingerprint = told.fingerprint.to_string();
    let https = gateway.https.map(|port| port.to_string());
    let mut text = vec![
        ("txtvers", "1"),
        ("mqtt", "3.1.1 5"),
        ("ca", fingerprint.as_str()),
    ];
    if let Some(port) = &https {
        text.extend([("https", port.as_str()), ("path", PATH)]);
    }
    let bound = gateway.broker.ip();
    let fixed: Vec<IpAddr> = match bound.is_unspecified() {
        true => Vec::new(),
        false => vec![bound],
    };
    let follows = fixed.is_empty();
    let host = format!("{name}.local.");
    let port = gateway.broker.port();
    let mut service = ServiceInfo::new(SERVICE, &name, &host, &fixed[..], port, &text[..])?;
    if !interfaces.is_empty() {
        service.set_interfaces(interfaces.iter().cloned().map(IfKind::Name).collect());
    }
    Ok(match follows {
        true => service.enable_addr_auto(),
        false => service,
    })
}
