//! What the Device Shadow service says and is told (AWS IoT Developer Guide,
//! "Device Shadow service documents").

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cloud::name::{ShadowName, ThingName};
use crate::names::{Topic, TopicFilter};

/// The topics of one shadow.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
}

/// What arrived, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    GetAccepted,
    GetRejected,
    UpdateAccepted,
    UpdateRejected,
    Delta,
}

/// The ends of the topics that are listened to.
const ENDS: [(&str, Kind); 5] = [
    ("get/accepted", Kind::GetAccepted),
    ("get/rejected", Kind::GetRejected),
    ("update/accepted", Kind::UpdateAccepted),
    ("update/rejected", Kind::UpdateRejected),
    ("update/delta", Kind::Delta),
];

impl Topics {
    /// Those of a shadow of `thing`: the classic one without a `name`.
    pub fn new(thing: &ThingName, name: Option<&ShadowName>) -> Self {
        let name = name.map(|name| format!("/name/{name}")).unwrap_or_default();
        Self {
            prefix: format!("$aws/things/{thing}/shadow{name}"),
        }
    }

    pub fn get(&self) -> Topic {
        self.topic("get")
    }

    pub fn update(&self) -> Topic {
        self.topic("update")
    }

    pub fn filters(&self) -> Vec<TopicFilter> {
        let filter = |(end, _): (&str, Kind)| format!("{}/{end}", self.prefix);
        let filters = ENDS.into_iter().map(filter);
        filters
            .map(|text| text.parse().expect("names are levels of topics"))
            .collect()
    }

    pub fn kind(&self, topic: &Topic) -> Option<Kind> {
        let end = topic
            .as_str()
            .strip_prefix(&self.prefix)?
            .strip_prefix('/')?;
        ENDS.iter()
            .find(|(own, _)| *own == end)
            .map(|(_, kind)| *kind)
    }

    fn topic(&self, end: &str) -> Topic {
        let text = format!("{}/{end}", self.prefix);
        text.parse().expect("names are levels of topics")
    }
}

/// A question for all of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Get<'a> {
    pub client_token: &'a str,
}

/// A change of what is reported.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update<'a> {
    pub state: Reported<'a>,
    pub client_token: &'a str,
    /// Refused if the shadow has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct Reported<'a> {
    pub reported: &'a Map<String, Value>,
}

/// A whole shadow, or what an update changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    #[serde(default)]
    pub state: State,
    pub version: u64,
    #[serde(default)]
    pub client_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct State {
    #[serde(default)]
    pub desired: Option<Map<String, Value>>,
    #[serde(default)]
    pub reported: Option<Map<String, Value>>,
}

/// How desired and reported differ.
#[derive(Debug, Deserialize)]
pub struct Delta {
    pub version: u64,
    pub state: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    pub code: u16,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub client_token: Option<String>,
}
