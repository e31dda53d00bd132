//! The claims that certificates make about the build that signed (Fulcio's
//! registry of object identifiers, `1.3.6.1.4.1.57264.1.9` to `.24`).
//!
//! Names are those of the registry in snake case. The five GitHub claims that
//! Fulcio deprecated (`.2` to `.6`) are not accepted: each has a successor here,
//! or is a display name that anyone may choose.

use std::collections::BTreeMap;

use sigstore_verify::crypto::CertificateInfo;
use sigstore_verify::crypto::x509::FulcioCiClaims as Claims;

use super::BundleError;
use selvedge_artifact::foreign::cut;

type Claim = (&'static str, fn(&Claims) -> Option<&String>);

const CLAIMS: [Claim; 16] = [
    ("build_signer_uri", |c| c.build_signer_uri.as_ref()),
    ("build_signer_digest", |c| c.build_signer_digest.as_ref()),
    ("runner_environment", |c| c.runner_environment.as_ref()),
    ("source_repository_uri", |c| {
        c.source_repository_uri.as_ref()
    }),
    ("source_repository_digest", |c| {
        c.source_repository_digest.as_ref()
    }),
    ("source_repository_ref", |c| {
        c.source_repository_ref.as_ref()
    }),
    ("source_repository_identifier", |c| {
        c.source_repository_identifier.as_ref()
    }),
    ("source_repository_owner_uri", |c| {
        c.source_repository_owner_uri.as_ref()
    }),
    ("source_repository_owner_identifier", |c| {
        c.source_repository_owner_identifier.as_ref()
    }),
    ("build_config_uri", |c| c.build_config_uri.as_ref()),
    ("build_config_digest", |c| c.build_config_digest.as_ref()),
    ("build_trigger", |c| c.build_trigger.as_ref()),
    ("run_invocation_uri", |c| c.run_invocation_uri.as_ref()),
    ("source_repository_visibility_at_signing", |c| {
        c.source_repository_visibility_at_signing.as_ref()
    }),
    ("deployment_environment", |c| {
        c.deployment_environment.as_ref()
    }),
    ("token_subject", |c| c.token_subject.as_ref()),
];

/// Whether certificates can make a claim of this name: `build_signer_uri`,
/// `build_signer_digest`, `runner_environment`, `source_repository_uri`,
/// `source_repository_digest`, `source_repository_ref`,
/// `source_repository_identifier`, `source_repository_owner_uri`,
/// `source_repository_owner_identifier`, `build_config_uri`,
/// `build_config_digest`, `build_trigger`, `run_invocation_uri`,
/// `source_repository_visibility_at_signing`, `deployment_environment` or
/// `token_subject`.
pub fn is_claim(name: &str) -> bool {
    CLAIMS.iter().any(|(known, _)| *known == name)
}

/// Checks that `certificate` makes all `expected` claims, exactly. One that is
/// unknown here, missing or malformed is not made.
pub(super) fn check(
    certificate: &CertificateInfo,
    expected: &BTreeMap<String, String>,
) -> Result<(), BundleError> {
    for (name, value) in expected {
        let claim = CLAIMS.iter().find(|(known, _)| known == name);
        match claim.and_then(|(_, read)| read(&certificate.ci_claims)) {
            None => {
                return Err(BundleError::ClaimMissing { claim: cut(name) });
            }
            Some(found) if found != value => {
                return Err(BundleError::Claim {
                    claim: cut(name),
                    expected: cut(value),
                    found: cut(found),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}
