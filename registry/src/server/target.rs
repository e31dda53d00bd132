//! What a request is about: its path, parsed (OCI distribution-spec 1.1,
//! "Endpoints").
//!
//! Names have slashes, so a path is read from its end. Nothing is decoded but
//! `%3A`, which some clients write in digests: names, tags and digests need no
//! other, and what is not decoded cannot be a trick.

use selvedge_artifact::{Digest, Tag};

use super::refusal::Refusal;

/// Bytes of a path. A name has 255, a tag 128, a digest of SHA-512 135.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a repository's name. The specification leaves 255 with the host.
const NAME_BYTES_MAX: usize = 255;

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The registry itself (end-1).
    Registry,
    /// A blob (end-2, end-10).
    Blob(Repository<'a>, String),
    /// A manifest (end-3, end-7, end-9).
    Manifest(Repository<'a>, String),
    /// Uploads to come (end-4, end-11).
    Uploads(Repository<'a>),
    /// An upload under way (end-5, end-6, end-13).
    Upload(Repository<'a>, &'a str),
    /// The tags of a repository (end-8).
    Tags(Repository<'a>),
    /// What is about a manifest (end-12).
    Referrers(Repository<'a>, String),
}

/// A repository's name: components of lower-case letters and digits, within
/// which `.`, `_`, `__` or any number of `-` may stand, with slashes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repository<'a>(&'a str);

/// How a manifest is named in its repository.
#[derive(Debug)]
pub(super) enum Name {
    Tag(Tag),
    Digest(Digest),
}

impl<'a> Target<'a> {
    pub(super) fn parse(path: &'a str) -> Result<Self, Refusal> {
        if path.len() > PATH_BYTES_MAX {
            return Err(Refusal::PathTooLong);
        }
        if path == "/v2/" || path == "/v2" {
            return Ok(Self::Registry);
        }
        let path = path.strip_prefix("/v2/").ok_or(Refusal::NoSuchPath)?;
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Self::Tags(Repository::parse(name)?));
        }
        let uploads = path.strip_suffix('/').unwrap_or(path);
        if let Some(name) = uploads.strip_suffix("/blobs/uploads") {
            return Ok(Self::Uploads(Repository::parse(name)?));
        }
        let (rest, last) = path.rsplit_once('/').ok_or(Refusal::NoSuchPath)?;
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(Repository::parse(name)?, last));
        }
        let (name, kind) = rest.rsplit_once('/').ok_or(Refusal::NoSuchPath)?;
        let last = last.replace("%3A", ":").replace("%3a", ":");
        let target = match kind {
            "blobs" => Self::Blob,
            "manifests" => Self::Manifest,
            "referrers" => Self::Referrers,
            _ => return Err(Refusal::NoSuchPath),
        };
        Ok(target(Repository::parse(name)?, last))
    }
}

impl<'a> Repository<'a> {
    pub(super) fn parse(name: &'a str) -> Result<Self, Refusal> {
        if name.len() <= NAME_BYTES_MAX && name.split('/').all(is_component) {
            Ok(Self(name))
        } else {
            Err(Refusal::NameInvalid)
        }
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.0
    }
}

impl Name {
    /// How a manifest is named when it is asked for: what cannot be here is not.
    pub(super) fn wanted(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') {
            wanted_digest(text, Refusal::ManifestUnknown).map(Self::Digest)
        } else {
            text.parse()
                .map(Self::Tag)
                .map_err(|_| Refusal::ManifestUnknown)
        }
    }

    /// How a manifest is named when it is put.
    pub(super) fn given(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') {
            given_digest(text).map(Self::Digest)
        } else {
            let invalid = |_| Refusal::ManifestInvalid("its tag is none");
            text.parse().map(Self::Tag).map_err(invalid)
        }
    }
}

/// The digest of something asked for. One of another algorithm is a digest, but
/// nothing here has it: `unknown`.
pub(super) fn wanted_digest(text: &str, unknown: Refusal) -> Result<Digest, Refusal> {
    match text.parse() {
        Ok(digest) => Ok(digest),
        Err(_) if is_foreign_digest(text) => Err(unknown),
        Err(_) => Err(Refusal::DigestInvalid),
    }
}

/// The digest of something that comes.
pub(super) fn given_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| Refusal::DigestInvalid)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(word))
        && bytes
            .split(word)
            .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

/// A digest of an algorithm that is not known here (OCI image-spec 1.1,
/// descriptor.md, "Digests").
fn is_foreign_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else {
        return false;
    };
    let algorithm_byte =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+._-".contains(&b);
    let encoded_byte = |b: u8| b.is_ascii_alphanumeric() || b"=_-".contains(&b);
    algorithm != "sha256"
        && !algorithm.is_empty()
        && !encoded.is_empty()
        && algorithm.bytes().all(algorithm_byte)
        && encoded.bytes().all(encoded_byte)
}

#[cfg(test)]
mod tests {
    use super::{Repository, Target, is_foreign_digest};

    fn check(path: &str, expected: Option<Target<'_>>) {
        assert_eq!(Target::parse(path).ok(), expected, "{path}");
    }

    fn name(text: &str) -> Repository<'_> {
        Repository::parse(text).unwrap()
    }

    #[test]
    fn a_path_is_read_from_its_end() {
        let text = |text: &str| text.to_owned();
        check("/v2/", Some(Target::Registry));
        check("/v2/a/tags/list", Some(Target::Tags(name("a"))));
        check("/v2/a/b/blobs/uploads/", Some(Target::Uploads(name("a/b"))));
        check("/v2/a/b/blobs/uploads", Some(Target::Uploads(name("a/b"))));
        check(
            "/v2/a/blobs/uploads/7",
            Some(Target::Upload(name("a"), "7")),
        );
        check("/v2/a/blobs/x", Some(Target::Blob(name("a"), text("x"))));
        check(
            "/v2/a/manifests/sha256%3Ab",
            Some(Target::Manifest(name("a"), text("sha256:b"))),
        );
        // Words of the specification are names too.
        check(
            "/v2/manifests/blobs/uploads/manifests/v1",
            Some(Target::Manifest(
                name("manifests/blobs/uploads"),
                text("v1"),
            )),
        );
        check(
            "/v2/tags/list/tags/list",
            Some(Target::Tags(name("tags/list"))),
        );
    }

    #[test]
    fn tricks_are_no_paths() {
        for path in [
            "",
            "/",
            "/v1/a/tags/list",
            "/v2/tags/list",
            "/v2//tags/list",
            "/v2/a//b/tags/list",
            "/v2/../a/tags/list",
            "/v2/a/../b/tags/list",
            "/v2/a%2fb/tags/list",
            "/v2/..%2f..%2fetc/tags/list",
            "/v2/a%00/tags/list",
            "/v2/A/tags/list",
            "/v2/a_/tags/list",
            "/v2/a___b/tags/list",
            "/v2/a..b/tags/list",
            "/v2/a/nothing/x",
            "/v2/manifests/x",
            "/v2/blobs/uploads/",
        ] {
            check(path, None);
        }
        let long = format!("/v2/{}/tags/list", "a".repeat(256));
        check(&long, None);
    }

    #[test]
    fn names_may_have_any_number_of_components() {
        for text in ["a", "a/b/c/d", "a.b_c__d---e", "0"] {
            assert!(Repository::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_algorithms_are_digests_that_are_not_here() {
        assert!(is_foreign_digest(&format!("sha512:{}", "0".repeat(128))));
        for text in ["sha256:00", "sha512:", ":00", "sha512", "sha512:../x"] {
            assert!(!is_foreign_digest(text), "{text}");
        }
    }
}
