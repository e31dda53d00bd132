//! Clients that the demo itself registers: what they may do, and what they show.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::devices::{
    Authority, AuthorityError, DeviceFile, FileError, Issued, KeyType, NewAuthority, Request,
    RequestKey,
};
use crate::names::PartyName;

/// Days for which the demo's authorities and certificates are good: more than
/// anyone watches it.
const DAYS: u32 = 3_650;

/// Why a client is not registered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot vouch for a client")]
    Authority(#[from] AuthorityError),
    #[error("cannot register a client")]
    File(#[from] FileError),
    #[error("certificates or key cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a client shows and trusts, as PEM.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes an authority in `directory`, which has none.
pub(super) fn authority(directory: &Path, name: &str) -> Result<Authority, AuthorityError> {
    let new = NewAuthority {
        name: name.to_owned(),
        days: DAYS,
        key_type: KeyType::default(),
        from: None,
        server_names: Vec::new(),
    };
    Authority::create(directory, &new)
}

/// Vouches for a client and registers it in `directory`, with the topics it needs
/// and no other.
pub(super) fn register(
    directory: &Path,
    authority: &Authority,
    name: &PartyName,
    [publish, subscribe]: [&[&str]; 2],
) -> Result<Credentials, ClientError> {
    let issued = authority.issue(&Request {
        device: name,
        key: RequestKey::New(KeyType::default()),
        days: DAYS,
    })?;
    let some = |filters: &[&str]| Some(filters.iter().map(|&filter| filter.into()).collect());
    let file = DeviceFile {
        publish: some(publish),
        subscribe: some(subscribe),
        fingerprints: vec![issued.fingerprint],
        ..DeviceFile::default()
    };
    file.create(directory, name)?;
    let Issued {
        certificate, key, ..
    } = issued;
    Ok(Credentials {
        ca: authority.chain()?,
        certificate,
        key: key.unwrap_or_default(),
    })
}

impl Credentials {
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, ClientError> {
        tls(&self.ca, &self.certificate, &self.key)
    }
}

/// How a client speaks that trusts `ca` and shows the others.
pub(super) fn tls(
    ca: &str,
    certificate: &str,
    key: &str,
) -> Result<Arc<ClientConfig>, ClientError> {
    let build = || -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(root?)?;
        }
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(config.with_client_auth_cert(chain, key)?)
    };
    build().map(Arc::new).map_err(ClientError::Unusable)
}
