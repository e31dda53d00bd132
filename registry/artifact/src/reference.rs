//! Where an artifact is: `registry.example:5000/site/acme/thermostat:1.2.0@sha256:…`.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::foreign::cut;
use crate::package_name::is_half;
use crate::{Digest, PackageName};

/// Bytes of a reference. The distribution-spec leaves 255 for host and path.
const REFERENCE_BYTES_MAX: usize = 255 + 1 + TAG_BYTES_MAX + 1 + 71;
/// Bytes of host and path together.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag (OCI distribution-spec 1.1, "Pulling manifests").
const TAG_BYTES_MAX: usize = 128;

/// A place in a registry. Host and path say where to ask, the tag says what it
/// is called there, and the digest what it must be.
///
/// The last two components of the path are the package, so that a mirror may
/// put something before them and a signature still binds the name. There is no
/// default registry and no default tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    package: PackageName,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// What an artifact is called in its repository: 1 to 128 letters, digits, `_`,
/// `.` and `-`, not beginning with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// Why text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a tag: expected 1 to 128 letters, digits, `_`, `.` and `-`")]
pub struct TagError(String);

/// Why text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has no host, or none that can be one.
    #[error(
        "`{0}` does not begin with a registry, as in `registry.example:5000/acme/thermostat:1.2.0`"
    )]
    Registry(String),
    /// Its path does not end with a package.
    #[error("the path `{0}` does not end with a package, as in `acme/thermostat`")]
    Package(String),
    /// Its tag is none.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Its digest is none.
    #[error(transparent)]
    Digest(#[from] crate::DigestError),
    /// It is too long.
    #[error("a reference has at most {REFERENCE_BYTES_MAX} bytes; this has {0}")]
    TooLong(usize),
}

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that it stands for. Tags have no `+`; `_` stands in its
    /// place, as Helm and others write it.
    pub fn version(&self) -> Option<Version> {
        Version::parse(&self.0.replace('_', "+")).ok()
    }

    /// The tag that stands for a version.
    ///
    /// # Errors
    ///
    /// If the version is longer than a tag may be.
    pub fn for_version(version: &Version) -> Result<Self, TagError> {
        version.to_string().replace('+', "_").parse()
    }

    /// The tag under which registries without the referrers API keep what is
    /// about `subject` (OCI distribution-spec 1.1, "Referrers Tag Schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        Self(format!("sha256-{}", subject.hex()))
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let inner = |byte: u8| word(byte) || byte == b'.' || byte == b'-';
        let fits = text.len() <= TAG_BYTES_MAX
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(inner);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagError(cut(text)))
        }
    }
}

impl Reference {
    /// A reference by its parts: `registry` as `host[:port]`, `repository` as
    /// the path that ends with the package.
    ///
    /// # Errors
    ///
    /// If a part is none.
    pub fn new(
        registry: &str,
        repository: &str,
        tag: Option<Tag>,
        digest: Option<Digest>,
    ) -> Result<Self, ReferenceError> {
        let length = registry.len() + 1 + repository.len();
        if length > NAME_BYTES_MAX {
            return Err(ReferenceError::TooLong(length));
        }
        if !is_registry(registry) {
            return Err(ReferenceError::Registry(cut(registry)));
        }
        let package = repository
            .split('/')
            .all(is_half)
            .then(|| package_of(repository))
            .flatten();
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            package: package.ok_or_else(|| ReferenceError::Package(cut(repository)))?,
            tag,
            digest,
        })
    }

    /// Whom to ask: `registry.example:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path there: `site/acme/thermostat`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The package: the last two components of the path.
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// What it is called there.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// What it must be.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same place, with this tag and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self {
            tag: Some(tag),
            digest: None,
            ..self.clone()
        }
    }

    /// The same, which must be `digest`.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Host and path, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

fn package_of(repository: &str) -> Option<PackageName> {
    let (rest, name) = repository.rsplit_once('/')?;
    let namespace = rest
        .rsplit_once('/')
        .map_or(rest, |(_, namespace)| namespace);
    format!("{namespace}/{name}").parse().ok()
}

/// `host`, `host:port`, `1.2.3.4:port` or `[::1]:port`. A single word without a
/// port could be a path and is refused, but for `localhost`.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    let unambiguous =
        port.is_some() || bracketed.is_some() || host.contains('.') || host == "localhost";
    port_fits && host_fits && unambiguous
}

/// A label of a host name (RFC 1123, section 2.1).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(ReferenceError::TooLong(text.len()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, rest) = rest
            .split_once('/')
            .ok_or_else(|| ReferenceError::Registry(cut(text)))?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (rest, None),
        };
        Self::new(registry, repository, tag, digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, Tag};

    #[test]
    fn references_read_back_what_they_write() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for text in [
            "registry.example/acme/thermostat",
            "localhost/acme/thermostat:1.2.0",
            "127.0.0.1:5000/mirror/site-7/acme/thermostat:1.2.0-rc.1_build",
            &format!("[::1]:5000/acme/thermostat@{digest}"),
            &format!("registry.example:443/acme/thermostat:1.2.0@{digest}"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), *text);
            assert_eq!(reference.package().as_str(), "acme/thermostat");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "acme/thermostat",
            "acme/thermostat:1.0.0",
            "registry.example/thermostat",
            "registry.example/Acme/thermostat",
            "registry.example/acme/../thermostat",
            "registry.example/acme//thermostat",
            "registry.example:0/acme/thermostat",
            "registry.example:99999/acme/thermostat",
            "user@registry.example/acme/thermostat",
            "https://registry.example/acme/thermostat",
            "registry.example/acme/thermostat:",
            "registry.example/acme/thermostat:-x",
            "registry.example/acme/thermostat@sha256:00",
            "registry.example/acme/thermostat@sha512:00",
            "registry.example/acme/thermostat?x=1",
            "-registry.example/acme/thermostat",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn tags_stand_for_versions() {
        let version = "1.2.0-rc.1+linux".parse().unwrap();
        let tag = Tag::for_version(&version).unwrap();
        assert_eq!(tag.as_str(), "1.2.0-rc.1_linux");
        assert_eq!(tag.version(), Some(version));
        assert_eq!("latest".parse::<Tag>().unwrap().version(), None);
    }
}
