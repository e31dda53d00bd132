//! Puts trusted roots together (`trusted_root.json`, sigstore protobuf specs).
//!
//! Only what a site without a sigstore instance of its own needs: the timestamp
//! authorities that say when its keys were used. Logs and certificate
//! authorities stay empty; an instance publishes its own document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cms::cert::x509::Certificate;
use const_oid::db::rfc4519::COMMON_NAME;
use der::{Decode as _, asn1::Utf8StringRef};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The media type that every reader of the sigstore protobuf specs knows.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// A trusted root in the making.
#[derive(Clone, Debug, Default)]
pub struct TrustedRootBuilder {
    timestamp_authorities: Vec<Value>,
}

impl TrustedRootBuilder {
    /// Trusts a timestamp authority by its certificate chain (X.509, DER, leaf
    /// first, root last) from `since` on, in whole seconds.
    #[must_use]
    pub fn timestamp_authority(mut self, chain: &[&[u8]], since: Timestamp) -> Self {
        let name = chain.first().and_then(|leaf| common_name(leaf));
        let entry = |certificate: &&[u8]| json!({ "rawBytes": STANDARD.encode(certificate) });
        let certificates: Vec<Value> = chain.iter().map(entry).collect();
        self.timestamp_authorities.push(json!({
            "subject": { "organization": "", "commonName": name.unwrap_or_default() },
            "uri": "",
            "certChain": { "certificates": certificates },
            "validFor": { "start": whole_seconds(since).to_string() },
        }));
        self
    }

    /// The document.
    pub fn to_bytes(&self) -> Vec<u8> {
        let root = json!({
            "mediaType": MEDIA_TYPE,
            "tlogs": [],
            "certificateAuthorities": [],
            "ctlogs": [],
            "timestampAuthorities": self.timestamp_authorities,
        });
        serde_json::to_vec_pretty(&root).expect("trusted roots are plain data")
    }
}

/// Rounded down: what was valid stays valid.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() - i64::from(time.subsec_nanosecond() < 0);
    Timestamp::from_second(seconds).unwrap_or(time)
}

/// What a certificate is called. For people: nothing depends on it.
fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let mut parts = certificate.tbs_certificate.subject.0.iter();
    let name = parts.find_map(|part| part.0.iter().find(|part| part.oid == COMMON_NAME))?;
    let name: Utf8StringRef<'_> = name.value.decode_as().ok()?;
    Some(name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sigstore_verify::trust_root::TrustedRoot;

    use super::{TrustedRootBuilder, whole_seconds};
    use crate::TimestampAuthority;

    #[test]
    fn a_trusted_root_is_read_back() {
        let now = Timestamp::now();
        let authority = TimestampAuthority::generate("site", now, 10).unwrap();
        let root = TrustedRootBuilder::default().timestamp_authority(&authority.chain(), now);
        let text = String::from_utf8(root.to_bytes()).unwrap();
        let root = TrustedRoot::from_json(&text).unwrap();
        let [read] = root.tsa_authorities().try_into().unwrap();
        assert_eq!(read.leaf.as_bytes(), authority.chain()[0]);
        assert_eq!(read.root.as_bytes(), authority.chain()[1]);
        assert_eq!(read.valid_for.unwrap().start, whole_seconds(now));
        let name = root.timestamp_authorities[0].subject.common_name.clone();
        assert_eq!(name.as_deref(), Some("site"));
        assert!(root.tlogs.is_empty() && root.certificate_authorities.is_empty());
    }

    #[test]
    fn seconds_are_rounded_down_on_both_sides_of_the_epoch() {
        for (nanoseconds, seconds) in [(1_999_999_999, 1), (0, 0), (-1, -1), (-1_000_000_000, -1)] {
            let time = Timestamp::from_nanosecond(nanoseconds).unwrap();
            assert_eq!(whole_seconds(time).as_second(), seconds, "{nanoseconds}");
        }
    }
}
