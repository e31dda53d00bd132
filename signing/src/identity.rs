//! Whether a verified identity is the one that a policy means.
//!
//! The one place where a wildcard decides about trust. `sigstore-verify` matches
//! identities exactly; release workflows carry the tag in theirs, so the policy
//! may end in `*`. Only identities from certificates that were verified get here.
//!
//! A workflow's URI names the workflow that ran and not the repository that
//! called it: if it can be called from elsewhere (`workflow_call`), so can it be
//! made to sign anything. Claims close that gap, `source_repository_identifier`
//! best of all.

use serde::{Deserialize, Serialize};

use selvedge_artifact::foreign::cut;

/// Bytes of an identity or a pattern.
const IDENTITY_BYTES_MAX: usize = 2048;

/// An identity, exactly, or, ending in `*`, all that begin with what stands
/// before it.
///
/// Characters count as they are, upper and lower case too. A `*` may only
///
/// * stand once, at the end, and after a `/`;
/// * end an `https` URI with a host and at least one segment of a path before
///   it: `https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/*`,
///   and never `*`, `*@acme.example`, `https://github.com/*` or
///   `https://github.com/acme*`.
///
/// It matches one or more visible ASCII characters, in which none of `?`, `#`,
/// `%`, `\` and `*` stands and no segment is empty, `.` or `..`, so that no
/// reader of the URI finds it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityPattern(String);

/// Why text is no pattern of identities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an identity: {reason}")]
pub struct IdentityPatternError {
    text: String,
    reason: &'static str,
}

impl TryFrom<String> for IdentityPattern {
    type Error = IdentityPatternError;

    fn try_from(text: String) -> Result<Self, IdentityPatternError> {
        match check_pattern(&text) {
            Ok(()) => Ok(Self(text)),
            Err(reason) => Err(IdentityPatternError {
                text: cut(&text),
                reason,
            }),
        }
    }
}

impl From<IdentityPattern> for String {
    fn from(pattern: IdentityPattern) -> Self {
        pattern.0
    }
}

impl IdentityPattern {
    /// Whether `identity`, from a verified certificate, is meant.
    pub fn matches(&self, identity: &str) -> bool {
        match self.0.strip_suffix('*') {
            None => identity == self.0,
            Some(before) => {
                let rest = identity.strip_prefix(before);
                identity.len() <= IDENTITY_BYTES_MAX && rest.is_some_and(is_plain_path)
            }
        }
    }

    /// Whether it means URIs; else it means addresses. A certificate says which
    /// of the two its identity is, and it must be the same.
    pub(crate) fn is_uri(&self) -> bool {
        self.0.contains("://")
    }
}

fn check_pattern(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > IDENTITY_BYTES_MAX {
        return Err("it has not 1 to 2048 bytes");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("it has spaces or control characters");
    }
    if !text.contains('*') {
        return Ok(());
    }
    let before = text
        .strip_suffix('*')
        .filter(|before| !before.contains('*'));
    let before = before.ok_or("a `*` may only stand at the end")?;
    let uri = before.strip_prefix("https://");
    let (host, path) = uri
        .and_then(|uri| uri.split_once('/'))
        .ok_or("a `*` may only stand in the path of an `https` URI")?;
    if !is_host(host) {
        return Err("a `*` needs a plain lower-case host before it");
    }
    let path = path
        .strip_suffix('/')
        .ok_or("a `*` may only stand after a `/` that ends a segment of the path")?;
    if !is_plain_path(path) {
        return Err("the path before a `*` must be plain: no empty or dot segments, no `?#%\\`");
    }
    Ok(())
}

/// A host name with or without a port. No user, no brackets, no upper case.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "443"));
    let label = |label: &str| {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit())
}

/// Segments of a path that every reader of URIs understands alike.
fn is_plain_path(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !b"?#%\\*".contains(&c);
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    text.split('/').all(segment)
}

#[cfg(test)]
mod tests;
