//! TLS of the API: always with client certificates.

use crate::tls::{Clients, Server, ServerSettings, TlsError};

use super::config::HttpsConfig;

/// How TLS is spoken, as its files are now.
pub(super) fn open(config: &HttpsConfig) -> Result<Server, TlsError> {
    Server::open(ServerSettings {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        client_ca: config.client_ca.clone(),
        crl: config.crl.clone(),
        clients: Clients::Required,
        versions: Vec::new(),
        cipher_suites: Vec::new(),
        alpn: vec![b"http/1.1".to_vec()],
    })
}
