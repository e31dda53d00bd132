//! Whether a certificate and a key belong together.

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Whether the first certificate of a chain is one for `key`, both PEM. What cannot
/// be read fits nothing.
pub fn fits(chain: &[u8], key: &[u8]) -> bool {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let (Ok(chain), Ok(key)) = (chain, PrivateKeyDer::from_pem_slice(key)) else {
        return false;
    };
    let pair = CertifiedKey::from_der(chain, key, &default_provider());
    pair.is_ok_and(|pair| pair.keys_match().is_ok())
}
