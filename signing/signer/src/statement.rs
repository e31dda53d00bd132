//! The statements that are signed (in-toto Attestation Framework, Statement v1).

use selvedge_artifact::{Digest, PackageName};
use serde_json::Value;

/// The statement that an artifact is released, as `cosign sign` writes it: the
/// artifact's manifest is the subject.
pub fn release(package: &PackageName, manifest: &Digest) -> Vec<u8> {
    todo!()
}

/// Another statement about an artifact: an SBOM, a provenance.
pub fn attestation(
    package: &PackageName,
    manifest: &Digest,
    predicate_type: &str,
    predicate: &Value,
) -> Vec<u8> {
    todo!()
}
