//! The bundles that `sigstore-verify` ships as test vectors, each with a policy's
//! publisher and the verdict that it must get.

use selvedge_artifact::Digest;
use serde_json::{Value, json};

use super::vectors::{Root, read};
use super::{keyless, prepare};
use crate::bundle::Subject;
use crate::{BundleError, Content, Evidence, SignatureBundle};

pub(super) const GITHUB: &str = "https://token.actions.githubusercontent.com";
const LOGIN: &str = "https://github.com/login/oauth";
pub(super) const BEACON: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/*";
/// SHA-256 of `managed-key/artifact.txt`, which many vectors sign.
pub(super) const A_TXT: &str =
    "sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf";

/// What is handed to the verifier.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// A file among the vectors.
    File(&'static str),
    /// Bytes.
    Bytes(&'static [u8]),
    /// A digest: the vector comes without its artifact.
    Digest(&'static str),
    /// The digest that the bundle itself names, for the same reason.
    Named,
}

pub(super) struct Case {
    pub(super) bundle: &'static str,
    pub(super) given: Given,
    pub(super) root: Root,
    pub(super) publisher: Value,
    /// `artifact` or `statement` if accepted, else the code of the error.
    pub(super) verdict: &'static str,
}

pub(super) fn case(
    bundle: &'static str,
    given: Given,
    root: Root,
    publisher: Value,
    verdict: &'static str,
) -> Case {
    Case {
        bundle,
        given,
        root,
        publisher,
        verdict,
    }
}

/// What is accepted. Mutations start from these.
#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub(super) fn accepted() -> Vec<Case> {
    use Given::{Bytes, Digest, File, Named};
    use Root::{Production, Staging};
    const CONDA: Given = File("bundles/signed-package-2.1.0-hb0f4dca_0.conda");
    let jku = || keyless(LOGIN, "jku@goto.fi");
    let mut whl = keyless(
        GITHUB,
        "https://github.com/trailofbits/rfc8785.py/.github/workflows/release.yml@refs/tags/*",
    );
    whl["claims"] = json!({ "source_repository_owner_identifier": "2314423" });
    let mut conda = keyless(
        GITHUB,
        "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main",
    );
    conda["claims"] = json!({ "source_repository_owner_identifier": "111356225",
        "runner_environment": "github-hosted", "build_trigger": "push" });
    let root_signing = "https://github.com/sigstore/root-signing-staging/.github/workflows/custom-test.yml@refs/heads/main";
    let key = |log: bool| {
        let pem = String::from_utf8(read("managed-key/key.pub")).unwrap();
        json!({ "trust": "main", "key": pem, "log": log })
    };
    vec![
        case(
            "bundles/bundle_v3_github.whl.sigstore",
            Named,
            Production,
            whl,
            "artifact",
        ),
        case(
            "bundles/conda-attestation.sigstore.json",
            CONDA,
            Production,
            conda,
            "statement",
        ),
        case(
            "bundles/conda-attestation-rekor2.sigstore.json",
            CONDA,
            Staging,
            jku(),
            "statement",
        ),
        case(
            "bundles/cosign-v3-blob.sigstore.json",
            File("bundles/cosign-v3-blob.txt"),
            Production,
            keyless(LOGIN, "w.vollprecht@gmail.com"),
            "artifact",
        ),
        case(
            "managed-key/bundle.sigstore.json",
            File("managed-key/artifact.txt"),
            Production,
            key(true),
            "artifact",
        ),
        case(
            "managed-key/bundle.sigstore.json",
            File("managed-key/artifact.txt"),
            Production,
            key(false),
            "artifact",
        ),
        case(
            "timestamps/valid_bundle.json",
            File("managed-key/artifact.txt"),
            Root::File("timestamps/valid_trusted_root.json"),
            keyless(GITHUB, BEACON),
            "artifact",
        ),
        case(
            "sct-multi-intermediate/staging_bundle.sigstore.json",
            Bytes(b""),
            Root::File("sct-multi-intermediate/staging_trusted_root.json"),
            keyless(GITHUB, root_signing),
            "artifact",
        ),
        case(
            "upstream/sigstore-python/staging-rekor-v2.txt.sigstore.json",
            File("upstream/sigstore-python/staging-rekor-v2.txt"),
            Staging,
            jku(),
            "artifact",
        ),
        case(
            "upstream/sigstore-python/a.dsse.staging-rekor-v2.txt.sigstore.json",
            Digest(A_TXT),
            Staging,
            keyless(GITHUB, BEACON),
            "statement",
        ),
    ]
}

/// What is refused although the library, asked less, would accept it.
pub(super) fn stricter() -> Vec<Case> {
    use Given::{Digest, Named};
    let release = "sha256:76f1fe8593bf227cca2c089e3c16dc95014a8d3e89c5dd220530469ca043c428";
    let dotcom = || {
        keyless(
            "https://dotcom.example",
            "https://dotcom.releases.github.com",
        )
    };
    let private = Root::File("timestamps/github_trusted_root.json");
    let brian = keyless(LOGIN, "brian@dehamer.com");
    let js = keyless(
        GITHUB,
        "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
    );
    let other_name = keyless("http://oidc.local:8080", "foo!oidc.local");
    let scaffolding = Root::File("trusted_roots/scaffolding.json");
    vec![
        // Their subjects have a SHA-512 and no SHA-256; artifacts here are known by one digest.
        case(
            "bundles/dsse.sigstore.json",
            Named,
            Root::Production,
            brian,
            "statement-malformed",
        ),
        case(
            "bundles/sigstore.js@2.0.0-provenance.sigstore.json",
            Named,
            Root::Production,
            js,
            "statement-malformed",
        ),
        // GitHub's instance for private repositories has no log: it needs `skip_tlog_unsafe`
        // and `skip_sct`. The second is the same bundle, which the TSA crate uses.
        case(
            "bundles/github-private-attestation.sigstore.json",
            Digest(release),
            private,
            dotcom(),
            "log-entry-missing",
        ),
        case(
            "timestamps/github_sha384_bundle.json",
            Digest(release),
            private,
            dotcom(),
            "log-entry-missing",
        ),
        // The identity is an `otherName`, which is neither address nor URI. All else holds.
        case(
            "bundles/othername.sigstore.json",
            Named,
            scaffolding,
            other_name,
            "identity-mismatch",
        ),
    ]
}

/// What every verifier must refuse.
pub(super) fn refused() -> Vec<Case> {
    use Given::{File, Named};
    use Root::{Production, Staging};
    let william = || keyless(LOGIN, "william@yossarian.net");
    let malformed = "bundle-malformed";
    vec![
        case(
            "bundles/bundle_cve_2022_36056.txt.sigstore",
            Named,
            Staging,
            william(),
            "log-entry-mismatch",
        ),
        case(
            "bundles/bundle_invalid_version.txt.sigstore",
            Named,
            Staging,
            william(),
            malformed,
        ),
        case(
            "bundles/bundle_no_cert_v1.txt.sigstore",
            Named,
            Production,
            william(),
            malformed,
        ),
        case(
            "bundles/bundle_no_checkpoint.txt.sigstore",
            Named,
            Staging,
            william(),
            "log-evidence-invalid",
        ),
        case(
            "bundles/bundle_no_log_entry.txt.sigstore",
            Named,
            Production,
            keyless(
                "https://accounts.google.com",
                "alex.cameron@trailofbits.com",
            ),
            "log-entry-missing",
        ),
        case(
            "bundles/bundle_v3_no_signed_time.txt.sigstore.json",
            Named,
            Production,
            william(),
            "time-missing",
        ),
        case(
            "bundles/dsse-2sigs.sigstore.json",
            Named,
            Production,
            william(),
            malformed,
        ),
        case(
            "invalid-ct-key_fail/bundle.sigstore.json",
            File("managed-key/artifact.txt"),
            Root::File("invalid-ct-key_fail/trusted_root.json"),
            keyless(GITHUB, BEACON),
            "certificate-not-logged",
        ),
    ]
}

pub(super) fn run(case: &Case, bundle: &[u8]) -> Result<Evidence, BundleError> {
    let publisher = prepare(case.publisher.clone(), case.root.read()).unwrap();
    let bundle = SignatureBundle::parse(bundle)?;
    match case.given {
        Given::File(path) => publisher.verify(&bundle, &read(path)),
        Given::Bytes(bytes) => publisher.verify(&bundle, bytes),
        Given::Digest(digest) => {
            publisher.verify_over(&bundle, Subject::of_digest(digest.parse().unwrap()))
        }
        Given::Named => publisher.verify_over(&bundle, Subject::of_digest(named(case.bundle))),
    }
}

/// The digest that the bundle says it signs.
fn named(path: &str) -> Digest {
    use base64::Engine as _;
    let bundle: Value = serde_json::from_slice(&read(path)).unwrap();
    let text = bundle["messageSignature"]["messageDigest"]["digest"].as_str();
    let Some(text) = text else {
        return Digest::of(b"");
    };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").parse().unwrap()
}

pub(super) fn verdict(result: &Result<Evidence, BundleError>) -> &'static str {
    match result {
        Ok(evidence) => match evidence.content {
            Content::Artifact => "artifact",
            Content::Statement(_) => "statement",
        },
        Err(error) => error.code(),
    }
}
