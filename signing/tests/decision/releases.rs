//! Who may release, and what counts as a release.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::Digest;
use selvedge_signing::{Candidate, Signer, Step, Trust, Verifier, predicate_type};

use crate::site::{COMPONENT, Site, at_once, chain, grant, names, packaged};

#[test]
fn a_release_by_a_granted_publisher_is_accepted() {
    let mut site = Site::new();
    site.policy.grants[0].imports = Some(names(&["wasi:sockets/*"]));
    let verified = site.verify().unwrap();
    assert_eq!(verified.origin().package().as_str(), "acme/thermostat");
    assert_eq!(verified.origin().version().to_string(), "1.2.0");
    assert_eq!(
        verified.origin().digest(),
        Digest::of(&site.candidate.manifest)
    );
    assert_eq!(verified.component(), COMPONENT);
    assert_eq!(verified.origin().component_digest(), Digest::of(COMPONENT));
    assert_eq!(
        verified.config().plugin.as_ref().unwrap().name,
        "thermostat"
    );
    assert_eq!(verified.origin().publisher(), "acme");
    assert!(matches!(verified.origin().signer(), Signer::Key { .. }));
    let age = Timestamp::now().duration_since(verified.origin().signed_at());
    assert!(age < SignedDuration::from_mins(5), "{age}");
    assert_eq!(verified.origin().rule().to_string(), "acme/*");
    assert_eq!(
        verified.imports_allowed(),
        Some(["wasi:sockets/*".to_owned()].as_slice())
    );
    assert!(verified.origin().attestations().is_empty());
    assert!(site.verifier().revoked(verified.origin()).is_none());
}

#[test]
fn a_signature_over_the_manifest_itself_is_a_release() {
    let mut site = Site::new();
    let signed = at_once(site.people.acme.sign_bytes(&site.candidate.manifest)).unwrap();
    site.candidate.bundles = vec![signed];
    assert_eq!(site.verify().unwrap().origin().publisher(), "acme");
}

#[test]
fn an_artifact_without_bundles_is_not_signed() {
    let mut site = Site::new();
    site.candidate.bundles.clear();
    site.is_refused(Step::Release, "unsigned");
}

#[test]
fn a_release_with_another_key_does_not_count() {
    let mut site = Site::new();
    site.candidate.bundles.clear();
    site.release(|people| &people.mallory);
    site.is_refused(Step::Release, "not-released");
    let text = chain(&site.refused());
    assert!(
        text.contains("bundle 1 is not by `acme`, who is the holder of the key `sha256:"),
        "{text}"
    );
    // The builder is known to the policy, but may not release this package.
    site.candidate.bundles.clear();
    site.release(|people| &people.builder);
    site.is_refused(Step::Release, "not-released");
}

#[test]
fn a_publisher_counts_only_for_the_packages_it_is_granted() {
    let mut site = Site::new();
    site.policy.grants = vec![
        grant("acme/thermostat", &["builder"]),
        grant("acme/*", &["acme"]),
    ];
    site.is_refused(Step::Release, "not-released");
    site.policy.grants = vec![grant("other/*", &["acme"])];
    site.is_refused(Step::Grant, "package-not-granted");
}

#[test]
fn the_most_specific_grant_decides_even_if_it_denies() {
    let mut site = Site::new();
    site.policy.grants.push(grant("*", &["acme"]));
    site.policy.grants.push(grant("acme/thermostat", &[]));
    site.is_refused(Step::Grant, "package-denied");
}

#[test]
fn two_grants_for_the_same_packages_are_no_policy() {
    let mut site = Site::new();
    site.policy.grants.push(grant("acme/*", &["builder"]));
    let trust = Trust::of_this_process(&site.policy.to_bytes(), BTreeMap::new());
    let error = trust.unwrap_err();
    assert_eq!(error.faults()[0].kind.code(), "policy-grant-ambiguous");
}

#[test]
fn a_signature_of_another_manifest_does_not_count() {
    let mut site = Site::new();
    let bundles = site.candidate.bundles.clone();
    site.candidate = Candidate {
        bundles,
        ..packaged("acme/thermostat", "1.2.0", b"\0asm\x0d\0\x01\0")
    };
    site.is_refused(Step::Release, "not-released");
}

#[test]
fn so_many_bundles_are_looked_at_and_no_more() {
    let mut site = Site::new();
    let release = site.candidate.bundles.remove(0);
    site.candidate.bundles = vec!["{}".into(); 31];
    site.candidate.bundles.push(release.clone());
    assert!(site.verify().is_ok());
    site.candidate.bundles.insert(0, "{}".into());
    let text = site.refused().to_string();
    assert!(
        text.contains("none of 32 bundles count, and 1 more were not looked at"),
        "{text}"
    );
    site.is_refused(Step::Release, "not-released");
    assert_eq!(site.refused().bundles().len(), 32);
}

#[test]
fn bundles_that_do_not_count_do_no_harm() {
    let mut site = Site::new();
    site.candidate
        .bundles
        .insert(0, Bytes::from_static(b"\xff"));
    site.release(|people| &people.mallory);
    site.state(|people| &people.mallory, predicate_type::CYCLONEDX);
    let verified = site.verify().unwrap();
    assert_eq!(verified.origin().publisher(), "acme");
    assert!(verified.origin().attestations().is_empty());
}

#[test]
fn a_root_that_is_none_is_named() {
    let site = Site::new();
    let files = BTreeMap::from([("trusted_root.json".to_owned(), "{}".into())]);
    let trust = Trust::of_this_process(&site.policy.to_bytes(), files).unwrap();
    let error = Verifier::new(trust).unwrap_err();
    assert_eq!(error.faults()[0].at, "/trust/main");
    assert_eq!(error.faults()[0].kind.code(), "policy-root-unusable");
}
