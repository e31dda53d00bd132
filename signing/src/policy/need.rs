//! What the names of needed statements stand for.

use crate::predicate_type;

/// Bytes of a predicate type that a policy names.
const PREDICATE_TYPE_BYTES_MAX: usize = 255;

/// The predicate types that a need is satisfied by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Predicate {
    base: String,
    /// Whether all versions of it do: `https://spdx.dev/Document/v2.3`.
    versions: bool,
}

impl Predicate {
    /// What `name` stands for: a short name, or a predicate type itself (an
    /// absolute URI). Not the release, which is always needed.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (base, versions) = match name {
            "slsa-provenance" => (predicate_type::SLSA_PROVENANCE, false),
            "cyclonedx" => (predicate_type::CYCLONEDX, true),
            "spdx" => (predicate_type::SPDX, true),
            predicate_type::RELEASE => return None,
            other if is_absolute_uri(other) => (other, false),
            _ => return None,
        };
        let base = base.to_owned();
        Some(Self { base, versions })
    }

    /// Whether a statement of `predicate_type` satisfies it.
    pub(crate) fn includes(&self, predicate_type: &str) -> bool {
        let is_version = |rest: &str| {
            let number = rest.strip_prefix("/v");
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            number.is_some_and(|number| number.split('.').all(digits))
        };
        match predicate_type.strip_prefix(&self.base) {
            Some("") => true,
            Some(rest) => self.versions && is_version(rest),
            None => false,
        }
    }

    /// Whether one statement could satisfy both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.includes(&other.base) || other.includes(&self.base)
    }
}

/// RFC 3986, section 4.3, without spaces and wildcards.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(in_scheme)
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
        && text.len() <= PREDICATE_TYPE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::Predicate;

    #[test]
    fn a_need_is_satisfied_by_its_own_types_alone() {
        let check = |need: &str, found: &str, expected: bool| {
            let need = Predicate::named(need).unwrap();
            assert_eq!(need.includes(found), expected, "{found}");
        };
        check("spdx", "https://spdx.dev/Document", true);
        check("spdx", "https://spdx.dev/Document/v2.3", true);
        check("spdx", "https://spdx.dev/Document/vx", false);
        check("spdx", "https://spdx.dev/Documents", false);
        check("spdx", "https://spdx.dev/Document/v2/evil", false);
        check("slsa-provenance", "https://slsa.dev/provenance/v1", true);
        check(
            "slsa-provenance",
            "https://slsa.dev/provenance/v1/v2",
            false,
        );
        check("slsa-provenance", "https://slsa.dev/provenance/v0.2", false);
        check(
            "https://site.example/tested",
            "https://site.example/tested",
            true,
        );
        check(
            "https://site.example/tested",
            "https://site.example/tested/v1",
            false,
        );
    }

    #[test]
    fn what_names_no_statement_is_refused() {
        let release = "https://sigstore.dev/cosign/sign/v1";
        for name in [
            "",
            "sbom",
            "release",
            "https:",
            "1x:y",
            "https://a b",
            "https://a/*",
            release,
        ] {
            assert_eq!(Predicate::named(name), None, "{name:?}");
        }
    }
}
