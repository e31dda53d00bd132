//! What AWS IoT calls things, shadows, jobs and templates.
//!
//! Names become levels of topics, so none may hold `/`, `+`, `#` or anything that
//! AWS does not allow either.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Characters of a foreign text that an error shows.
const SHOWN_CHARS: usize = 64;

/// Why text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: expected 1 to {max} of A-Z, a-z, 0-9, `-`, `_`{also}")]
pub struct NameError {
    text: String,
    what: &'static str,
    max: usize,
    also: &'static str,
}

fn parse(
    text: &str,
    what: &'static str,
    max: usize,
    also: &'static str,
) -> Result<Arc<str>, NameError> {
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || c == '-' || c == '_' || (c == ':' && !also.is_empty())
    };
    if (1..=max).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.into());
    }
    let shown = text.chars().take(SHOWN_CHARS);
    Err(NameError {
        text: shown.flat_map(char::escape_debug).collect(),
        what,
        max,
        also,
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $also:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                parse(text, $what, $max, $also).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let colon = if $also.is_empty() { "" } else { ":" };
                let pattern = format!("^[A-Za-z0-9_{colon}-]{{1,{}}}$", $max);
                json_schema!({ "type": "string", "pattern": pattern })
            }
        }
    };
}

name!(
    /// A gateway, as AWS IoT knows it.
    ThingName,
    "the name of a thing",
    128,
    " and `:`"
);
name!(
    /// One of a thing's shadows.
    ShadowName,
    "the name of a shadow",
    64,
    " and `:`"
);
name!(
    /// A job.
    JobId,
    "the name of a job",
    64,
    ""
);
name!(
    /// What a fleet is provisioned by.
    TemplateName,
    "the name of a provisioning template",
    36,
    ""
);

#[cfg(test)]
mod tests {
    use super::{JobId, TemplateName, ThingName};

    #[test]
    fn what_could_leave_its_level_of_a_topic_is_no_name() {
        for bad in ["", "a/b", "../x", "+", "#", "a b", "a\0", "ä", "$next"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
            assert!(bad.parse::<ThingName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(65).parse::<JobId>().is_err());
        assert!("a:b".parse::<JobId>().is_err());
        assert!("gw:plant-1_a".parse::<ThingName>().is_ok());
        let error = "x\n/y".parse::<TemplateName>().unwrap_err().to_string();
        assert!(error.starts_with("`x\\n/y` is not the name of a provisioning template"));
    }
}
