//! MQTT topic filters.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A topic name (MQTT 5.0 section 4.7): no wildcards, at most 1,024 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicFilter(Arc<str>);

/// Why text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic filter")]
pub struct TopicFilterError(String);

impl TopicFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl FromStr for TopicFilter {
    type Err = TopicFilterError;

    fn from_str(text: &str) -> Result<Self, TopicFilterError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

impl TryFrom<Arc<str>> for TopicFilter {
    type Error = TopicFilterError;

    fn try_from(text: Arc<str>) -> Result<Self, TopicFilterError> {
        let bad = char::is_control;
        let valid = (1..=1024).contains(&text.len()) && !text.contains(bad);
        if valid {
            Ok(Self(text))
        } else {
            Err(TopicFilterError(text.escape_debug().to_string()))
        }
    }
}

impl TryFrom<String> for TopicFilter {
    type Error = TopicFilterError;

    fn try_from(text: String) -> Result<Self, TopicFilterError> {
        Self::try_from(Arc::<str>::from(text))
    }
}

impl From<TopicFilter> for String {
    fn from(topic: TopicFilter) -> Self {
        topic.0.as_ref().to_owned()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl JsonSchema for TopicFilter {
    fn schema_name() -> Cow<'static, str> {
        "TopicFilter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 1024 })
    }
}
