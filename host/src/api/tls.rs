//! TLS with client certificates: who is let in, and by which name.
//!
//! TLS 1.2 and 1.3 with the defaults of rustls. The files are looked at before
//! each handshake and read again when they changed; what cannot be used then
//! changes nothing. A certificate's name is its first URI, DNS name or mail
//! address, in this order of kinds, else its common name.

use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tracing::{info, warn};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::config::HttpsConfig;
use crate::error_chain::ErrorChain;

/// Bytes of one file of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of an identity.
const IDENTITY_BYTES_MAX: usize = 256;

/// Why the API is not served over the network.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or larger than any of its kind.
    #[error("cannot read the certificates or the key")]
    Read(#[from] std::io::Error),
    /// A file holds something else, or key and certificate do not belong together.
    #[error("the certificates or the key cannot be used")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
}

/// The configuration of TLS, as its files are now.
#[derive(Debug)]
pub(super) struct Tls {
    files: [PathBuf; 3],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the files were changed that were looked at last.
    seen: Stamp,
    usable: Arc<ServerConfig>,
}

type Stamp = [Option<(SystemTime, u64)>; 3];

impl Tls {
    pub(super) fn open(config: &HttpsConfig) -> Result<Self, TlsError> {
        let files = [&config.certificate, &config.key, &config.client_ca].map(PathBuf::clone);
        let seen = stamp(&files);
        let usable = configure(&files)?;
        Ok(Self {
            files,
            state: Mutex::new(State { seen, usable }),
        })
    }

    /// What the next handshake goes by. Reads files.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock();
        let now = stamp(&self.files);
        if now != state.seen {
            state.seen = now;
            match configure(&self.files) {
                Ok(usable) => {
                    state.usable = usable;
                    info!("certificates read again");
                }
                Err(error) => {
                    let error = ErrorChain(&error).to_string();
                    warn!(error, "certificates not read again: the old ones serve");
                }
            }
        }
        Arc::clone(&state.usable)
    }
}

fn stamp(files: &[PathBuf; 3]) -> Stamp {
    files.each_ref().map(|path| {
        let metadata = fs_err::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn configure([certificate, key, client_ca]: &[PathBuf; 3]) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key, ca) = (read(certificate)?, read(key)?, read(client_ca)?);
    let build = || -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&key)?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&ca) {
            roots.add(root?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients.build()?)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    };
    build().map(Arc::new).map_err(TlsError::Unusable)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("{} has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(std::io::Error::other(text).into());
    }
    Ok(bytes)
}

/// By which name the holder of a verified certificate is known. None, if it has
/// none that could be written into a list and a log.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map(|names| names.value.general_names.as_slice());
    let names = names.unwrap_or_default();
    let first = |kind: fn(&GeneralName<'_>) -> Option<String>| names.iter().find_map(kind);
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        _ => None,
    };
    let mail = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(mail) => Some((*mail).to_owned()),
        _ => None,
    };
    let common = || {
        let mut names = certificate.subject().iter_common_name();
        Some(names.next()?.as_str().ok()?.to_owned())
    };
    let identity = first(uri).or_else(|| first(dns));
    let identity = identity.or_else(|| first(mail)).or_else(common)?;
    let plain = |char: char| char.is_ascii_graphic() || char == ' ';
    let fits = (1..=IDENTITY_BYTES_MAX).contains(&identity.len());
    (fits && identity.chars().all(plain)).then_some(identity)
}
