//! Which packages a rule is about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::PackageName;
use crate::foreign::cut;
use crate::package_name::is_half;

/// One package, all of a namespace (`acme/*`), or all there are (`*`). Nothing
/// in between: who may sign what should be seen at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PackagePattern {
    /// `*`
    All,
    /// `acme/*`
    Namespace(String),
    /// `acme/thermostat`
    Package(PackageName),
}

/// Why text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no packages: expected `acme/thermostat`, `acme/*` or `*`")]
pub struct PackagePatternError(String);

impl PackagePattern {
    /// Whether it is about `package`.
    pub fn matches(&self, package: &PackageName) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => package.namespace() == namespace,
            Self::Package(name) => package == name,
        }
    }

    /// How specific it is: of two that match, the higher decides.
    pub fn specificity(&self) -> u8 {
        match self {
            Self::All => 0,
            Self::Namespace(_) => 1,
            Self::Package(_) => 2,
        }
    }
}

impl FromStr for PackagePattern {
    type Err = PackagePatternError;

    fn from_str(text: &str) -> Result<Self, PackagePatternError> {
        let error = || PackagePatternError(cut(text));
        if text == "*" {
            return Ok(Self::All);
        }
        match text.strip_suffix("/*") {
            Some(namespace) if is_half(namespace) => Ok(Self::Namespace(namespace.to_owned())),
            Some(_) => Err(error()),
            None => text.parse().map(Self::Package).map_err(|_| error()),
        }
    }
}

impl TryFrom<String> for PackagePattern {
    type Error = PackagePatternError;

    fn try_from(text: String) -> Result<Self, PackagePatternError> {
        text.parse()
    }
}

impl From<PackagePattern> for String {
    fn from(pattern: PackagePattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Package(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PackagePattern;

    #[test]
    fn patterns_match_what_they_say() {
        let check = |pattern: &str, package: &str, expected: bool| {
            let pattern: PackagePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&package.parse().unwrap()), expected);
        };
        check("*", "acme/thermostat", true);
        check("acme/*", "acme/thermostat", true);
        check("acme/*", "acme2/thermostat", false);
        check("acme/thermostat", "acme/thermostat", true);
        check("acme/thermostat", "acme/thermostat2", false);
    }

    #[test]
    fn wildcards_elsewhere_are_refused() {
        for text in ["", "**", "*/*", "*/thermostat", "acme/t*", "acme", "acme/"] {
            assert!(text.parse::<PackagePattern>().is_err(), "{text:?}");
        }
    }
}
