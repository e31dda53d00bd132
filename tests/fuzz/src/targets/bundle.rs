//! Signature bundles, verified by the public instance and by a site's key for
//! something that neither signed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use selvedge_signing::{IdentityPattern, SignatureBundle, TrustedRoot};
use sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

use crate::printable::{accepted, check as check_printable};
use crate::world::WORLD;

/// Not signed by signer.
const ARTIFACT: &[u8] = b"never signed by signer";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Who signed some of the seeds.
const SIGNER: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon\
    /.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/*";

static PUBLIC: LazyLock<(TrustedRoot, IdentityPattern)> = LazyLock::new(|| {
    let root = TrustedRoot::parse(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes());
    let signer = SIGNER.to_owned().try_into();
    (
        root.expect("it is public"),
        signer.expect("it is a pattern"),
    )
});

pub(super) fn check(bytes: &[u8]) {
    let Some(bundle) = accepted(SignatureBundle::parse(bytes)) else {
        return;
    };
    drop((bundle.predicate_type_claimed(), bundle.signer_claimed()));
    let (root, signer) = &*PUBLIC;
    let verified = root.verify_identity(&bundle, ARTIFACT, ISSUER, signer, &BTreeMap::new());
    check_printable(&verified.expect_err("nobody signed it"));
    let site = &*WORLD;
    for root in [root, &site.trusted_root] {
        for log in [false, true] {
            let verified = root.verify_key(&bundle, ARTIFACT, &site.key, log);
            check_printable(&verified.expect_err("nobody signed it"));
        }
    }
}
