//! What manifests are called in a store's list, and what the list says besides.
//!
//! Ours are `repository:tag`. Other tools write a tag alone or a full
//! reference; those are read too: of a full reference the registry is left out,
//! and a tag alone belongs to the package that the manifest says it is. What is
//! neither is kept, and findable by digest only.

use selvedge_artifact::{Descriptor, Digest, PackageName, Reference, Tag, media_type};

use super::LayoutError;

/// Annotation of an entry: the digest that its manifest is about, or [`NO_SUBJECT`].
/// An entry without it is another tool's.
pub(super) const SUBJECT: &str = "dev.selvedge.subject";
/// In place of a digest: the manifest is about nothing.
pub(super) const NO_SUBJECT: &str = "none";
/// Annotation of an entry: `repository:tag`, where another tool's name differs.
pub(super) const NAME: &str = "dev.selvedge.name";

/// Bytes of a repository.
const REPOSITORY_BYTES_MAX: usize = 255;

/// The name that an entry is found by.
pub(super) fn text(entry: &Descriptor) -> Option<&str> {
    let annotations = &entry.annotations;
    let name = annotations
        .get(NAME)
        .or_else(|| annotations.get(media_type::REF_NAME));
    name.map(String::as_str)
}

/// The name that an entry is found by, in its parts.
pub(super) fn parts(entry: &Descriptor) -> Option<(String, Tag)> {
    split(text(entry)?)
}

/// What the manifest of an entry is about.
pub(crate) fn subject(entry: &Descriptor) -> Option<Digest> {
    entry.annotations.get(SUBJECT)?.parse().ok()
}

/// The name of an entry in a list that may be another tool's, given the package
/// that its manifest says it is.
pub(crate) fn of_any(entry: &Descriptor, package: Option<&str>) -> Option<(String, Tag)> {
    if entry.annotations.contains_key(SUBJECT) {
        return parts(entry);
    }
    let name = entry.annotations.get(media_type::REF_NAME)?;
    if let Ok(reference) = name.parse::<Reference>() {
        let tag = reference.tag()?.clone();
        return Some((reference.repository().to_owned(), tag));
    }
    split(name).or_else(|| {
        let package: PackageName = package?.parse().ok()?;
        Some((package.as_str().to_owned(), name.parse().ok()?))
    })
}

/// The text of a name.
///
/// # Errors
///
/// If the repository is none.
pub(super) fn join(repository: &str, tag: &Tag) -> Result<String, LayoutError> {
    if !is_repository(repository) {
        let cut = repository.chars().take(200);
        return Err(LayoutError::Repository(
            cut.flat_map(char::escape_debug).collect(),
        ));
    }
    Ok(format!("{repository}:{tag}"))
}

fn split(name: &str) -> Option<(String, Tag)> {
    let (repository, tag) = name.rsplit_once(':')?;
    let tag = tag.parse().ok()?;
    is_repository(repository).then(|| (repository.to_owned(), tag))
}

/// A name as registries have it (OCI distribution-spec 1.1, "Pulling manifests").
fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(word) && text.bytes().last().is_some_and(word);
    let separated = text
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        });
    ends && separated
}

#[cfg(test)]
mod tests {
    use selvedge_artifact::{Descriptor, media_type};

    use super::{SUBJECT, is_repository, of_any};

    fn check(name: &str, ours: bool, expected: Option<&str>) {
        let mut entry = Descriptor::of(media_type::MANIFEST, b"{}");
        let name = name.to_owned();
        entry
            .annotations
            .insert(media_type::REF_NAME.to_owned(), name);
        if ours {
            let subject = super::NO_SUBJECT.to_owned();
            entry.annotations.insert(SUBJECT.to_owned(), subject);
        }
        let found = of_any(&entry, Some("acme/window"));
        let found = found.map(|(repository, tag)| format!("{repository}:{tag}"));
        assert_eq!(found.as_deref(), expected, "{entry:?}");
    }

    #[test]
    fn our_own_names_are_taken_as_they_are() {
        for name in ["acme/window:1.0.0", "docker.io/acme/window:1.0.0"] {
            check(name, true, Some(name));
        }
        check("1.0.0", true, None);
    }

    #[test]
    fn names_of_other_tools_lose_the_registry_and_gain_the_package() {
        check("acme/window:1.0.0", false, Some("acme/window:1.0.0"));
        check(
            "ghcr.io/acme/window:1.0.0",
            false,
            Some("acme/window:1.0.0"),
        );
        check("localhost:5000/acme/window:1", false, Some("acme/window:1"));
        check("1.0.0", false, Some("acme/window:1.0.0"));
        check("localhost:5000/acme/window", false, None);
        check("../x:1", false, None);
        check("what a nice day", false, None);
    }

    #[test]
    fn repositories_are_spelt_as_registries_spell_them() {
        for text in ["acme/window", "a", "a.b/c_d/e__f/g--h", "library/x-1"] {
            assert!(is_repository(text), "{text}");
        }
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A/b",
            "a/..",
            "../a",
            "a/.b",
            "a b",
            "a.-b",
            "a___b",
            "a:b",
            "ä",
            "a/b\n",
            "-a",
            &"a".repeat(256),
        ] {
            assert!(!is_repository(text), "{text}");
        }
    }
}
