//! One connection, and what is known of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::broker::told::Told;
use crate::devices::Device;
use crate::names::PartyName;

/// A connected device, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    pub device: PartyName,
    pub client_id: Arc<str>,
    pub address: SocketAddr,
    pub since: SystemTime,
}

/// One connection: all that is known of it in one place, since there are many.
#[derive(Debug)]
pub(in crate::broker) struct Client {
    /// In order of arrival.
    pub(super) id: u64,
    /// The number of its way in.
    pub(super) entrance: u32,
    pub(in crate::broker) end: Told,
    pub(super) address: SocketAddr,
    since: SystemTime,
    shown: Mutex<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    certificates: Option<Arc<Certificates>>,
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
#[derive(Debug)]
pub(in crate::broker) struct Certificates {
    /// Its own first.
    pub(in crate::broker) chain: Box<[CertificateDer<'static>]>,
    /// When its own ends, in seconds since the Unix epoch.
    pub(in crate::broker) not_after: i64,
}

/// One that is to be looked at again.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Watched {
    pub(in crate::broker) address: SocketAddr,
    pub(in crate::broker) certificates: Option<Arc<Certificates>>,
    /// None while it is entering.
    pub(in crate::broker) device: Option<Arc<Device>>,
    pub(in crate::broker) until: Option<Instant>,
    pub(in crate::broker) client: Arc<Client>,
}

impl Client {
    pub(super) fn new(id: u64, entrance: u32, address: SocketAddr) -> Self {
        Self {
            id,
            entrance,
            end: Told::default(),
            address,
            since: SystemTime::now(),
            shown: Mutex::default(),
        }
    }

    pub(super) fn shows(&self, certificates: Certificates) {
        self.shown.lock().certificates = Some(Arc::new(certificates));
    }

    /// It is `device`, until then if at all.
    pub(super) fn is(&self, device: &Arc<Device>, client_id: &Arc<str>, until: Option<Instant>) {
        self.shown.lock().known = Some(Known {
            device: Arc::clone(device),
            client_id: Arc::clone(client_id),
            until,
        });
    }

    /// None: it is not known who it is.
    pub(in crate::broker) fn status(&self) -> Option<ClientStatus> {
        let shown = self.shown.lock();
        let known = shown.known.as_ref()?;
        Some(ClientStatus {
            device: known.device.name.clone(),
            client_id: Arc::clone(&known.client_id),
            address: self.address,
            since: self.since,
        })
    }

    pub(super) fn watched(self: &Arc<Self>) -> Watched {
        let shown = self.shown.lock();
        let known = shown.known.as_ref();
        Watched {
            address: self.address,
            certificates: shown.certificates.clone(),
            device: known.map(|known| Arc::clone(&known.device)),
            until: known.and_then(|known| known.until),
            client: Arc::clone(self),
        }
    }
}
