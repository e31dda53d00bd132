//! Step 6: is stated about it what must be?

use selvedge_artifact::PackageName;

use crate::decision::Findings;
use crate::policy::Predicate;
use crate::{Attestation, Grant, Refusal};

/// Whether every statement that `grant` needs was found.
pub(super) fn check(
    package: &PackageName,
    grant: &Grant,
    findings: &mut Findings,
) -> Result<(), Refusal> {
    let Some(need) = missing(grant, &findings.statements) else {
        return Ok(());
    };
    let by = match grant.need.get(need) {
        Some(needed) if !needed.by.is_empty() => &needed.by,
        _ => &grant.by,
    };
    let predicate = Predicate::named(need);
    Err(Refusal::AttestationMissing {
        package: package.clone(),
        need: need.to_owned(),
        by: by.iter().cloned().collect(),
        bundles: predicate.map_or_else(Vec::new, |predicate| findings.refused(&predicate)),
    })
}

/// The first need that no statement satisfies. Who may state what was looked at
/// when the statements were taken in.
pub(super) fn missing<'a>(grant: &'a Grant, statements: &[Attestation]) -> Option<&'a str> {
    let satisfied = |need: &str| {
        let predicate = Predicate::named(need);
        predicate.is_some_and(|predicate| {
            let mut stated = statements.iter().map(|s| s.predicate_type.as_str());
            stated.any(|stated| predicate.includes(stated))
        })
    };
    let mut needs = grant.need.keys().map(String::as_str);
    needs.find(|need| !satisfied(need))
}
