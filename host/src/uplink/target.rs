//! What a target does not take, found before it is sent.
//!
//! Pure. Such a message is poison: sent, it would end the connection, and so would
//! its repetition.

use std::fmt;

use super::config::TargetLimits;
use crate::mqtt::Reason;
use crate::names::Topic;

/// What AWS IoT Core does not count: `$aws/rules/<rule>/`.
const BASIC_INGEST: &str = "$aws/rules/";

/// Why a message is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The rule makes no topic of it.
    NoTopic,
    PayloadTooLarge {
        bytes: usize,
        bytes_max: u32,
    },
    TopicTooLong {
        bytes: usize,
        bytes_max: u32,
    },
    TopicTooDeep {
        levels: usize,
        levels_max: u32,
    },
    /// A topic that begins with `$` and is none of the target's.
    TopicReserved,
    /// The target keeps no values on reserved topics.
    RetainReserved,
    /// It cannot be written for this target.
    Unsendable(&'static str),
    Refused(Reason),
    /// The target ends the connection whenever it comes.
    EndsConnections(u32),
    /// The target ends the connection whenever one of its topic comes.
    TopicEndsConnections,
    /// The target acknowledges what goes after it, and never this one.
    PassedOver(u32),
    /// This bus does not take it.
    NotTaken(&'static str),
}

impl Poison {
    /// A stable name for metrics and alerts. Never reworded.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoTopic => "topic-invalid",
            Self::PayloadTooLarge { .. } => "payload-too-large",
            Self::TopicTooLong { .. } => "topic-too-long",
            Self::TopicTooDeep { .. } => "topic-too-deep",
            Self::TopicReserved => "topic-reserved",
            Self::RetainReserved => "retain-reserved",
            Self::Unsendable(_) => "unsendable",
            Self::Refused(_) => "refused-by-target",
            Self::EndsConnections(_) => "ends-connections",
            Self::TopicEndsConnections => "topic-ends-connections",
            Self::PassedOver(_) => "never-acknowledged",
            Self::NotTaken(_) => "not-taken-here",
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTopic => write!(f, "its topic on the other side would be none"),
            Self::PayloadTooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "payload has {bytes} bytes, but the target takes {bytes_max}"
                )
            }
            Self::TopicTooLong { bytes, bytes_max } => {
                write!(
                    f,
                    "topic has {bytes} bytes, but the target takes {bytes_max}"
                )
            }
            Self::TopicTooDeep { levels, levels_max } => {
                write!(
                    f,
                    "topic has {levels} levels, but the target takes {levels_max}"
                )
            }
            Self::TopicReserved => write!(f, "topic is reserved by the target"),
            Self::RetainReserved => write!(f, "the target keeps no values on reserved topics"),
            Self::Unsendable(code) => write!(f, "it cannot be sent: {code}"),
            Self::Refused(reason) => write!(f, "refused by the target: {reason}"),
            Self::EndsConnections(times) => {
                write!(f, "the target ended {times} connections when it came")
            }
            Self::TopicEndsConnections => {
                write!(
                    f,
                    "the target ended connections when others of its topic came"
                )
            }
            Self::PassedOver(times) => write!(
                f,
                "the target acknowledged what came after it on {times} connections, and never it"
            ),
            Self::NotTaken(code) => write!(f, "not taken here: {code}"),
        }
    }
}

impl TargetLimits {
    /// Whether the target takes a message.
    pub(crate) fn check(&self, topic: &Topic, bytes: usize, retain: bool) -> Result<(), Poison> {
        let bytes_max = self.payload_bytes_max;
        if bytes > bytes_max as usize {
            return Err(Poison::PayloadTooLarge { bytes, bytes_max });
        }
        let counted = if self.aws {
            self.counted(topic, retain)?
        } else {
            topic.as_str()
        };
        let (bytes, bytes_max) = (counted.len(), self.topic_bytes_max);
        if bytes > bytes_max as usize {
            return Err(Poison::TopicTooLong { bytes, bytes_max });
        }
        let (levels, levels_max) = (counted.split('/').count(), self.topic_levels_max);
        if levels > levels_max as usize {
            return Err(Poison::TopicTooDeep { levels, levels_max });
        }
        Ok(())
    }

    /// What AWS IoT Core counts of a topic.
    fn counted<'a>(&self, topic: &'a Topic, retain: bool) -> Result<&'a str, Poison> {
        let text = topic.as_str();
        if !topic.is_system() {
            return Ok(text);
        }
        if retain {
            return Err(Poison::RetainReserved);
        }
        if let Some(rule) = text.strip_prefix(BASIC_INGEST) {
            let counted = rule.split_once('/').map(|(_, counted)| counted);
            return counted.ok_or(Poison::TopicReserved);
        }
        if text.starts_with("$aws/") {
            Ok(text)
        } else {
            Err(Poison::TopicReserved)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Poison;
    use crate::uplink::config::{LimitsConfig, Profile};

    #[test]
    fn the_limits_of_aws_iot_core_are_kept() {
        let limits = LimitsConfig::default().within(Profile::AwsIotCore);
        let check = |topic: &str, bytes, retain| {
            let outcome = limits.check(&topic.parse().unwrap(), bytes, retain);
            outcome.map_or_else(Poison::code, |()| "taken")
        };
        assert_eq!(check("a/2/3/4/5/6/7/8", 131_072, true), "taken");
        assert_eq!(check("a", 131_073, false), "payload-too-large");
        assert_eq!(check("a/2/3/4/5/6/7/8/9", 0, false), "topic-too-deep");
        assert_eq!(check("$aws/rules/r/1/2/3/4/5/6/7/8", 0, false), "taken");
        assert_eq!(
            check("$aws/rules/r/1/2/3/4/5/6/7/8/9", 0, false),
            "topic-too-deep"
        );
        assert_eq!(check(&"x".repeat(256), 0, false), "taken");
        assert_eq!(check(&"x".repeat(257), 0, false), "topic-too-long");
        let ingest = format!("$aws/rules/r/{}", "x".repeat(256));
        assert_eq!(check(&ingest, 0, false), "taken");
        assert_eq!(check("$aws/rules/r", 0, false), "topic-reserved");
        assert_eq!(check("$SYS/x", 0, false), "topic-reserved");
        assert_eq!(
            check("$aws/things/t/shadow/update", 0, true),
            "retain-reserved"
        );
        assert_eq!(check("$aws/things/t/shadow/update", 0, false), "taken");
    }
}
