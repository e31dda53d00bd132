//! What a plugin is called wherever it is: `acme/thermostat`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::foreign::cut;

/// Bytes of each half.
const HALF_BYTES_MAX: usize = 63;

/// A package: `namespace/name`, each of 1 to 63 lower-case letters and digits,
/// with `.`, `_`, `__` or dashes between them (OCI distribution-spec 1.1, path
/// components of "Pulling manifests"). Policies speak of packages; which registry serves one is a
/// matter of transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(String);

/// Why text is no package name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a package name: expected `namespace/name` in lower case, as in `acme/thermostat`"
)]
pub struct PackageNameError(pub(crate) String);

impl PackageName {
    /// The text, `acme/thermostat`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who it belongs to: `acme`.
    pub fn namespace(&self) -> &str {
        self.halves().0
    }

    /// What it is called there: `thermostat`.
    pub fn name(&self) -> &str {
        self.halves().1
    }

    fn halves(&self) -> (&str, &str) {
        self.0.split_once('/').expect("a package name has a slash")
    }
}

/// Whether `text` may be one half of a package name.
pub(crate) fn is_half(text: &str) -> bool {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let separates = |run: &str| {
        let dashes = !run.is_empty() && run.bytes().all(|byte| byte == b'-');
        dashes || matches!(run, "." | "_" | "__")
    };
    let runs = text.split(plain).filter(|run| !run.is_empty());
    (1..=HALF_BYTES_MAX).contains(&text.len())
        && text.starts_with(plain)
        && text.ends_with(plain)
        && runs.into_iter().all(separates)
}

impl FromStr for PackageName {
    type Err = PackageNameError;

    fn from_str(text: &str) -> Result<Self, PackageNameError> {
        let halves = text.split_once('/');
        let fits = halves.is_some_and(|(namespace, name)| is_half(namespace) && is_half(name));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(PackageNameError(cut(text)))
        }
    }
}

impl TryFrom<String> for PackageName {
    type Error = PackageNameError;

    fn try_from(text: String) -> Result<Self, PackageNameError> {
        text.parse()
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> Self {
        name.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::PackageName;

    #[test]
    fn a_package_has_a_namespace_and_a_name() {
        assert!("a--b/c__d".parse::<PackageName>().is_ok());
        let package: PackageName = "acme/thermo-stat.v2".parse().unwrap();
        assert_eq!(package.namespace(), "acme");
        assert_eq!(package.name(), "thermo-stat.v2");
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("a/{}", "b".repeat(64));
        for text in [
            "", "/", "acme", "acme/", "/x", "a/b/c", "A/b", "a/b c", "a/-b", "a/b-", "a/b..c",
            "a/b._c", "a/b___c", "a/..", "a/b\n", &long,
        ] {
            assert!(text.parse::<PackageName>().is_err(), "{text:?}");
        }
    }
}
