//! What a server sends to an uplink: the first byte chooses the version.

use crate::mqtt::{Decoder, Version};
use crate::packets::{self, LIMITS};

pub(super) fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let version = match first % 2 {
        0 => Version::V311,
        _ => Version::V5,
    };
    packets::check(|| Decoder::new(Some(version), LIMITS), rest);
}
