//! What the bundles attached to an artifact claim: read, and verified by nobody.

use selvedge_signing::{Candidate, SignatureBundle};
use serde::Serialize;

use super::output::Table;
use super::verify;

/// What a bundle claims to be.
#[derive(Debug, Serialize)]
pub(super) struct Claim {
    states: String,
    signed_by: Option<String>,
}

impl Claim {
    /// Those of all bundles that can be read.
    pub(super) fn all(candidate: &Candidate) -> Vec<Self> {
        let bundles = candidate.bundles.iter();
        let bundles = bundles.filter_map(|bytes| SignatureBundle::parse(bytes).ok());
        let claims = bundles.map(|bundle| Self {
            states: bundle
                .predicate_type_claimed()
                .unwrap_or_else(|| "the artifact itself".to_owned()),
            signed_by: bundle
                .signer_claimed()
                .map(|signer| verify::signer(&signer)),
        });
        claims.collect()
    }

    /// Appends it to what is told of an artifact.
    pub(super) fn tell(&self, table: &mut Table) {
        let Self { states, signed_by } = self;
        let by = signed_by.as_deref().unwrap_or("a managed key");
        let claim = format!("{states} by {by}; `selvedge verify` tells");
        table.row("claimed", claim);
    }
}
