use super::*;
use crate::Message;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    count: u64,
    #[serde(with = "any_f64")]
    level: f64,
}

#[test]
fn a_state_comes_back_as_it_was() {
    let known = Known {
        count: u64::MAX,
        level: 0.1,
    };
    let bytes = to_bytes(&known);
    assert_eq!(bytes, br#"{"count":18446744073709551615,"level":0.1}"#);
    assert_eq!(from_bytes(&bytes), Ok(known));
}

#[test]
fn what_is_not_a_state_is_refused_in_one_short_line() {
    for (bytes, why) in [
        ("", "EOF"),
        (r#"{"count":1}"#, "missing field `level`"),
        (r#"{"count":1,"level":1,"x":1}"#, "unknown field `x`"),
        (r#"{"count":1,"level":"lots"}"#, "any variant"),
        ("\u{0}", "expected value"),
    ] {
        let error = from_bytes::<Known>(bytes.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{bytes}: {error}");
    }
    let long = format!("{{\"{}\":1}}", "\\n".repeat(10_000));
    let error = String::from(from_bytes::<Known>(long.as_bytes()).unwrap_err());
    assert!(error.starts_with("the state does not fit: unknown field"));
    assert!(error.chars().count() < 300 && !error.contains(char::is_control));
    let large = vec![b' '; BYTES_MAX + 1];
    let error = from_bytes::<Known>(&large).unwrap_err();
    assert_eq!(error, StateError::new("it is larger than 8 MiB"));
}

#[test]
fn lines_that_do_not_fit_are_left_out_whole() {
    let mut writer = Writer::new(21);
    assert!(writer.is_empty());
    assert!(writer.push(&"first line"));
    assert!(!writer.push(&"too long"));
    assert!(writer.push(&"short"));
    assert!(!writer.push(&""));
    assert_eq!(writer.len(), 21);
    let bytes = writer.into_bytes();
    assert_eq!(bytes, b"\"first line\"\n\"short\"\n");
    let read: Result<Vec<String>, _> = lines(&bytes).collect();
    assert_eq!(read, Ok(vec!["first line".to_owned(), "short".to_owned()]));
    assert!(lines::<String>(b"\"a\"\n1\n").any(|line| line.is_err()));
}

#[test]
fn a_message_is_kept_with_all_that_belongs_to_it() {
    let mut message = Message::new("a/b", "text\n").retained();
    message.published_at = u64::MAX;
    message.reply_to = Some("reply".to_owned());
    message.correlation = Some(vec![0xff, 0]);
    message.properties = vec![("k".to_owned(), "v".to_owned())];
    let mut plain = Message::new("a", vec![0xff]);
    plain.content_type = Some("x/y".to_owned());
    for message in [message, plain, Message::new("", "")] {
        let bytes = to_bytes(&message);
        let read: Message = from_bytes(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
    }
    let bytes = to_bytes(&Message::new("a/b", "text"));
    assert_eq!(bytes, br#"{"topic":"a/b","payload":"text"}"#);
}

proptest! {
    #[test]
    fn numbers_come_back_exactly(level in any::<f64>(), count in any::<u64>()) {
        let read: Known = from_bytes(&to_bytes(&Known { count, level })).unwrap();
        prop_assert_eq!(read.count, count);
        prop_assert!(read.level.to_bits() == level.to_bits() || level.is_nan() && read.level.is_nan());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(from_bytes::<Known>(&bytes).is_err());
        for line in lines::<Message>(&bytes) {
            prop_assert!(line.is_err());
        }
    }
}
