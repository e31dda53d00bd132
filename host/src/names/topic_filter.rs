//! MQTT topic filters: what they match, and when one matches all of another.

use std::borrow::Cow;
use std::fmt;
use std::str::{FromStr, Split};
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::topic::{LEN_MAX, Topic, is_unfit, shown};

const SHARE: &str = "$share/";

/// A topic filter (MQTT 5.0 section 4.7), optionally shared by a group
/// (`$share/<group>/<filter>`, section 4.8.2); at most 1,024 bytes in all.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicFilter {
    text: Arc<str>,
    /// Where the filter proper begins; 0 unless shared.
    start: usize,
}

/// Why text is not a topic filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a topic filter: expected 1 to 1024 bytes without control characters, \
     `+` and `#` alone in their level, `#` last, and a group and a filter after `$share/`"
)]
pub struct TopicFilterError(String);

impl TopicFilter {
    /// The whole text, share group included.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    pub fn shared(&self) -> &Arc<str> {
        &self.text
    }

    /// The group that shares this subscription, if any.
    pub fn group(&self) -> Option<&str> {
        let group = self.text.get(SHARE.len()..self.start.checked_sub(1)?);
        debug_assert!(group.is_some());
        group
    }

    /// The filter without its share group.
    pub fn filter(&self) -> &str {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// The levels of [`filter`](Self::filter), first to last.
    pub fn levels(&self) -> Split<'_, char> {
        self.filter().split('/')
    }

    /// Whether messages on `topic` belong to this subscription.
    pub fn matches(&self, topic: &Topic) -> bool {
        if topic.is_system() && self.is_wild_first() {
            return false;
        }
        let mut names = topic.levels();
        for level in self.levels() {
            if level == "#" {
                // Also when `names` is used up: `#` includes its parent level.
                return true;
            }
            match names.next() {
                Some(name) if level == "+" || level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that `other` matches is matched by this filter too.
    /// Share groups play no part.
    pub fn covers(&self, other: &Self) -> bool {
        if self.is_wild_first() && other.filter().starts_with('$') {
            return false;
        }
        if self.filter() == "+/#" {
            // No topic has fewer levels than one, so this says the same as `#`.
            return true;
        }
        let mut others = other.levels();
        for level in self.levels() {
            if level == "#" {
                return true;
            }
            match others.next() {
                // It matches levels fewer and more than this filter has.
                None | Some("#") => return false,
                Some(name) if level == "+" || level == name => {}
                Some(_) => return false,
            }
        }
        others.next().is_none()
    }

    /// Whether there are topics that both filters match. Share groups play no part.
    pub fn overlaps(&self, other: &Self) -> bool {
        let system = |filter: &Self| filter.filter().starts_with('$');
        if self.is_wild_first() && system(other) || other.is_wild_first() && system(self) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.levels());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
                (Some(our), Some(their)) if our == "+" || their == "+" || our == their => {}
                _ => return false,
            }
        }
    }

    fn is_wild_first(&self) -> bool {
        self.filter().starts_with(['+', '#'])
    }
}

/// Whether `filter`, without a share group, keeps the rules of section 4.7.1.
fn is_filter(filter: &str) -> bool {
    let parent = filter.strip_suffix('#').unwrap_or(filter);
    let hash_alone = parent.len() == filter.len() || parent.is_empty() || parent.ends_with('/');
    let plus_alone = |level: &str| level == "+" || !level.contains('+');
    !filter.is_empty() && hash_alone && !parent.contains('#') && parent.split('/').all(plus_alone)
}

/// Where the filter proper begins in a valid `text`.
fn parse(text: &str) -> Option<usize> {
    if !(1..=LEN_MAX).contains(&text.len()) || text.contains(is_unfit) {
        return None;
    }
    let Some(shared) = text.strip_prefix(SHARE) else {
        return is_filter(text).then_some(0);
    };
    let (group, filter) = shared.split_once('/')?;
    let valid = !group.is_empty() && !group.contains(['+', '#']) && is_filter(filter);
    valid.then(|| SHARE.len() + group.len() + 1)
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
        match parse(&text) {
            Some(start) => Ok(Self { text, start }),
            None => Err(TopicFilterError(shown(&text))),
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
    fn from(filter: TopicFilter) -> Self {
        filter.text.as_ref().to_owned()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl JsonSchema for TopicFilter {
    fn schema_name() -> Cow<'static, str> {
        "TopicFilter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LEN_MAX })
    }
}

#[cfg(test)]
mod tests;
