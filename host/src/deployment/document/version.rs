//! Versions of deployments.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Bytes in a version.
const LEN_MAX: usize = 64;

/// A version by Semantic Versioning 2.0: `1.4.0`, `2.0.0-rc.1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

/// Why text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: expected the form `1.2.3`")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let fits = text.len() <= LEN_MAX;
        let parsed = fits.then(|| semver::Version::parse(text).ok()).flatten();
        parsed
            .map(Self)
            .ok_or_else(|| VersionError(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": LEN_MAX,
            "pattern": r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_follow_semantic_versioning() {
        for good in ["0.0.0", "1.2.3", "1.0.0-rc.1", "1.0.0+build.5"] {
            assert_eq!(good.parse::<Version>().unwrap().to_string(), good);
        }
        let long = format!("1.0.0-{}", "a".repeat(64));
        for bad in ["", "1", "1.2", "01.2.3", "v1.2.3", "1.2.3 ", long.as_str()] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
