//! What one side that listens goes by, made from its files.
//!
//! Nothing is resumed: each handshake looks at the certificate anew, so that nobody
//! comes in by what a certificate was worth before it was revoked.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{StoresServerSessions, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tracing::warn;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer as _, X509Certificate};

use super::TlsError;
use super::files::{FILE_BYTES_MAX, LISTS_BYTES_MAX, Stamp, read, stamp};

/// Certificates that a client may show: its own and those between it and the
/// authority. More are work that anybody can ask for.
const CHAIN_MAX: usize = 6;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V12,
    V13,
}

/// Whether a client must show a certificate. One that it shows must be good in
/// either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    Required,
    Optional,
}

/// How TLS is spoken by who listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its own chain (PEM), its own certificate first.
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The authorities that vouch for clients (PEM).
    pub client_ca: PathBuf,
    /// Their revocation lists (PEM), one of each at least.
    pub crl: Option<PathBuf>,
    pub clients: Clients,
    /// Empty: all.
    pub versions: Vec<Version>,
    /// By their IANA names; empty: the safe ones.
    pub cipher_suites: Vec<String>,
    /// What is spoken over it, in order of preference; empty: whatever.
    pub alpn: Vec<Vec<u8>>,
}

/// What the next handshake goes by, and whom it would let in.
#[derive(Debug)]
pub struct Terms {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Terms {
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether a client that shows this chain, its own certificate first, would be
    /// let in now. Costs a signature or two.
    pub fn accept(&self, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let refused = |error| TlsError::Unusable(Box::new(error));
        let Some((own, others)) = chain.split_first() else {
            let error = tokio_rustls::rustls::Error::NoCertificatesPresented;
            return Err(refused(error));
        };
        let verified = self
            .verifier
            .verify_client_cert(own, others, UnixTime::now());
        verified.map(|_| ()).map_err(refused)
    }
}

/// Whether there is a cipher suite of this name.
pub fn is_cipher_suite(name: &str) -> bool {
    suites(&[name.to_owned()]).is_ok()
}

fn suites(names: &[String]) -> Result<Vec<tokio_rustls::rustls::SupportedCipherSuite>, TlsError> {
    let known = aws_lc_rs::default_provider().cipher_suites;
    if names.is_empty() {
        return Ok(known);
    }
    let find = |name: &String| {
        // rustls calls `TLS_AES_…` of TLS 1.3 `TLS13_AES_…`.
        let same = |suite: &&tokio_rustls::rustls::SupportedCipherSuite| {
            let own = format!("{:?}", suite.suite());
            own == *name || own.replacen("TLS13_", "TLS_", 1) == *name
        };
        let found = known.iter().find(same).copied();
        found.ok_or_else(|| TlsError::NoSuch { name: name.clone() })
    };
    names.iter().map(find).collect()
}

impl ServerSettings {
    pub(super) fn stamps(&self) -> [Stamp; 4] {
        let Self {
            certificate,
            key,
            client_ca,
            ..
        } = self;
        let [certificate, key, client_ca] = [certificate, key, client_ca].map(|path| stamp(path));
        let crl = self.crl.as_deref().and_then(stamp);
        [certificate, key, client_ca, crl]
    }

    pub(super) fn terms(&self) -> Result<Terms, TlsError> {
        let own = read(&self.certificate, FILE_BYTES_MAX)?;
        let key = read(&self.key, FILE_BYTES_MAX)?;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: suites(&self.cipher_suites)?,
            ..aws_lc_rs::default_provider()
        });
        let verifier = self.verifier(&provider)?;
        let build = || -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
            let chain = CertificateDer::pem_slice_iter(&own).collect::<Result<Vec<_>, _>>()?;
            let key = PrivateKeyDer::from_pem_slice(&key)?;
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&self.versions())?
                .with_client_cert_verifier(Arc::clone(&verifier))
                .with_single_cert(chain, key)?;
            config.alpn_protocols.clone_from(&self.alpn);
            config.session_storage = Arc::new(Forgetful);
            config.send_tls13_tickets = 1;
            Ok(config)
        };
        let config = build().map(Arc::new).map_err(TlsError::Unusable)?;
        Ok(Terms { config, verifier })
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [(Version::V13, &TLS13), (Version::V12, &TLS12)];
        let wanted = |version| self.versions.is_empty() || self.versions.contains(version);
        let wanted = all.iter().filter(|(version, _)| wanted(version));
        wanted.map(|(_, version)| *version).collect()
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let unusable = |error| TlsError::Unusable(error);
        let authorities = read(&self.client_ca, FILE_BYTES_MAX)?;
        let authorities =
            CertificateDer::pem_slice_iter(&authorities).collect::<Result<Vec<_>, _>>();
        let authorities = authorities.map_err(|error| unusable(error.into()))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            let added = roots.add(authority.clone());
            added.map_err(|error| unusable(error.into()))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match &self.crl {
            Some(crl) => {
                let lists = read(crl, LISTS_BYTES_MAX)?;
                let lists = CertificateRevocationListDer::pem_slice_iter(&lists);
                let lists = lists.collect::<Result<Vec<_>, _>>();
                let lists = lists.map_err(|error| unusable(error.into()))?;
                every_authority_has_a_list(&authorities, &lists)?;
                builder.with_crls(lists)
            }
            None => builder,
        };
        let builder = match self.clients {
            Clients::Required => builder,
            Clients::Optional => builder.allow_unauthenticated(),
        };
        let verifier = builder.build().map_err(|error| unusable(error.into()))?;
        Ok(Arc::new(ShortChains(verifier)))
    }
}

/// With lists at all, whoever is on none of their authority is refused; that every
/// client of one authority is refused is better said when the files are read.
fn every_authority_has_a_list(
    authorities: &[CertificateDer<'_>],
    lists: &[CertificateRevocationListDer<'_>],
) -> Result<(), TlsError> {
    let mut issuers = Vec::new();
    for list in lists {
        let Ok((_, list)) = CertificateRevocationList::from_der(list) else {
            continue;
        };
        let next = list.next_update().map(|time| time.timestamp());
        if next.is_some_and(|next| next < ASN1Time::now().timestamp()) {
            // A site without a network for weeks goes on with what it knows.
            let authority = list.issuer().to_string();
            warn!(
                authority,
                "revocation list out of date: it counts all the same"
            );
        }
        issuers.push(list.issuer().as_raw().to_vec());
    }
    for authority in authorities {
        let Ok((_, authority)) = X509Certificate::from_der(authority) else {
            continue;
        };
        let subject = authority.subject();
        if !issuers.iter().any(|issuer| issuer == subject.as_raw()) {
            let authority = subject.to_string();
            return Err(TlsError::NoRevocationList { authority });
        }
    }
    Ok(())
}

/// Remembers no session. Its tickets are good for nothing and are given all the
/// same: without any answer to the end of the handshake of TLS 1.3, the first thing
/// that a client says waits for a delayed acknowledgement, some 40 ms, unless it
/// has turned Nagle's algorithm off.
#[derive(Debug)]
struct Forgetful;

impl StoresServerSessions for Forgetful {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        true
    }

    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        false
    }
}

/// Refuses chains that are longer than any real one, before looking at them.
#[derive(Debug)]
struct ShortChains(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ShortChains {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, tokio_rustls::rustls::Error> {
        if others.len() >= CHAIN_MAX {
            let text = "the chain is too long".to_owned();
            return Err(tokio_rustls::rustls::Error::General(text));
        }
        self.0.verify_client_cert(own, others, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, tokio_rustls::rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
