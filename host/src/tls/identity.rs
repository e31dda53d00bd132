//! Who a verified certificate speaks of.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Bytes of one name.
const NAME_BYTES_MAX: usize = 256;
/// Names of one kind.
const NAMES_MAX: usize = 16;
/// Bytes of a serial number (RFC 5280, section 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

/// Text that is not 64 hexadecimal digits, with or without colons between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// That of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let mut digits = text.chars().filter(|char| *char != ':');
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            for _ in 0..2 {
                let digit = digits.next().and_then(|char| char.to_digit(16));
                let digit = digit.and_then(|digit| u8::try_from(digit).ok());
                *byte = *byte << 4 | digit.ok_or(NotAFingerprint)?;
            }
        }
        digits
            .next()
            .is_none()
            .then_some(Self(bytes))
            .ok_or(NotAFingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a certificate that was verified says of its holder. Names are as they
/// stand there, at most 256 printable ASCII characters each; others are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The first common name of the subject.
    pub common_name: Option<String>,
    /// Subject alternative names that are URIs.
    pub uris: Vec<String>,
    /// Subject alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// Subject alternative names that are mail addresses.
    pub mail_addresses: Vec<String>,
    pub fingerprint: Fingerprint,
    /// In hexadecimal digits, without separators.
    pub serial: String,
    /// When it ends, in seconds since the Unix epoch.
    pub not_after: i64,
}

impl Identity {
    /// What `certificate` says, which was verified before. None, if it cannot be
    /// read or its names contradict the standard.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let fingerprint = Fingerprint::of(certificate);
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let mut identity = Self {
            common_name: None,
            uris: Vec::new(),
            dns_names: Vec::new(),
            mail_addresses: Vec::new(),
            fingerprint,
            serial: serial(certificate.raw_serial())?,
            not_after: certificate.validity().not_after.timestamp(),
        };
        let mut common_names = certificate.subject().iter_common_name();
        let common_name = common_names.next().and_then(|name| name.as_str().ok());
        identity.common_name = common_name.filter(|name| is_plain(name)).map(str::to_owned);
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.map(|names| names.value.general_names.as_slice());
        for name in names.unwrap_or_default() {
            let (names, name) = match name {
                GeneralName::URI(uri) => (&mut identity.uris, *uri),
                GeneralName::DNSName(dns) => (&mut identity.dns_names, *dns),
                GeneralName::RFC822Name(mail) => (&mut identity.mail_addresses, *mail),
                _ => continue,
            };
            if names.len() < NAMES_MAX && is_plain(name) {
                names.push(name.to_owned());
            }
        }
        Some(identity)
    }

    /// One name for a list and a log: the first URI, else DNS name, else mail
    /// address, else the common name.
    pub fn name(&self) -> Option<&str> {
        let names = self.uris.iter().chain(&self.dns_names);
        let mut names = names.chain(&self.mail_addresses).chain(&self.common_name);
        names.next().map(String::as_str)
    }
}

/// Leading zeros are not part of the number.
fn serial(bytes: &[u8]) -> Option<String> {
    let first = bytes.iter().position(|byte| *byte != 0);
    let bytes = bytes.get(first.unwrap_or(bytes.len().saturating_sub(1))..)?;
    let fits = (1..=SERIAL_BYTES_MAX).contains(&bytes.len());
    fits.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_plain(name: &str) -> bool {
    let plain = |char: char| char.is_ascii_graphic() || char == ' ';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain)
}
