//! Valid bundles with any byte altered: never a panic, and never more than was
//! signed. `PROPTEST_CASES` sets how many.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::Value;

use super::cases::{Given, accepted, run};
use super::prepare;
use super::vectors::read;
use crate::publisher::PreparedPublisher;
use crate::{BundleError, Content, Evidence, SignatureBundle};

struct Prepared {
    publisher: PreparedPublisher,
    bundle: Vec<u8>,
    artifact: Vec<u8>,
    evidence: Evidence,
}

/// The accepted cases that have their artifacts, prepared once.
fn prepared() -> &'static [Prepared] {
    static PREPARED: OnceLock<Vec<Prepared>> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let cases = accepted().into_iter().filter_map(|case| {
            let artifact = match case.given {
                Given::File(path) => read(path),
                Given::Bytes(bytes) => bytes.to_vec(),
                Given::Digest(_) | Given::Named => return None,
            };
            let publisher = prepare(case.publisher.clone(), case.root.read()).unwrap();
            let bundle = read(case.bundle);
            let evidence = run(&case, &bundle).unwrap();
            Some(Prepared {
                publisher,
                bundle,
                artifact,
                evidence,
            })
        });
        cases.collect()
    })
}

/// Whoever altered the bytes: nobody else has signed, and nothing else.
fn check_altered(case: &Prepared, bytes: &[u8]) -> Result<(), TestCaseError> {
    let bundle = match SignatureBundle::parse(bytes) {
        Ok(bundle) => bundle,
        Err(error) => {
            prop_assert!(!matches!(error, BundleError::Panicked), "parsing panicked");
            return Ok(());
        }
    };
    match case.publisher.verify(&bundle, &case.artifact) {
        Ok(evidence) => {
            prop_assert_eq!(&evidence.signer, &case.evidence.signer);
            prop_assert!(evidence.signed_at <= case.evidence.signed_at);
            let same = match (&evidence.content, &case.evidence.content) {
                (Content::Artifact, Content::Artifact) => true,
                (Content::Statement(found), Content::Statement(signed)) => found == signed,
                _ => false,
            };
            prop_assert!(same, "other content");
        }
        Err(error) => {
            prop_assert!(
                !matches!(error, BundleError::Panicked),
                "verifying panicked"
            );
        }
    }
    prop_assert!(case.publisher.verify(&bundle, b"another artifact").is_err());
    Ok(())
}

proptest! {
    #[test]
    fn altered_bytes_never_panic_and_never_gain_anything(
        which: prop::sample::Index, at: prop::sample::Index, byte: u8, base64 in "[A-Za-z0-9+/]",
    ) {
        let case = which.get(prepared());
        let mut bytes = case.bundle.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check_altered(case, &bytes)?;
        bytes[at] = base64.as_bytes()[0];
        check_altered(case, &bytes)?;
        bytes.truncate(at);
        check_altered(case, &bytes)?;
    }

    #[test]
    fn altered_der_never_panics_and_never_gains_anything(
        which: prop::sample::Index, leaf: prop::sample::Index, at: prop::sample::Index, byte: u8,
        cut: bool,
    ) {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD;
        let case = which.get(prepared());
        let mut json: Value = serde_json::from_slice(&case.bundle).unwrap();
        let mut leaves = Vec::new();
        collect_binary(&mut json, &mut leaves);
        let index = leaf.index(leaves.len());
        let leaf = &mut leaves[index];
        let mut bytes = base64.decode(leaf.as_str().unwrap()).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        **leaf = base64.encode(bytes).into();
        check_altered(case, json.to_string().as_bytes())?;
    }
}

/// The leaves that hold DER, hashes and signatures.
fn collect_binary<'a>(json: &'a mut Value, leaves: &mut Vec<&'a mut Value>) {
    use base64::Engine as _;
    match json {
        Value::String(text) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text.as_str());
            if decoded.is_ok_and(|bytes| bytes.len() >= 20) {
                leaves.push(json);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_binary(item, leaves);
            }
        }
        Value::Object(map) => {
            for (_, value) in map.iter_mut() {
                collect_binary(value, leaves);
            }
        }
        _ => {}
    }
}

#[test]
fn what_verifying_costs_is_printed() {
    use std::time::Instant;
    let mut cases = accepted().into_iter();
    let case = cases
        .find(|case| case.bundle.contains("cosign-v3-blob"))
        .unwrap();
    let root = case.root.bytes();
    let bundle = read(case.bundle);
    let Given::File(artifact) = case.given else {
        panic!("the case has its artifact")
    };
    let artifact = read(artifact);
    let publisher = prepare(case.publisher.clone(), case.root.read()).unwrap();
    let parsed = SignatureBundle::parse(&bundle).unwrap();
    let median = |work: &dyn Fn()| {
        let mut times: Vec<_> = std::iter::repeat_with(|| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .take(51)
        .collect();
        times.sort();
        times[25]
    };
    let prepared = median(&|| drop(crate::TrustedRoot::parse(&root).unwrap()));
    let read = median(&|| drop(SignatureBundle::parse(&bundle).unwrap()));
    let verified = median(&|| drop(publisher.verify(&parsed, &artifact).unwrap()));
    println!(
        "trusted root {prepared:?}, bundle read {read:?}, keyless bundle verified {verified:?}"
    );
}
