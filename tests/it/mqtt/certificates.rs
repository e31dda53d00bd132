//! An authority of a test, what it vouches for, and clients that believe it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Where a pair was written.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer }
    }

    /// A pair for `name`, good for a server on 127.0.0.1 and for a client.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::DnsName("localhost".try_into().unwrap()),
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// As [`issue`](Self::issue), written to `folder` for other programs.
    pub(crate) fn write(&self, name: &str, folder: &Path) -> Files {
        let pair = self.issue(name);
        let files = Files {
            authority: folder.join("authority.pem"),
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        fs_err::write(&files.authority, self.issuer.pem()).unwrap();
        fs_err::write(&files.certificate, pair.certificate).unwrap();
        fs_err::write(&files.key, pair.key).unwrap();
        files
    }

    /// A client that believes this authority and shows `pair`.
    pub(crate) fn client(&self, pair: &Pair) -> Arc<ClientConfig> {
        client(&self.issuer.pem(), pair)
    }
}

/// A client that believes `authority` and shows `pair`.
pub(crate) fn client(authority: &str, pair: &Pair) -> Arc<ClientConfig> {
    let certificates = |pem: &str| {
        let all = CertificateDer::pem_slice_iter(pem.as_bytes());
        all.map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(authority));
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&pair.certificate), key);
    Arc::new(config.unwrap())
}
