//! What must be stated about an artifact, and by whom.

use selvedge_signing::{Step, predicate_type};

use crate::site::{Site, chain, needing};

#[test]
fn a_bill_of_materials_by_the_right_publisher_is_no_release() {
    let mut site = Site::new();
    site.candidate.bundles.clear();
    site.state(|people| &people.acme, predicate_type::CYCLONEDX);
    site.is_refused(Step::Release, "not-released");
    let text = chain(&site.refused());
    assert!(
        text.contains("states `https://cyclonedx.org/bom`, which is no release"),
        "{text}"
    );
}

#[test]
fn a_needed_statement_must_be_there() {
    let mut site = needing(&[]);
    site.is_refused(Step::Attestations, "attestation-missing");
    site.state(|people| &people.acme, predicate_type::SPDX);
    site.is_refused(Step::Attestations, "attestation-missing");
    site.state(|people| &people.acme, predicate_type::CYCLONEDX);
    let verified = site.verify().unwrap();
    let stated = verified
        .origin()
        .attestations()
        .iter()
        .map(|a| a.predicate_type.as_str());
    let stated: Vec<_> = stated.collect();
    assert_eq!(stated, [predicate_type::SPDX, predicate_type::CYCLONEDX]);
}

#[test]
fn a_needed_statement_must_be_by_someone_who_may_state_it() {
    let mut site = needing(&["builder"]);
    site.state(|people| &people.acme, predicate_type::CYCLONEDX);
    site.is_refused(Step::Attestations, "attestation-missing");
    assert_eq!(site.refused().bundles().len(), 1);
    site.state(|people| &people.builder, predicate_type::CYCLONEDX);
    let verified = site.verify().unwrap();
    assert_eq!(verified.origin().attestations()[0].publisher, "builder");
    assert_eq!(verified.origin().publisher(), "acme");
    // Who may state it may not release for that.
    site.candidate.bundles.remove(0);
    site.release(|people| &people.builder);
    site.is_refused(Step::Release, "not-released");
}
