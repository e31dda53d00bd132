//! Texts, topics and payloads with the fields of an anomaly in them.
//!
//! `{site}` stands for the field; `{{` and `}}` for braces. A field that does
//! not exist is a fault of the configuration. What a field puts into a topic
//! is one plain level or nothing at all: no anomaly can turn a command to
//! another topic. What it puts into JSON stays inside its string.

use serde_json::Value as Json;

use crate::anomaly::Anomaly;

/// Bytes of one finished text; longer ones are cut.
const TEXT_MAX: usize = 4_096;

/// What can be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Site,
    Device,
    Kind,
    State,
    Rule,
    Score,
    Threshold,
    Since,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// Text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

/// Why text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It names a field that does not exist.
    #[error(
        "`{{{0}}}` is not a field: there are site, device, kind, state, rule, score, threshold \
         and since"
    )]
    Field(String),
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner; `{{{{` and `}}}}` stand for braces")]
    Brace(String),
    /// It cannot be a topic whatever is put in.
    #[error("`{0}` is not a topic: no level may be empty or hold `+`, `#` or control characters")]
    Topic(String),
}

/// A field's value cannot be a level of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be part of a topic")]
pub struct LevelError(String);

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let brace = || TemplateError::Brace(text.to_owned());
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '{' if rest.next_if_eq(&'{').is_some() => plain.push('{'),
                '}' if rest.next_if_eq(&'}').is_some() => plain.push('}'),
                '}' => return Err(brace()),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(letter) => name.push(letter),
                            None => return Err(brace()),
                        }
                    }
                    let field = Field::parse(&name).ok_or(TemplateError::Field(name))?;
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Field(field));
                }
                letter => plain.push(letter),
            }
        }
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// A template for a topic.
    pub(crate) fn parse_topic(text: &str) -> Result<Self, TemplateError> {
        let template = Self::parse(text)?;
        let sample: String = template
            .parts()
            .map(|(part, _)| part.unwrap_or("x"))
            .collect();
        let plain = |c: char| !matches!(c, '+' | '#') && !c.is_control();
        let valid = sample.len() <= 512
            && !sample.starts_with('$')
            && sample.split('/').all(|level| !level.is_empty())
            && sample.chars().all(plain);
        if !valid {
            return Err(TemplateError::Topic(text.to_owned()));
        }
        Ok(template)
    }

    /// The text with what `anomaly` says put in; control characters become
    /// spaces.
    pub(crate) fn text(&self, rule: &str, anomaly: &Anomaly) -> String {
        let mut text: String = self
            .parts()
            .map(|(part, field)| match (part, field) {
                (Some(part), _) => part.to_owned(),
                (None, Some(field)) => field.text(rule, anomaly).replace(char::is_control, " "),
                (None, None) => String::new(),
            })
            .collect();
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text
    }

    /// The topic with what `anomaly` says put in.
    ///
    /// # Errors
    /// A value is not one plain level.
    pub(crate) fn topic(&self, rule: &str, anomaly: &Anomaly) -> Result<String, LevelError> {
        let mut topic = String::new();
        for (part, field) in self.parts() {
            topic.push_str(part.unwrap_or_default());
            if let Some(field) = field {
                let value = field.text(rule, anomaly);
                let foreign = |c: char| matches!(c, '+' | '#' | '/') || c.is_control();
                let in_front = topic.is_empty() && value.starts_with('$');
                if value.is_empty() || value.len() > 512 || in_front || value.contains(foreign) {
                    return Err(LevelError(value));
                }
                topic.push_str(&value);
            }
        }
        Ok(topic)
    }

    fn parts(&self) -> impl Iterator<Item = (Option<&str>, Option<Field>)> {
        self.0.iter().map(|part| match part {
            Part::Text(text) => (Some(text.as_str()), None),
            Part::Field(field) => (None, Some(*field)),
        })
    }

    /// The field, if the text is nothing but one.
    fn only_field(&self) -> Option<Field> {
        match self.0.as_slice() {
            [Part::Field(field)] => Some(*field),
            _ => None,
        }
    }
}

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "site" => Self::Site,
            "device" => Self::Device,
            "kind" => Self::Kind,
            "state" => Self::State,
            "rule" => Self::Rule,
            "score" => Self::Score,
            "threshold" => Self::Threshold,
            "since" => Self::Since,
            _ => return None,
        })
    }

    /// The value, if it is a number.
    fn number(self, anomaly: &Anomaly) -> Option<Option<f64>> {
        match self {
            Self::Score => Some(anomaly.score),
            Self::Threshold => Some(anomaly.threshold),
            Self::Since => Some(Some(anomaly.since)),
            _ => None,
        }
    }

    fn text(self, rule: &str, anomaly: &Anomaly) -> String {
        let number = |number: Option<f64>| {
            number.map_or_else(|| "unknown".to_owned(), |number| format!("{number:.3}"))
        };
        match self {
            Self::Site => anomaly.site.clone(),
            Self::Device => anomaly.device.clone(),
            Self::Kind => anomaly.kind.clone(),
            Self::State => format!("{:?}", anomaly.state).to_lowercase(),
            Self::Rule => rule.to_owned(),
            Self::Score => number(anomaly.score),
            Self::Threshold => number(anomaly.threshold),
            Self::Since => number(Some(anomaly.since)),
        }
    }
}

/// JSON whose strings are templates; keys are left as they are. A string that
/// is nothing but `{score}`, `{threshold}` or `{since}` becomes a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JsonTemplate {
    Plain(Json),
    Text(Template),
    List(Vec<JsonTemplate>),
    Table(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    pub(crate) fn parse(json: &Json) -> Result<Self, TemplateError> {
        Ok(match json {
            Json::String(text) => Self::Text(Template::parse(text)?),
            Json::Array(list) => {
                Self::List(list.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Json::Object(table) => Self::Table(
                table
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::parse(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
            plain => Self::Plain(plain.clone()),
        })
    }

    pub(crate) fn json(&self, rule: &str, anomaly: &Anomaly) -> Json {
        match self {
            Self::Plain(json) => json.clone(),
            Self::Text(template) => {
                let number = template
                    .only_field()
                    .and_then(|field| field.number(anomaly));
                number.map_or_else(|| template.text(rule, anomaly).into(), Json::from)
            }
            Self::List(list) => list.iter().map(|item| item.json(rule, anomaly)).collect(),
            Self::Table(table) => table
                .iter()
                .map(|(key, value)| (key.clone(), value.json(rule, anomaly)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::AnomalyState;
    use serde_json::json;

    fn anomaly(device: &str, kind: &str) -> Anomaly {
        Anomaly {
            site: "hall".to_owned(),
            device: device.to_owned(),
            state: AnomalyState::Raised,
            kind: kind.to_owned(),
            score: Some(2.5),
            threshold: None,
            since: 12.0,
        }
    }

    #[test]
    fn known_fields_are_put_in() {
        let template = Template::parse("{{{kind}}} at {site}/{device}: {score} of {threshold}");
        let text = template.unwrap().text("r", &anomaly("p1", "worn\nout"));
        assert_eq!(text, "{worn out} at hall/p1: 2.500 of unknown");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let error = |text| Template::parse(text).unwrap_err();
        assert_eq!(error("{sight}"), TemplateError::Field("sight".to_owned()));
        for text in ["{site", "site}", "}{", "{site}}"] {
            assert_eq!(error(text), TemplateError::Brace(text.to_owned()));
        }
        for text in [
            "",
            "a//b",
            "/a",
            "a/+",
            "a/#",
            "$sys/a",
            "a/\n",
            "{device}/+",
        ] {
            let error = Template::parse_topic(text).unwrap_err();
            assert_eq!(error, TemplateError::Topic(text.to_owned()));
        }
    }

    #[test]
    fn no_value_can_turn_a_topic_elsewhere() {
        let template = Template::parse_topic("command/{device}/speed-{kind}").unwrap();
        let topic = |device: &str| template.topic("r", &anomaly(device, "k"));
        assert_eq!(topic("p1").unwrap(), "command/p1/speed-k");
        for device in [
            "",
            "+",
            "#",
            "a/b",
            "p1/../x",
            "a\0b",
            "a\nb",
            &"x".repeat(513),
        ] {
            assert_eq!(topic(device), Err(LevelError(device.to_owned())));
        }
        let first = Template::parse_topic("{device}/x").unwrap();
        assert!(first.topic("r", &anomaly("$sys", "k")).is_err());
    }

    #[test]
    fn values_in_json_stay_inside_their_string() {
        let template =
            json!({"why": "{kind}", "to": 5, "by": ["{score}", "{threshold}", "a {score}"]});
        let json = JsonTemplate::parse(&template).unwrap();
        let json = json.json("r", &anomaly("p1", r#"x","to":99"#));
        let expected = json!({"why": r#"x","to":99"#, "to": 5, "by": [2.5, null, "a 2.500"]});
        assert_eq!(json, expected);
    }
}
