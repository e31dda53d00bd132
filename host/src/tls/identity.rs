//! Who a verified certificate speaks of.

use std::fmt;

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

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
