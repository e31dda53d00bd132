//! `plugin.toml`: what a plugin is called, and what it wants and why.
//!
//! It travels inside the artifact's configuration and so is signed with it. A
//! want is a wish: only a deployment grants.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::package_name::is_half;

/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// Wishes of a plugin.
const WANTS_MAX: usize = 64;
/// Characters of a description or a reason.
const TEXT_CHARS_MAX: usize = 1000;

/// A plugin's own account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginManifest {
    /// The second half of the package name.
    pub name: String,
    /// Its version (Semantic Versioning 2.0.0).
    pub version: Version,
    /// What it does, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The licence (SPDX expression).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Where the source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it wants, and why. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<Want>,
}

/// Something a plugin wants to be granted. One of the fields besides `why`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// To publish on topics that match this filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<String>,
    /// To be given what is published on topics that match this filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<String>,
    /// To connect to this TCP endpoint, or a description of which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// To bind this UDP endpoint, or a description of which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<String>,
    /// To run this model, or a description of which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// To keep so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyvalue_bytes_max: Option<u64>,
    /// What for.
    pub why: String,
}

/// Why text is no plugin manifest.
#[derive(Debug, thiserror::Error)]
pub enum PluginManifestError {
    /// More bytes than are looked at.
    #[error("it has {0} bytes; {MANIFEST_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not TOML, or not these fields.
    #[error("it is not well formed")]
    Malformed(#[from] toml::de::Error),
    /// A field has a value that it may not have.
    #[error("`{field}` is not acceptable: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl PluginManifest {
    /// Reads `plugin.toml`.
    ///
    /// # Errors
    ///
    /// If it is too large, not TOML, or says what no plugin may say.
    pub fn parse(text: &str) -> Result<Self, PluginManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(PluginManifestError::TooLarge(text.len()));
        }
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether every field is within its bounds, wherever it was read from.
    pub(crate) fn check(&self) -> Result<(), PluginManifestError> {
        let field = |field, reason| Err(PluginManifestError::Field { field, reason });
        if !is_half(&self.name) {
            return field(
                "name",
                "not 1 to 63 lower-case letters, digits, `-`, `_` and `.`",
            );
        }
        if self.wants.len() > WANTS_MAX {
            return field("wants", "more than 64");
        }
        let texts = [&self.description, &self.licenses, &self.source];
        if texts.into_iter().flatten().any(|text| !is_line(text)) {
            return field("description", "more than one line or than 1000 characters");
        }
        if self.wants.iter().any(|want| !want.is_one_wish()) {
            return field("wants", "each is one wish and a `why`, on a line each");
        }
        Ok(())
    }
}

impl Want {
    /// The wish as kind and value: `("publish", "telemetry/#")`.
    pub fn wish(&self) -> Option<(&'static str, String)> {
        self.wishes().next()
    }

    fn wishes(&self) -> impl Iterator<Item = (&'static str, String)> {
        let texts = [
            ("publish", &self.publish),
            ("subscribe", &self.subscribe),
            ("tcp", &self.tcp),
            ("udp", &self.udp),
            ("model", &self.model),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(kind, text)| Some((kind, text.clone()?)));
        let bytes = self.keyvalue_bytes_max.map(|max| max.to_string());
        texts.chain(bytes.map(|max| ("keyvalue_bytes_max", max)))
    }

    fn is_one_wish(&self) -> bool {
        self.wishes().count() == 1
            && is_line(&self.why)
            && self.wishes().all(|(_, text)| is_line(&text))
    }
}

/// Texts are printed to people's terminals: no control characters.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.chars().count() <= TEXT_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::PluginManifest;

    const WINDOW: &str = "name = 'window'\nversion = '0.1.0'\n";

    #[test]
    fn a_manifest_says_what_it_wants_and_why() {
        let text = format!("{WINDOW}[[wants]]\nsubscribe = 'telemetry/#'\nwhy = 'the readings'\n");
        let manifest = PluginManifest::parse(&text).unwrap();
        let wish = manifest.wants[0].wish();
        assert_eq!(wish, Some(("subscribe", "telemetry/#".to_owned())));
    }

    #[test]
    fn anything_else_is_refused() {
        for rest in [
            "wishes = 1",
            "description = \"a\\nb\"",
            "description = \"\\u001b[2J\"",
            "[[wants]]\nwhy = 'nothing'",
            "[[wants]]\npublish = 'a'\nsubscribe = 'b'\nwhy = 'two'",
            "[[wants]]\npublish = 'a'",
        ] {
            let text = format!("{WINDOW}{rest}\n");
            assert!(PluginManifest::parse(&text).is_err(), "{rest}");
        }
        assert!(PluginManifest::parse("name = 'A'\nversion = '0.1.0'\n").is_err());
        assert!(PluginManifest::parse("name = 'a'\nversion = '1'\n").is_err());
    }
}
