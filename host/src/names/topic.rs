//! MQTT topic names.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Bytes in a topic or a topic filter. MQTT allows 65,535; nobody needs them.
pub(super) const LEN_MAX: usize = 1024;

/// Characters of a malformed topic or filter that an error shows.
const SHOWN_CHARS: usize = 64;

/// A topic name (MQTT 5.0 section 4.7): no wildcards, at most 1,024 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

/// Why text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic: expected 1 to 1024 bytes without `+`, `#` and control characters")]
pub struct TopicError(String);

impl Topic {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// Its levels, first to last; an empty level is a level (section 4.7.1.1).
    pub fn levels(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }

    /// Whether leading wildcards pass it by (section 4.7.2).
    pub fn is_system(&self) -> bool {
        self.0.starts_with('$')
    }
}

/// Whether `c` is a wildcard (section 4.7.1).
fn is_wild(c: char) -> bool {
    c == '+' || c == '#'
}

/// Whether a text that holds `c` may be taken for malformed: control
/// characters, and code points that are no characters (section 1.5.4).
pub(super) fn is_unfit(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// Enough of malformed text to know it by; it may be megabytes of anything.
pub(super) fn shown(text: &str) -> String {
    let begin = text.chars().take(SHOWN_CHARS);
    begin.flat_map(char::escape_debug).collect()
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

impl TryFrom<Arc<str>> for Topic {
    type Error = TopicError;

    fn try_from(text: Arc<str>) -> Result<Self, TopicError> {
        if (1..=LEN_MAX).contains(&text.len()) && !text.contains(|c| is_wild(c) || is_unfit(c)) {
            Ok(Self(text))
        } else {
            Err(TopicError(shown(&text)))
        }
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(text: String) -> Result<Self, TopicError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0.as_ref().to_owned()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl JsonSchema for Topic {
    fn schema_name() -> Cow<'static, str> {
        "Topic".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LEN_MAX, "pattern": "^[^+#]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::Topic;

    #[test]
    fn topics_of_the_specification_are_topics() {
        let examples = [
            "sport/tennis/player1",
            "sport/tennis/player1/score/wimbledon",
            "sport/",
            "/finance",
            "/",
            "//",
            "$SYS/monitor/Clients",
            "ACCOUNTS",
            "Accounts payable",
            "a\u{feff}b",
            "\u{10fffd}",
        ];
        for text in examples {
            assert_eq!(text.parse::<Topic>().unwrap().as_str(), text);
        }
        assert!("a".repeat(1024).parse::<Topic>().is_ok());
    }

    #[test]
    fn wildcards_controls_and_lengths_out_of_bounds_are_refused() {
        let bad = [
            "",
            "+",
            "#",
            "a/+",
            "a/#",
            "a+",
            "a#b",
            "a\0b",
            "a\nb",
            "\u{7f}",
            "\u{85}",
            "\u{fdd0}",
            "\u{fdef}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{1fffe}",
            "\u{10ffff}",
        ];
        for text in bad {
            assert!(text.parse::<Topic>().is_err(), "{text:?}");
        }
        assert!("a".repeat(1025).parse::<Topic>().is_err());
        // 1,026 bytes in 513 characters: bytes count.
        assert!("\u{fc}".repeat(513).parse::<Topic>().is_err());
    }

    #[test]
    fn topics_are_told_apart_by_case_and_by_slashes() {
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        assert_ne!(topic("ACCOUNTS"), topic("Accounts"));
        assert_ne!(topic("/finance"), topic("finance"));
        assert_eq!(
            topic("/a//").levels().collect::<Vec<_>>(),
            ["", "a", "", ""]
        );
        assert!(topic("$SYS/x").is_system() && !topic("a/$SYS").is_system());
    }

    #[test]
    fn serde_reads_only_topics() {
        assert!(serde_json::from_str::<Topic>("\"a/b\"").is_ok());
        assert!(serde_json::from_str::<Topic>("\"a/#\"").is_err());
    }
}
