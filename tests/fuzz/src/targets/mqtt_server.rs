//! What a client sends to the broker, from CONNECT on.

use crate::mqtt::Decoder;
use crate::packets::{self, LIMITS};

pub(super) fn check(bytes: &[u8]) {
    packets::check(|| Decoder::new(None, LIMITS), bytes);
}
