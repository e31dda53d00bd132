//! Bytes that are written in base64 (RFC 4648, section 4), without a copy of the
//! text.

use std::fmt;

use serde::{Serialize, Serializer};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes of their own.
#[derive(Clone)]
pub(super) struct Base64(Box<[u8]>);

impl Base64 {
    pub(super) fn copy(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// Never the data: it belongs in no log.
impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for chunk in self.0.chunks(3) {
            let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let digit = bits >> (18 - 6 * place) & 63;
                let digit = DIGITS.get(digit as usize).copied().unwrap_or_default();
                let is_there = place <= chunk.len();
                f.write_char(if is_there { digit.into() } else { '=' })?;
            }
        }
        Ok(())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::proptest;

    use super::Base64;

    proptest! {
        #[test]
        fn it_is_what_others_make_of_it(bytes: Vec<u8>) {
            assert_eq!(Base64::copy(&bytes).to_string(), STANDARD.encode(&bytes));
        }
    }
}
