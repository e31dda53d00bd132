//! A message of the bus, as a line for people and from what people type.

use jiff::Timestamp;

use crate::api::wire::WireMessage;
use crate::deployment::document::fault::plain;

/// The payload for people: text on one line, or how many bytes there are.
pub(super) fn payload(message: &WireMessage) -> String {
    let kind = message.content_type.as_deref();
    match (&message.text, &message.base64) {
        (Some(text), _) => plain(text),
        (None, Some(base64)) => {
            let padding = base64.bytes().rev().take_while(|byte| *byte == b'=');
            let bytes = (base64.len() / 4 * 3).saturating_sub(padding.count());
            let kind = kind.map_or(String::new(), |kind| format!(" of {}", plain(kind)));
            format!("({bytes} bytes{kind})")
        }
        (None, None) => "(empty)".to_owned(),
    }
}

/// The time of day to the millisecond, UTC.
pub(super) fn time_of_day(time: Timestamp) -> String {
    let ms = time.as_millisecond().rem_euclid(86_400_000);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{ms:03}", seconds % 60)
}

/// Bytes in base64 (RFC 4648 section 4), as JSON carries them.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            let digit = DIGITS.get(digit as usize).copied().map(char::from);
            // A group of one byte has two digits, one of two bytes three.
            let digit = digit.filter(|_| place <= group.len());
            text.push(digit.unwrap_or('='));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::{base64, payload, time_of_day};
    use crate::api::wire::WireMessage;

    fn message(json: serde_json::Value) -> WireMessage {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn payloads_are_one_line_whatever_is_in_them() {
        for (json, shown) in [
            (serde_json::json!({ "topic": "a", "text": "21.5" }), "21.5"),
            (
                serde_json::json!({ "topic": "a", "text": "a\n\u{1b}[2J" }),
                "a\\u{a}\\u{1b}[2J",
            ),
            (
                serde_json::json!({ "topic": "a", "base64": "AAEC/w==" }),
                "(4 bytes)",
            ),
            (
                serde_json::json!({ "topic": "a", "base64": "AAEC", "content_type": "a/\rb" }),
                "(3 bytes of a/\\u{d}b)",
            ),
            (
                serde_json::json!({ "topic": "a", "base64": "=" }),
                "(0 bytes)",
            ),
            (serde_json::json!({ "topic": "a" }), "(empty)"),
        ] {
            assert_eq!(payload(&message(json)), shown);
        }
    }

    #[test]
    fn times_are_told_to_the_millisecond_before_and_after_1970() {
        for (ms, shown) in [
            (0, "00:00:00.000"),
            (-1, "23:59:59.999"),
            (1_800_000_123_456, "08:02:03.456"),
        ] {
            let time = Timestamp::from_millisecond(ms).unwrap();
            assert_eq!(time_of_day(time), shown);
        }
    }

    proptest! {
        #[test]
        fn base64_is_what_others_read(bytes: Vec<u8>) {
            prop_assert_eq!(STANDARD.decode(base64(&bytes)).unwrap(), bytes);
        }
    }
}
