//! Names that operators give: of plugins, models and other parties.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Bytes in a name.
const LEN_MAX: usize = 63;

/// Why text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name: expected 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit"
)]
pub struct NameError(String);

/// A DNS label (RFC 1123) in lower case: fits a topic level, a file name and a
/// metric label as it is.
fn parse(text: &str) -> Result<Arc<str>, NameError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let valid = (1..=LEN_MAX).contains(&text.len())
        && text.chars().all(|c| plain(c) || c == '-')
        && text.starts_with(plain)
        && text.ends_with(plain);
    if valid {
        Ok(text.into())
    } else {
        Err(NameError(text.to_owned()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
                parse(text).map(Self)
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
                json_schema!({
                    "type": "string",
                    "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
                })
            }
        }
    };
}

name! {
    /// A plugin's name within its deployment.
    PluginName
}
name! {
    /// A model's name within its deployment.
    ModelName
}
name! {
    /// Anyone on the bus: a plugin, a device, an uplink, the operator.
    PartyName
}

impl From<&PluginName> for PartyName {
    fn from(plugin: &PluginName) -> Self {
        Self(Arc::clone(&plugin.0))
    }
}

#[cfg(test)]
mod tests {
    use super::PluginName;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "modbus", "press-3", "3d"] {
            assert!(good.parse::<PluginName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a/b",
            "a b",
            "ü",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<PluginName>().is_err(), "{bad}");
        }
    }
}
