//! Step 8: is it not older than what the device had?
//!
//! Versions are compared by precedence (Semantic Versioning 2.0.0, section 11):
//! a pre-release is below its release, and build metadata is ignored, so that of
//! two builds of one version neither is a downgrade from the other. Where the
//! policy lists versions, it means each exactly, build metadata too.

use selvedge_artifact::PackageName;
use semver::Version;

use crate::refusal::VersionMark;
use crate::{Policy, Refusal};

/// Whether `version` may be installed where `seen` was the highest that ran.
pub(super) fn check(
    policy: &Policy,
    package: &PackageName,
    version: &Version,
    seen: Option<&Version>,
) -> Result<(), Refusal> {
    let below = |mark: &&Version| version.cmp_precedence(mark).is_lt();
    let marked = |mark: &Version| {
        Box::new(VersionMark {
            package: package.clone(),
            found: version.clone(),
            mark: mark.clone(),
        })
    };
    if let Some(floor) = policy.floor.get(package).filter(below) {
        return Err(Refusal::BelowFloor(marked(floor)));
    }
    let downgrades = policy.downgrade.get(package);
    let is_allowed = downgrades.is_some_and(|versions| versions.contains(version));
    match seen.filter(below) {
        Some(seen) if !is_allowed => Err(Refusal::Downgrade(marked(seen))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::{Policy, Refusal};

    fn code(version: &str, seen: Option<&str>) -> &'static str {
        let policy = br#"{"v":1,
            "floor":{"acme/thermostat":"1.1.0"},
            "downgrade":{"acme/thermostat":["1.2.0","1.3.0+b"]}}"#;
        let policy = Policy::parse(policy).unwrap();
        let package = "acme/thermostat".parse().unwrap();
        let seen = seen.map(|seen| seen.parse().unwrap());
        let checked = check(&policy, &package, &version.parse().unwrap(), seen.as_ref());
        checked.as_ref().map_or_else(Refusal::code, |()| "ok")
    }

    #[test]
    fn nothing_below_the_floor_is_installed() {
        assert_eq!(code("1.1.0", None), "ok");
        assert_eq!(code("1.0.9", None), "version-below-floor");
        assert_eq!(code("1.1.0-rc.1", None), "version-below-floor");
    }

    #[test]
    fn nothing_below_what_the_device_had_is_installed() {
        assert_eq!(code("2.0.0", Some("2.0.0")), "ok");
        assert_eq!(code("2.0.1-rc.1", Some("2.0.0")), "ok");
        assert_eq!(code("2.0.0-rc.1", Some("2.0.0")), "version-downgrade");
        assert_eq!(code("1.9.9", Some("2.0.0")), "version-downgrade");
    }

    #[test]
    fn the_policy_allows_going_back_to_versions_one_by_one() {
        assert_eq!(code("1.2.0", Some("2.0.0")), "ok");
        assert_eq!(code("1.2.1", Some("2.0.0")), "version-downgrade");
        assert_eq!(code("1.3.0+b", Some("2.0.0")), "ok");
        assert_eq!(code("1.3.0", Some("2.0.0")), "version-downgrade");
    }

    #[test]
    fn builds_of_one_version_are_no_downgrade_from_each_other() {
        assert_eq!(code("2.0.0+a", Some("2.0.0+b")), "ok");
        assert_eq!(code("2.0.0", Some("2.0.0+b")), "ok");
    }
}
