//! Messages of the bus as JSON, in both directions.
//!
//! A payload is text where it is UTF-8 and base64 (RFC 4648, section 4) where it
//! is not. What is none is refused with the field that is wrong.

use jiff::Timestamp;

use super::WireMessage;
use crate::bus::Message;

/// The 64 digits.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Why JSON is not a message: the field that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// The topic has wildcards, or is empty or too long.
    #[error("`topic` is not a topic without wildcards")]
    Topic,
    /// The same for where the answer goes.
    #[error("`reply_to` is not a topic without wildcards")]
    ReplyTo,
    /// Which one counts?
    #[error("the payload is given twice: `text` and `base64`")]
    TwoPayloads,
    /// Not the standard alphabet, or not padded.
    #[error("`base64` is not base64 with padding")]
    Base64,
}

impl From<&Message> for WireMessage {
    fn from(message: &Message) -> Self {
        let (text, base64) = match std::str::from_utf8(&message.payload) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(encode(&message.payload))),
        };
        let pair = |(name, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| {
            (name.to_string(), value.to_string())
        };
        Self {
            topic: message.topic.to_string(),
            text,
            base64,
            content_type: message.content_type.as_deref().map(str::to_owned),
            retain: message.retain,
            published_at: Some(time(message.published_at)),
            reply_to: message.reply_to.as_ref().map(ToString::to_string),
            properties: message.properties.iter().map(pair).collect(),
        }
    }
}

impl TryFrom<WireMessage> for Message {
    type Error = NotAMessage;

    fn try_from(wire: WireMessage) -> Result<Self, NotAMessage> {
        let topic = wire.topic.parse().map_err(|_| NotAMessage::Topic)?;
        let payload = match (wire.text, wire.base64) {
            (Some(_), Some(_)) => return Err(NotAMessage::TwoPayloads),
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => decode(&base64).ok_or(NotAMessage::Base64)?,
            (None, None) => Vec::new(),
        };
        let mut message = Self::new(topic, payload);
        message.content_type = wire.content_type.map(Into::into);
        message.retain = wire.retain;
        let reply_to = wire.reply_to.map(|to| to.parse());
        message.reply_to = reply_to.transpose().map_err(|_| NotAMessage::ReplyTo)?;
        message.properties = wire.properties.into_iter().collect();
        Ok(message)
    }
}

/// A time of the bus: nanoseconds since the Unix epoch.
pub(crate) fn time(nanoseconds: u64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::MAX)
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            let digit = DIGITS.get(digit as usize).copied().unwrap_or_default();
            let is_there = place <= chunk.len();
            text.push(if is_there { digit.into() } else { '=' });
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0;
        for digit in chunk {
            bits = bits << 6 | value(*digit)?;
        }
        // Bits that no byte has must be zero (section 3.5).
        let missing = 4 - u32::try_from(chunk.len()).ok()?;
        bits <<= 6 * missing;
        let [_, first, second, third] = bits.to_be_bytes();
        match missing {
            0 => bytes.extend([first, second, third]),
            1 if third == 0 => bytes.extend([first, second]),
            2 if second == 0 && third == 0 => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::{any, proptest};

    use super::{Message, NotAMessage, WireMessage, decode, encode};

    proptest! {
        #[test]
        fn base64_is_what_others_make_of_it(bytes: Vec<u8>) {
            let text = STANDARD.encode(&bytes);
            assert_eq!(encode(&bytes), text);
            assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn what_is_no_base64_is_refused_as_others_do(text in "[A-Za-z0-9+/=_\\- é]{0,12}") {
            assert_eq!(decode(&text), STANDARD.decode(&text).ok());
        }

        #[test]
        fn messages_come_back_as_they_went(payload: Vec<u8>, retain in any::<bool>()) {
            let mut message = Message::new("a/b".parse().unwrap(), payload.clone());
            message.retain = retain;
            message.reply_to = Some("c".parse().unwrap());
            message.properties = [("k", "v"), ("k", "w")].into_iter().collect();
            let text = serde_json::to_string(&WireMessage::from(&message)).unwrap();
            let back: WireMessage = serde_json::from_str(&text).unwrap();
            let back = Message::try_from(back).unwrap();
            assert_eq!(back.payload, payload);
            assert_eq!(back.properties, message.properties);
            assert_eq!((back.retain, back.reply_to), (retain, message.reply_to));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_field() {
        let refused = |json: &str| {
            let wire: WireMessage = serde_json::from_str(json).unwrap();
            Message::try_from(wire).unwrap_err()
        };
        assert_eq!(refused(r#"{"topic":"a/#"}"#), NotAMessage::Topic);
        assert_eq!(
            refused(r#"{"topic":"a","reply_to":"+"}"#),
            NotAMessage::ReplyTo
        );
        assert_eq!(
            refused(r#"{"topic":"a","text":"","base64":""}"#),
            NotAMessage::TwoPayloads
        );
        assert_eq!(
            refused(r#"{"topic":"a","base64":"A"}"#),
            NotAMessage::Base64
        );
    }
}
