//! What the device remembers stands in for signatures that it cannot verify
//! while its clock is behind. Here the bundles are taken away instead: why they
//! do not verify makes no difference.

use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::Digest;
use selvedge_signing::{
    AcceptedRelease, Device, KeyPublisher, Publisher, Purpose, Refusal, VerifiedArtifact,
    predicate_type,
};

use crate::site::{COMPONENT, Site, needing, packaged, publisher};

const OTHER: &[u8] = b"\0asm\x0d\0\x01\0 and something else";

/// A site whose artifact a device accepted and cannot verify any more, with what
/// the device remembers, as it comes back from the disk.
fn accepted_by(mut site: Site) -> (Site, Vec<AcceptedRelease>) {
    let accepted = site.verify().unwrap();
    assert!(!accepted.origin().from_record());
    let kept = serde_json::to_vec(accepted.origin().accepted()).unwrap();
    site.candidate.bundles.clear();
    (site, serde_json::from_slice(&kept).unwrap())
}

fn accepted() -> (Site, Vec<AcceptedRelease>) {
    accepted_by(Site::new())
}

fn verify(
    site: &Site,
    purpose: Purpose,
    accepted: &[AcceptedRelease],
) -> Result<VerifiedArtifact, Refusal> {
    let device = Device {
        now: Timestamp::now(),
        purpose,
        version_seen: None,
        accepted,
    };
    site.verifier()
        .verify(&site.request(), &site.candidate, &device)
}

#[track_caller]
fn is_refused(site: &Site, accepted: &[AcceptedRelease], code: &str) {
    for purpose in [Purpose::Resume, Purpose::Return] {
        let refusal = verify(site, purpose, accepted).unwrap_err();
        assert_eq!(refusal.code(), code, "{refusal}");
    }
}

#[test]
fn what_was_accepted_is_resumed_and_remembered_again() {
    let (site, accepted) = accepted();
    for purpose in [Purpose::Resume, Purpose::Return] {
        let resumed = verify(&site, purpose, &accepted).unwrap();
        let origin = resumed.origin();
        assert!(origin.from_record());
        assert_eq!(origin.publisher(), "acme");
        assert_eq!(origin.accepted(), accepted);
        assert_eq!(resumed.component(), COMPONENT);
    }
}

#[test]
fn bundles_that_do_not_count_change_nothing() {
    let (mut site, accepted) = accepted();
    site.release(|people| &people.mallory);
    site.candidate.bundles.push("{}".into());
    let resumed = verify(&site, Purpose::Resume, &accepted).unwrap();
    assert_eq!(resumed.origin().publisher(), "acme");
    assert!(resumed.origin().from_record());
}

#[test]
fn signatures_that_verify_count_before_what_is_remembered() {
    let site = Site::new();
    let accepted = site.verify().unwrap().origin().accepted().to_vec();
    let resumed = verify(&site, Purpose::Resume, &accepted).unwrap();
    assert!(!resumed.origin().from_record());
    assert_eq!(resumed.origin().accepted(), accepted);
}

#[test]
fn nothing_is_installed_by_what_is_remembered() {
    let (site, accepted) = accepted();
    let refusal = verify(&site, Purpose::Install, &accepted).unwrap_err();
    assert_eq!(refusal.code(), site.refused().code());
}

#[test]
fn without_anything_remembered_nothing_is_resumed() {
    let (site, _) = accepted();
    is_refused(&site, &[], site.refused().code());
}

#[test]
fn what_is_remembered_of_another_artifact_does_not_count() {
    let mut other = Site::new();
    other.candidate = packaged("acme/thermostat", "1.2.0", OTHER);
    other.release(|people| &people.acme);
    let unsigned = other.verify().unwrap().origin().accepted().to_vec();
    let (mut site, _) = accepted();
    // The same policy, and so the same publisher: only the artifact is another.
    site.policy = other.policy.clone();
    site.root = other.root.clone();
    is_refused(&site, &unsigned, site.refused().code());
    site.candidate = other.candidate;
    site.candidate.bundles.clear();
    assert!(verify(&site, Purpose::Resume, &unsigned).is_ok());
}

#[test]
fn altered_bytes_are_refused_whatever_is_remembered() {
    let (mut site, accepted) = accepted();
    let whole = site.candidate.clone();
    site.candidate.layers = vec![OTHER.into()];
    is_refused(&site, &accepted, "component-mismatch");
    site.candidate = whole.clone();
    site.candidate.config = "{}".into();
    is_refused(&site, &accepted, "config-mismatch");
    let request = site.request();
    site.candidate = packaged("acme/thermostat", "1.2.0", OTHER);
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Resume,
        version_seen: None,
        accepted: &accepted,
    };
    let verdict = site.verifier().verify(&request, &site.candidate, &device);
    assert_eq!(verdict.unwrap_err().code(), "digest-mismatch");
}

#[test]
fn what_is_revoked_is_not_resumed() {
    let (mut site, accepted) = accepted();
    for digest in [Digest::of(&site.candidate.manifest), Digest::of(COMPONENT)] {
        site.policy.revoked.digests = [digest].into();
        is_refused(&site, &accepted, "digest-revoked");
    }
    site.policy.revoked.digests.clear();
    // Under another name of the same key as well.
    let again = publisher(&site.people.acme);
    site.policy.publishers.insert("again".to_owned(), again);
    for name in ["acme", "again"] {
        let mut revoke = |offset: SignedDuration| {
            let since = Timestamp::now().checked_add(offset).unwrap();
            site.policy.revoked.publishers = [(name.to_owned(), since)].into();
        };
        revoke(SignedDuration::from_mins(-1));
        is_refused(&site, &accepted, "publisher-revoked");
    }
    let later = Timestamp::now() + SignedDuration::from_mins(1);
    site.policy.revoked.publishers = [("acme".to_owned(), later)].into();
    assert!(verify(&site, Purpose::Resume, &accepted).is_ok());
}

#[test]
fn a_revoked_release_that_verifies_leaves_one_that_is_remembered() {
    let mut site = Site::new();
    site.policy.grants[0].by.insert("builder".to_owned());
    site.release(|people| &people.builder);
    let (mut site, accepted) = accepted_by(site);
    assert_eq!(accepted.len(), 2);
    site.release(|people| &people.builder);
    let since = Timestamp::now() - SignedDuration::from_mins(1);
    let revoked = &mut site.policy.revoked.publishers;
    revoked.insert("builder".to_owned(), since);
    let resumed = verify(&site, Purpose::Resume, &accepted).unwrap();
    assert_eq!(resumed.origin().publisher(), "acme");
    assert!(resumed.origin().from_record());
    assert_eq!(resumed.origin().accepted().len(), 1);
    let revoked = &mut site.policy.revoked.publishers;
    revoked.insert("acme".to_owned(), since);
    is_refused(&site, &accepted, "publisher-revoked");
}

#[test]
fn a_publisher_about_whom_the_policy_says_something_else_does_not_count() {
    let (mut site, accepted) = accepted();
    let code = site.refused().code();
    let before = site.policy.clone();
    let Publisher::Key(key) = publisher(&site.people.acme) else {
        unreachable!("it has a key");
    };
    for changed in [
        publisher(&site.people.mallory),
        Publisher::Key(KeyPublisher { log: true, ..key }),
    ] {
        site.policy.publishers.insert("acme".to_owned(), changed);
        is_refused(&site, &accepted, code);
    }
    // Nor one whose key is now under another name, or who may no longer release.
    site.policy = before.clone();
    let acme = site.policy.publishers.remove("acme").unwrap();
    site.policy.publishers.insert("other".to_owned(), acme);
    site.policy.grants[0].by = ["other".to_owned()].into();
    is_refused(&site, &accepted, code);
    site.policy = before.clone();
    site.policy.grants[0].by = ["builder".to_owned()].into();
    is_refused(&site, &accepted, code);
    site.policy.grants.clear();
    is_refused(&site, &accepted, "package-not-granted");
    site.policy = before;
    assert!(verify(&site, Purpose::Resume, &accepted).is_ok());
}

#[test]
fn a_publisher_whose_root_is_another_target_does_not_count() {
    let (mut site, accepted) = accepted();
    let other = "other.json".to_owned();
    site.policy.trust.insert("main".to_owned(), other);
    let files = [("other.json".to_owned(), site.root.clone())].into();
    let policy = site.policy.to_bytes();
    let trust = selvedge_signing::Trust::of_this_process(&policy, files).unwrap();
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Resume,
        version_seen: None,
        accepted: &accepted,
    };
    let verifier = selvedge_signing::Verifier::new(trust).unwrap();
    let verdict = verifier.verify(&site.request(), &site.candidate, &device);
    assert_eq!(verdict.unwrap_err().code(), "unsigned");
}

#[test]
fn where_statements_are_needed_signatures_are_too() {
    let mut site = needing(&["builder"]);
    site.state(|people| &people.builder, predicate_type::CYCLONEDX);
    let (mut site, accepted) = accepted_by(site);
    is_refused(&site, &accepted, site.refused().code());
    site.state(|people| &people.builder, predicate_type::CYCLONEDX);
    is_refused(&site, &accepted, site.refused().code());
}

#[test]
fn going_back_below_the_floor_is_refused_whatever_is_remembered() {
    let (mut site, accepted) = accepted();
    let package = "acme/thermostat".parse().unwrap();
    let floor = "1.2.1".parse().unwrap();
    site.policy.floor.insert(package, floor);
    assert!(verify(&site, Purpose::Resume, &accepted).is_ok());
    let refusal = verify(&site, Purpose::Return, &accepted).unwrap_err();
    assert_eq!(refusal.code(), "version-below-floor");
}
