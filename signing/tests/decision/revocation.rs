//! What was trusted and is not any more, and what is older than what was there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::Digest;
use selvedge_signing::{Device, Purpose, Request, Step, predicate_type};

use crate::site::{COMPONENT, Site, needing, publisher};

fn revoked_from(site: &mut Site, name: &str, offset: SignedDuration) {
    let since = Timestamp::now().checked_add(offset).unwrap();
    site.policy
        .revoked
        .publishers
        .insert(name.to_owned(), since);
}

#[test]
fn a_revoked_digest_is_refused_whichever_of_the_two_it_is() {
    let accepted = Site::new().verify().unwrap();
    for revoke in [
        |site: &Site| Digest::of(&site.candidate.manifest),
        |_: &Site| Digest::of(COMPONENT),
    ] {
        let mut site = Site::new();
        let digest = revoke(&site);
        site.policy.revoked.digests.insert(digest);
        site.is_refused(Step::Revocation, "digest-revoked");
        let resumed = site.verify_for(Purpose::Resume, None).unwrap_err();
        assert_eq!(resumed.code(), "digest-revoked");
        assert!(site.verifier().revokes(&digest));
        // The same bytes, accepted by an older policy.
        assert_eq!(
            site.verifier().revoked(accepted.origin()).unwrap().code(),
            "digest-revoked"
        );
    }
}

#[test]
fn what_a_publisher_signed_before_it_was_revoked_still_counts() {
    let mut site = Site::new();
    revoked_from(&mut site, "acme", SignedDuration::from_mins(1));
    let verified = site.verify().unwrap();
    assert!(site.verifier().revoked(verified.origin()).is_none());
}

#[test]
fn what_a_publisher_signed_after_it_was_revoked_does_not_count() {
    let mut site = Site::new();
    let accepted = site.verify().unwrap();
    revoked_from(&mut site, "acme", SignedDuration::from_mins(-1));
    site.is_refused(Step::Revocation, "publisher-revoked");
    let running = site.verifier().revoked(accepted.origin()).unwrap();
    assert_eq!(running.code(), "publisher-revoked");
    // From this very second on is after, too.
    let mut site = Site::new();
    let at = site.verify().unwrap().origin().signed_at();
    site.policy.revoked.publishers.insert("acme".to_owned(), at);
    site.is_refused(Step::Revocation, "publisher-revoked");
}

#[test]
fn a_release_by_a_revoked_publisher_leaves_that_by_another() {
    let mut site = Site::new();
    site.policy.grants[0].by.insert("builder".to_owned());
    site.release(|people| &people.builder);
    let accepted = site.verify().unwrap();
    revoked_from(&mut site, "acme", SignedDuration::from_mins(-1));
    assert_eq!(site.verify().unwrap().origin().publisher(), "builder");
    assert!(site.verifier().revoked(accepted.origin()).is_none());
    revoked_from(&mut site, "builder", SignedDuration::from_mins(-1));
    site.is_refused(Step::Revocation, "publisher-revoked");
    assert!(site.verifier().revoked(accepted.origin()).is_some());
}

#[test]
fn a_revoked_key_is_revoked_under_every_name() {
    let mut site = Site::new();
    let again = publisher(&site.people.acme);
    site.policy.publishers.insert("again".to_owned(), again);
    revoked_from(&mut site, "again", SignedDuration::from_mins(-1));
    site.is_refused(Step::Revocation, "publisher-revoked");
}

#[test]
fn a_needed_statement_by_a_revoked_publisher_does_not_count() {
    let mut site = needing(&["builder"]);
    site.state(|people| &people.builder, predicate_type::CYCLONEDX);
    revoked_from(&mut site, "builder", SignedDuration::from_mins(-1));
    site.is_refused(Step::Revocation, "publisher-revoked");
    assert!(
        site.refused()
            .to_string()
            .contains("the needed `cyclonedx`")
    );
}

#[test]
fn versions_below_the_marks_are_not_installed_but_resumed() {
    let mut site = Site::new();
    assert!(site.verify_for(Purpose::Install, Some("1.2.0")).is_ok());
    let refusal = site
        .verify_for(Purpose::Install, Some("1.3.0"))
        .unwrap_err();
    assert_eq!(
        (refusal.step(), refusal.code()),
        (Step::Version, "version-downgrade")
    );
    assert!(refusal.hint().unwrap().contains("`1.2.0`"));
    let package = || "acme/thermostat".parse().unwrap();
    let back = BTreeSet::from(["1.2.0".parse().unwrap()]);
    site.policy.downgrade.insert(package(), back);
    assert!(site.verify_for(Purpose::Install, Some("1.3.0")).is_ok());
    site.policy.downgrade.clear();
    site.policy
        .floor
        .insert(package(), "1.2.1".parse().unwrap());
    site.is_refused(Step::Version, "version-below-floor");
    assert!(site.verify_for(Purpose::Resume, Some("1.3.0")).is_ok());
    let returned = site.verify_for(Purpose::Return, Some("1.3.0")).unwrap_err();
    assert_eq!(returned.code(), "version-below-floor");
    site.policy.floor.clear();
    assert!(site.verify_for(Purpose::Return, Some("1.3.0")).is_ok());
}

#[test]
fn what_is_resumed_is_named_by_its_digest_and_still_granted() {
    let mut site = Site::new();
    let request = Request {
        digest: None,
        ..site.request()
    };
    let device = Device {
        now: Timestamp::now(),
        purpose: Purpose::Resume,
        version_seen: None,
        accepted: &[],
    };
    let verdict = site.verifier().verify(&request, &site.candidate, &device);
    assert_eq!(verdict.unwrap_err().code(), "resume-without-digest");
    let accepted = site.verify().unwrap();
    site.policy.grants.clear();
    let resumed = site.verify_for(Purpose::Resume, None).unwrap_err();
    assert_eq!(resumed.code(), "package-not-granted");
    assert!(site.verifier().revoked(accepted.origin()).is_none());
}
