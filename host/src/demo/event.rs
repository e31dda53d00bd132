//! What the demo understands of a message on the bus.
//!
//! Read as any outsider would, from topic and payload alone; what is not
//! understood is left out. Text is made fit for a terminal here, once.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::bus::Message;

/// Characters kept of a text.
const TEXT_MAX: usize = 160;

/// Readings kept of one message.
const READINGS_MAX: usize = 64;

/// One thing that happened on the line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Readings of a device; those without a good number are left out.
    Telemetry {
        device: String,
        #[serde(serialize_with = "as_map")]
        readings: Vec<(String, f64)>,
    },
    /// What the model makes of the device's last window; absent if it could not.
    Score {
        device: String,
        score: Option<f64>,
    },
    Anomaly {
        device: String,
        state: State,
        kind: String,
    },
    Command {
        device: String,
        name: String,
        value: String,
    },
    Notice {
        device: String,
        text: String,
    },
    /// What the responder decided, and what came of it.
    Audit {
        device: String,
        decision: String,
        reason: String,
    },
    /// An anomaly that arrived in the cloud.
    Cloud {
        device: String,
        state: State,
        kind: String,
        /// Seconds from when it was on the gateway's bus.
        after_s: Option<f64>,
    },
    /// What is wrong with the way to the cloud.
    Uplink {
        text: String,
    },
    /// The host's own news.
    System {
        topic: String,
        text: String,
    },
}

/// What an anomaly does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Raised,
    Ongoing,
    Cleared,
}

impl Event {
    /// What is wrong with the way to the cloud.
    pub(super) fn uplink(text: &str) -> Self {
        Self::Uplink { text: clean(text) }
    }

    /// What `message` says, if it is understood.
    pub(super) fn read(message: &Message) -> Option<Self> {
        Self::parse(message.topic.as_str(), &message.payload)
    }

    pub(super) fn parse(topic: &str, payload: &[u8]) -> Option<Self> {
        if topic.starts_with("$selvedge/") {
            return Some(Self::System {
                topic: clean(topic),
                text: clean(&String::from_utf8_lossy(payload)),
            });
        }
        let mut levels = topic.split('/');
        let (first, _site) = (levels.next()?, levels.next()?);
        let device = clean(levels.next()?);
        let json: Json = serde_json::from_slice(payload).ok()?;
        let text = |key: &str| json.get(key).map(text_of).unwrap_or_default();
        Some(match first {
            "telemetry" => Self::Telemetry {
                device,
                readings: readings(&json),
            },
            "score" => {
                let all = readings(&json);
                let score = all.into_iter().find(|(name, _)| name == "score");
                let score = score.map(|(_, score)| score);
                Self::Score { device, score }
            }
            "anomaly" => Self::Anomaly {
                device,
                kind: text("kind"),
                state: match json.get("state")?.as_str()? {
                    "raised" => State::Raised,
                    "ongoing" => State::Ongoing,
                    "cleared" => State::Cleared,
                    _ => return None,
                },
            },
            "command" => Self::Command {
                device,
                name: clean(levels.next()?),
                value: text_of(json.get("value").unwrap_or(&json)),
            },
            "notice" => Self::Notice {
                device,
                text: text("text"),
            },
            "audit" => Self::Audit {
                device,
                decision: text("decision"),
                reason: text("reason"),
            },
            _ => return None,
        })
    }
}

fn as_map<S: Serializer>(readings: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(readings.iter().map(|(name, value)| (name, value)))
}

/// The good numbers of a SenML pack (RFC 8428); truth values count as 0 and 1.
fn readings(json: &Json) -> Vec<(String, f64)> {
    let records = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut base = "";
    let mut readings = Vec::new();
    for record in records.iter().take(READINGS_MAX) {
        let field = |key: &str| record.get(key).and_then(Json::as_str);
        base = field("bn").unwrap_or(base);
        let name = format!("{base}{}", field("n").unwrap_or_default());
        let name = name.rsplit(['/', ':']).next().unwrap_or_default();
        let flag = record.get("vb").and_then(Json::as_bool);
        let flag = flag.map(|flag| f64::from(u8::from(flag)));
        let value = record.get("v").and_then(Json::as_f64).or(flag);
        if let Some(value) = value.filter(|_| field("q").is_none_or(|q| q == "good")) {
            readings.push((clean(name), value));
        }
    }
    readings
}

fn text_of(json: &Json) -> String {
    match json {
        Json::String(text) => clean(text),
        Json::Null => String::new(),
        other => clean(&other.to_string()),
    }
}

/// One line without control characters, of bounded length.
fn clean(text: &str) -> String {
    let shown = text.chars().filter(|char| !char.is_control());
    shown.take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{Event, State};

    fn check(topic: &str, payload: &str, expected: Option<Event>) {
        assert_eq!(Event::parse(topic, payload.as_bytes()), expected, "{topic}");
    }

    #[test]
    fn what_the_line_says_is_understood() {
        let device = || "pump-1".to_owned();
        let pack = r#"[{"bn":"p/","n":"flow","v":3},{"n":"on","vb":true},
            {"n":"x","q":"bad","why":"late"},{"n":"y","v":1,"q":"uncertain"}]"#;
        let readings = vec![("flow".to_owned(), 3.0), ("on".to_owned(), 1.0)];
        let event = Event::Telemetry {
            device: device(),
            readings,
        };
        check("telemetry/plant/pump-1", pack, Some(event));
        let event = Event::Score {
            device: device(),
            score: Some(0.25),
        };
        check(
            "score/plant/pump-1",
            r#"[{"n":"score","v":0.25}]"#,
            Some(event),
        );
        let event = Event::Anomaly {
            device: device(),
            state: State::Raised,
            kind: "bearing-wear".to_owned(),
        };
        let raised = r#"{"state":"raised","kind":"bearing-wear","score":1}"#;
        check("anomaly/plant/pump-1", raised, Some(event));
        let event = Event::Command {
            device: device(),
            name: "speed".to_owned(),
            value: "1500".to_owned(),
        };
        check(
            "command/plant/pump-1/speed",
            r#"{"value":1500}"#,
            Some(event),
        );
    }

    #[test]
    fn nonsense_is_left_out() {
        check("telemetry", "[]", None);
        check("telemetry/plant/p", "not json", None);
        check("anomaly/plant/p", r#"{"state":"perhaps"}"#, None);
        check("else/plant/p", "{}", None);
        let empty = Event::Telemetry {
            device: "p".to_owned(),
            readings: Vec::new(),
        };
        check("telemetry/plant/p", "7", Some(empty));
    }

    #[test]
    fn text_cannot_steer_the_terminal() {
        let event = Event::Notice {
            device: "p".to_owned(),
            text: "[2Jgone".to_owned(),
        };
        check(
            "notice/plant/p",
            r#"{"text":"\u001b[2Jgone\n"}"#,
            Some(event),
        );
    }
}
