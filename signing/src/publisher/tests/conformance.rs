//! Every bundle that `sigstore-verify` ships as a test vector gets the right
//! verdict, by its code.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cases::{A_TXT, BEACON, Case, GITHUB, accepted, refused, run, stricter, verdict};
use super::vectors::{Root, bundles, read, read_of};
use super::{keyless, prepare};
use crate::bundle::Subject;
use crate::{Content, SignatureBundle, Signer};

#[test]
fn every_bundle_that_the_library_ships_gets_the_right_verdict() {
    let cases: Vec<Case> = [accepted(), stricter(), refused()]
        .into_iter()
        .flatten()
        .collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let result = run(case, &read(case.bundle));
        if verdict(&result) != case.verdict {
            wrong.push(format!("{}: {} {result:?}", case.bundle, verdict(&result)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.bundle).collect();
    let shipped = bundles();
    let missing: Vec<_> = shipped
        .iter()
        .filter(|b| !covered.contains(b.as_str()))
        .collect();
    assert!(missing.is_empty(), "bundles without a case: {missing:?}");
    println!(
        "{} verification cases over all {} bundles",
        cases.len(),
        shipped.len()
    );
}

#[test]
fn bundles_of_the_other_sigstore_crates_get_the_right_verdict() {
    let fixtures = "tests/fixtures";
    let beacon = keyless(GITHUB, BEACON);
    let tsa = Root::File("timestamps/valid_trusted_root.json");
    for (package, path, given, root, verdict_expected) in [
        (
            "sigstore-bundle",
            format!("{fixtures}/happy-path.json"),
            A_TXT,
            Root::Production,
            "statement",
        ),
        (
            "sigstore-tsa",
            "test_data/timestamps/payload_mismatch_bundle.json".to_owned(),
            A_TXT,
            tsa,
            "timestamp-invalid",
        ),
    ] {
        let publisher = prepare(beacon.clone(), root.read()).unwrap();
        let bundle = SignatureBundle::parse(&read_of(package, &path)).unwrap();
        let result = publisher.verify_over(&bundle, Subject::of_digest(given.parse().unwrap()));
        assert_eq!(verdict(&result), verdict_expected, "{path}: {result:?}");
    }
}

#[test]
fn the_evidence_says_who_when_and_what() {
    let cases = accepted();
    let find = |path: &str| {
        let case = cases.iter().find(|case| case.bundle == path).unwrap();
        run(case, &read(path)).unwrap()
    };
    let conda = find("bundles/conda-attestation.sigstore.json");
    let Signer::Identity { issuer, identity } = &conda.signer else {
        panic!("{:?}", conda.signer)
    };
    assert_eq!(issuer, GITHUB);
    assert!(identity.ends_with("action.yaml@refs/heads/main"));
    assert_eq!(conda.signed_at.as_second(), 1_756_728_839);
    let Content::Statement(statement) = &conda.content else {
        panic!("{:?}", conda.content)
    };
    let predicate_type = "https://schemas.conda.org/attestations-publish-1.schema.json";
    assert_eq!(statement.predicate_type, predicate_type);

    let managed = find("managed-key/bundle.sigstore.json");
    let pem = String::from_utf8(read("managed-key/key.pub")).unwrap();
    let key = crate::PublicKey::parse(&pem).unwrap().digest();
    assert_eq!(managed.signer, Signer::Key { key });
}

#[test]
fn the_time_is_the_latest_of_those_that_are_vouched_for() {
    let cases = accepted();
    let case = cases
        .iter()
        .find(|c| c.bundle.contains("cosign-v3-blob"))
        .unwrap();
    let mut bundle: Value = serde_json::from_slice(&read(case.bundle)).unwrap();
    let both = run(case, bundle.to_string().as_bytes()).unwrap().signed_at;
    let logged = 1_764_787_003;
    bundle["verificationMaterial"]["timestampVerificationData"] = json!({});
    let log = run(case, bundle.to_string().as_bytes()).unwrap().signed_at;
    assert_eq!(log.as_second(), logged);

    let mut bundle: Value = serde_json::from_slice(&read(case.bundle)).unwrap();
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    entry.as_object_mut().unwrap().remove("inclusionPromise");
    let stamped = run(case, bundle.to_string().as_bytes()).unwrap().signed_at;
    assert_eq!(both, log.max(stamped));
    assert_ne!(log, stamped);
}
