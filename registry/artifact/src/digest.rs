//! SHA-256 digests in the form `sha256:<64 hex digits>` (OCI image-spec,
//! descriptor.md, "Digests"). Other algorithms are refused: one is enough, and
//! two would let an artifact have two names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::foreign::cut;

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 hex digits")]
pub struct DigestError(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hex digits alone, for file names.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let parse = || {
            let (pairs, rest) = text.strip_prefix("sha256:")?.as_bytes().as_chunks::<2>();
            let digits: [[u8; 2]; 32] = pairs.try_into().ok()?;
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(digits) {
                let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
                let pair = pair.iter().all(|&c| lower(c)).then_some(pair)?;
                *byte = u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?;
            }
            rest.is_empty().then_some(Self(bytes))
        };
        parse().ok_or_else(|| DigestError(cut(text)))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "sha256:",
            "sha256:e3",
            "md5:00",
            &format!("sha256:{}", "G".repeat(64)),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let long = format!("sha256:{}", "0".repeat(66));
        assert!(long.parse::<Digest>().is_err());
    }
}
