//! Keys and certificates: what stands in them.
//!
//! ECDSA on P-256 unless asked otherwise: every TLS library of this field speaks
//! it. A device's certificate is good for nothing but being that device.

use std::net::IpAddr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SanType, SerialNumber,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{AuthorityError, Held, NewAuthority, RequestKey, text};
use crate::devices::admission::{DNS, URN};
use crate::names::PartyName;
use crate::tls::Fingerprint;

/// Certificates begin so long ago, for devices whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);
/// Bytes of a serial number (RFC 5280, 4.1.2.2: at most 20).
const SERIAL_BYTES: usize = 16;

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyType {
    #[default]
    EcdsaP256,
    EcdsaP384,
    Rsa3072,
}

/// A certificate that was made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// As PEM.
    pub certificate: String,
    /// Its key as PEM (PKCS #8), if it was made here.
    pub key: Option<String>,
    pub fingerprint: Fingerprint,
    /// In hexadecimal digits.
    pub serial: String,
    pub not_after: Timestamp,
}

/// Whom a certificate is about.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Device(&'a PartyName),
    Server(&'a [String]),
}

impl KeyType {
    fn generate(self) -> Result<KeyPair, AuthorityError> {
        let key = match self {
            Self::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
        };
        key.map_err(AuthorityError::Key)
    }
}

impl Held<'_> {
    pub(super) fn certify(
        &self,
        subject: Subject<'_>,
        key: RequestKey<'_>,
        days: u32,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let mut params = dated(days, now)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let common = describe(&mut params, subject)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common);
        // No certificate outlives what vouches for it.
        let path = &self.authority.files.ca;
        let end = not_after(path, &CertificateDer::from(self.certificate.as_slice()))?;
        if end <= now {
            return Err(AuthorityError::Ended(end));
        }
        params.not_after = params.not_after.min(moment(end)?);
        let not_after = Timestamp::from_second(params.not_after.unix_timestamp());
        let not_after = not_after.map_err(|_| AuthorityError::Time)?;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let sign = |public: &dyn PublicKey| public.certify(&params, self);
        let (certificate, key) = match key {
            RequestKey::New(kind) => {
                let key = kind.generate()?;
                (sign(&key)?, Some(key.serialize_pem()))
            }
            RequestKey::Signing(request) => {
                let request = CertificateSigningRequestParams::from_pem(request);
                let request = request.map_err(AuthorityError::Request)?;
                (sign(&request.public_key)?, None)
            }
        };
        Ok(Issued {
            fingerprint: fingerprint(certificate.der()),
            certificate: certificate.pem(),
            key,
            serial: hex(&serial),
            not_after,
        })
    }
}

/// A public key, whoever has the other half.
trait PublicKey {
    fn certify(
        &self,
        params: &CertificateParams,
        by: &Held<'_>,
    ) -> Result<rcgen::Certificate, AuthorityError>;
}

impl<T: PublicKeyData> PublicKey for T {
    fn certify(
        &self,
        params: &CertificateParams,
        by: &Held<'_>,
    ) -> Result<rcgen::Certificate, AuthorityError> {
        let signed = params.signed_by(self, &by.issuer);
        signed.map_err(AuthorityError::Certificate)
    }
}

fn describe(
    params: &mut CertificateParams,
    subject: Subject<'_>,
) -> Result<String, AuthorityError> {
    let ascii = |text: String| {
        let name = text.as_str().try_into();
        name.map_err(|_| AuthorityError::Name(text.clone()))
    };
    match subject {
        Subject::Device(device) => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![
                SanType::URI(ascii(format!("{URN}{device}"))?),
                SanType::DnsName(ascii(format!("{device}{DNS}"))?),
            ];
            Ok(device.to_string())
        }
        Subject::Server(names) => {
            // RSA key exchange is not spoken, so signing is all it needs.
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in names {
                params.subject_alt_names.push(match name.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(ascii(name.clone())?),
                });
            }
            Ok(names.first().cloned().unwrap_or_default())
        }
    }
}

/// A certificate that vouches for itself, and its key, as PEM.
pub(super) fn authority(
    new: &NewAuthority,
    now: Timestamp,
) -> Result<(String, String), AuthorityError> {
    let key = new.key_type.generate()?;
    let mut params = dated(new.days, now)?;
    params.distinguished_name = DistinguishedName::new();
    let name = new.name.as_str();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    let certificate = params.self_signed(&key);
    let certificate = certificate.map_err(AuthorityError::Certificate)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A certificate that vouches and those that vouch for it, and its key, from
/// files: the first alone, all, the key.
pub(super) fn existing(
    certificates: &Path,
    key: &Path,
) -> Result<(String, String, String), AuthorityError> {
    let fault = |what: &str| AuthorityError::file(certificates, what);
    let (chain, key_text) = (text(certificates)?, text(key)?);
    let pair = KeyPair::from_pem(&key_text);
    let pair = pair.map_err(|error| AuthorityError::file(key, error))?;
    let first = CertificateDer::from_pem_slice(chain.as_bytes());
    let first = first.map_err(|error| AuthorityError::file(certificates, error))?;
    let (_, parsed) = X509Certificate::from_der(&first)
        .map_err(|error| AuthorityError::file(certificates, error))?;
    if !parsed.is_ca() {
        return Err(fault("its first certificate vouches for nobody"));
    }
    let usage = parsed.key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.key_cert_sign() || !usage.value.crl_sign()) {
        return Err(fault(
            "its first certificate may not sign certificates and revocation lists",
        ));
    }
    if parsed.public_key().raw != pair.subject_public_key_info() {
        return Err(AuthorityError::file(
            key,
            "it is not the key of the certificate",
        ));
    }
    if !parsed.validity().is_valid() {
        return Err(fault("its first certificate is not valid now"));
    }
    let alone = chain.split_inclusive("-----END CERTIFICATE-----").next();
    let alone = format!("{}\n", alone.unwrap_or_default().trim());
    Ok((alone, chain, pair.serialize_pem()))
}

fn dated(days: u32, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let days = SignedDuration::from_hours(24 * i64::from(days));
    let mut params = CertificateParams::default();
    let (from, to) = (now.checked_sub(BACKDATED), now.checked_add(days));
    params.not_before = moment(from.map_err(|_| AuthorityError::Time)?)?;
    params.not_after = moment(to.map_err(|_| AuthorityError::Time)?)?;
    Ok(params)
}

pub(super) fn moment(time: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(time.as_second()).map_err(|_| AuthorityError::Time)
}

/// Positive, and not to be guessed.
fn serial() -> Result<[u8; SERIAL_BYTES], AuthorityError> {
    let mut bytes = [0; SERIAL_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| AuthorityError::Random(std::io::Error::other(error)))?;
    // Neither negative nor shortened by a leading zero.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        written.expect("a string takes everything");
        text
    })
}

pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate).into())
}

/// When the certificate in the file at `path` ends.
pub(super) fn not_after(
    path: &Path,
    certificate: &CertificateDer<'_>,
) -> Result<Timestamp, AuthorityError> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| AuthorityError::file(path, error))?;
    Timestamp::from_second(parsed.validity().not_after.timestamp())
        .map_err(|error| AuthorityError::file(path, error))
}

/// Whether a certificate is for `name`, a DNS name or an address.
pub(super) fn names(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice());
    let address = name.parse::<IpAddr>().ok().map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    names.unwrap_or_default().iter().any(|one| match one {
        GeneralName::DNSName(dns) => *dns == name,
        GeneralName::IPAddress(bytes) => address.as_deref() == Some(*bytes),
        _ => false,
    })
}

pub(super) fn is_self_signed(certificate: &[u8]) -> bool {
    let parsed = X509Certificate::from_der(certificate);
    parsed.is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}
