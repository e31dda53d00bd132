//! Which topic on the other side a message goes to.
//!
//! Pure. A rule that was checked maps every topic that its filter matches to a
//! text; whether that is a topic, and one that the target takes, is seen for each
//! message.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::names::{Qos, Topic, TopicFilter};
use crate::storage::Lane;

use super::config::{Direction, RuleConfig};

/// A text with places to be filled from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// What the so-manieth `+` matched, from 0.
    Capture(usize),
    /// What `#` matched.
    Rest,
    /// The topic from this byte on.
    From(usize),
    ClientId,
}

impl Template {
    /// The template that `text` is, for topics that `filter` matches.
    pub(crate) fn parse(text: &str, filter: &TopicFilter) -> Result<Self, String> {
        let pluses = filter.levels().filter(|level| *level == "+").count();
        let hash = filter.filter().ends_with('#');
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err("`{` without `}`".to_owned());
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "topic" => Part::From(0),
                "client_id" => Part::ClientId,
                "#" if hash && after.is_empty() => Part::Rest,
                "#" if hash => return Err("`{#}` is not last".to_owned()),
                _ => match name.parse::<usize>() {
                    Ok(number) if (1..=pluses.min(9)).contains(&number) => {
                        Part::Capture(number - 1)
                    }
                    _ => return Err(format!("the filter has nothing for `{{{name}}}`")),
                },
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// `prefix` and then the topic without its first `strip` bytes.
    fn moved(prefix: &str, strip: usize) -> Self {
        Self(vec![Part::Text(prefix.to_owned()), Part::From(strip)])
    }

    fn fill(&self, filter: &TopicFilter, topic: &Topic, client_id: &str) -> String {
        let captured = Captured::new(filter, topic);
        let mut text = String::with_capacity(topic.as_str().len() + 32);
        for part in &self.0 {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Capture(number) => {
                    text.push_str(captured.levels.get(*number).copied().unwrap_or_default());
                }
                Part::From(start) => {
                    text.push_str(topic.as_str().get(*start..).unwrap_or_default());
                }
                Part::ClientId => text.push_str(client_id),
                Part::Rest => match captured.rest {
                    Some(rest) => text.push_str(rest),
                    // `a/#` matches `a` too.
                    None if text.ends_with('/') => {
                        text.pop();
                    }
                    None => {}
                },
            }
        }
        text
    }

    /// Every topic that it is filled to, of those that `filter` matches; None if
    /// that can be none.
    fn reach(&self, filter: &TopicFilter, client_id: &str) -> Option<TopicFilter> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Capture(_) => text.push('+'),
                Part::Rest => text.push('#'),
                Part::From(start) => text.push_str(filter.filter().get(*start..)?),
                Part::ClientId => text.push_str(client_id),
            }
        }
        let mut levels = Vec::new();
        for level in text.split('/') {
            if level.contains('#') {
                levels.push("#");
                break;
            }
            levels.push(if level.contains('+') { "+" } else { level });
        }
        levels.join("/").parse().ok()
    }
}

/// What the wildcards of a filter matched.
struct Captured<'a> {
    levels: Vec<&'a str>,
    rest: Option<&'a str>,
}

impl<'a> Captured<'a> {
    fn new(filter: &TopicFilter, topic: &'a Topic) -> Self {
        let mut levels = Vec::new();
        let mut left = Some(topic.as_str());
        for level in filter.levels() {
            if level == "#" {
                return Self { levels, rest: left };
            }
            let Some(text) = left else { break };
            let (name, after) = match text.split_once('/') {
                Some((name, after)) => (name, Some(after)),
                None => (text, None),
            };
            if level == "+" {
                levels.push(name);
            }
            left = after;
        }
        Self { levels, rest: None }
    }
}

/// One way of one rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Topics where it comes from.
    pub(crate) filter: TopicFilter,
    template: Template,
    /// Topics where it leads.
    pub(crate) reach: TopicFilter,
    pub(crate) qos: Qos,
    pub(crate) lane: Lane,
    pub(crate) ttl: Option<Duration>,
    pub(crate) retain: bool,
}

/// The rules of an uplink, in order, by direction.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) out: Vec<Rule>,
    pub(crate) into: Vec<Rule>,
    client_id: String,
    whole: bool,
}

impl Rules {
    /// Of rules that were checked; of others, those that can be followed.
    pub(crate) fn new(rules: &[RuleConfig], client_id: &str) -> Self {
        let mut own = Self {
            out: Vec::new(),
            into: Vec::new(),
            client_id: client_id.to_owned(),
            whole: true,
        };
        for rule in rules {
            own.add(rule);
        }
        own
    }

    fn add(&mut self, rule: &RuleConfig) {
        let prefix = rule.prefix.as_deref().unwrap_or_default();
        let strip = rule.strip.as_deref().unwrap_or_default();
        let forward = match &rule.to {
            Some(to) => Template::parse(to, &rule.filter).ok(),
            None => Some(Template::moved(prefix, strip.len())),
        };
        let forward = forward.and_then(|template| self.way(rule, rule.filter.clone(), template));
        let back = || {
            let beyond = rule.filter.filter().get(strip.len()..)?;
            let filter = format!("{prefix}{beyond}").parse().ok()?;
            self.way(rule, filter, Template::moved(strip, prefix.len()))
        };
        let (out, into) = match rule.direction {
            Direction::Out => (Some(forward), None),
            Direction::In => (None, Some(forward)),
            Direction::Both => {
                let back = back();
                (Some(forward), Some(back))
            }
        };
        for (way, ways) in [(out, &mut self.out), (into, &mut self.into)] {
            match way {
                Some(Some(way)) => ways.push(way),
                Some(None) => self.whole = false,
                None => {}
            }
        }
    }

    fn way(&self, rule: &RuleConfig, filter: TopicFilter, template: Template) -> Option<Rule> {
        let reach = template.reach(&filter, &self.client_id)?;
        Some(Rule {
            filter,
            template,
            reach,
            // QoS 2 buys nothing where duplicates are marked.
            qos: rule.qos.min(Qos::AtLeastOnce),
            lane: rule.priority,
            ttl: rule.ttl_s.map(|s| Duration::from_secs(s.get().into())),
            retain: rule.retain,
        })
    }

    /// Whether every rule can be followed.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Filters to be subscribed here.
    pub(crate) fn interests(&self) -> Vec<TopicFilter> {
        self.out.iter().map(|rule| rule.filter.clone()).collect()
    }

    /// Filters to be subscribed there, each once.
    pub(crate) fn subscriptions(&self) -> Vec<TopicFilter> {
        let mut filters: Vec<_> = self.into.iter().map(|rule| rule.filter.clone()).collect();
        filters.sort_unstable();
        filters.dedup();
        filters
    }

    /// Topics there that messages go to.
    pub(crate) fn targets_out(&self) -> Vec<TopicFilter> {
        self.out.iter().map(|rule| rule.reach.clone()).collect()
    }

    /// Topics here that messages go to.
    pub(crate) fn targets_in(&self) -> Vec<TopicFilter> {
        self.into.iter().map(|rule| rule.reach.clone()).collect()
    }

    /// The first rule for a message that goes out.
    pub(crate) fn rule_out(&self, topic: &Topic) -> Option<&Rule> {
        self.out.iter().find(|rule| rule.filter.matches(topic))
    }

    /// The first rule for a message that came in.
    pub(crate) fn rule_in(&self, topic: &Topic) -> Option<&Rule> {
        self.into.iter().find(|rule| rule.filter.matches(topic))
    }

    /// Where `rule` leads a message; None if that is no topic.
    pub(crate) fn map(&self, rule: &Rule, topic: &Topic) -> Option<Topic> {
        let text = rule.template.fill(&rule.filter, topic, &self.client_id);
        Topic::try_from(text).ok()
    }
}
