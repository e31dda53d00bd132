//! The server's side of TLS: a chain and a key become a configuration.
//!
//! TLS 1.2 and 1.3 with the defaults of rustls; no client certificates. Only
//! HTTP/1.1 is offered.

use std::error::Error;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ServeError;

/// How TLS connections are accepted with this chain and key (PEM).
pub(super) fn config(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, ServeError> {
    configure(chain, key)
        .map(Arc::new)
        .map_err(ServeError::Certificate)
}

fn configure(chain: &[u8], key: &[u8]) -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
