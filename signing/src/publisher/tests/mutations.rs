//! Valid bundles, altered: each part that carries trust, and then any byte.

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::conformance::{Case, Given, accepted, run, verdict};
use super::vectors::{Root, read};
use super::{keyless, prepare};
use crate::publisher::PreparedPublisher;
use crate::{BundleError, Content, Evidence, SignatureBundle};

const COSIGN: &str = "cosign-v3-blob";
const CONDA: &str = "conda-attestation.";
const REKOR2: &str = "staging-rekor-v2.txt.sigstore";
const MANAGED: &str = "managed-key";

fn find(name: &str) -> Case {
    let mut cases = accepted().into_iter();
    cases.find(|case| case.bundle.contains(name)).unwrap()
}

fn json_of(case: &Case) -> Value {
    serde_json::from_slice(&read(case.bundle)).unwrap()
}

/// The verdict about the case's bundle after `alter`.
fn altered(case: &Case, alter: impl FnOnce(&mut Value)) -> &'static str {
    let mut bundle = json_of(case);
    alter(&mut bundle);
    verdict(&run(case, bundle.to_string().as_bytes()))
}

fn material(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

fn remove(object: &mut Value, key: &str) {
    assert!(
        object.as_object_mut().unwrap().remove(key).is_some(),
        "{key}"
    );
}

/// Alters base64 and hex alike: another character in the middle.
fn flip(text: &mut Value) {
    let old = text.as_str().unwrap().to_owned();
    let middle = old.len() / 2;
    let other = if old.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let new = format!("{}{other}{}", &old[..middle], &old[middle + 1..]);
    *text = new.into();
}

#[test]
fn a_bundle_without_its_log_entry_is_refused() {
    for case in accepted() {
        let key = case.publisher.get("key").is_some();
        let log = case.publisher["log"] != json!(false);
        // A managed key without `log` has the timestamp authority's word.
        let expected = if key && !log {
            "artifact"
        } else {
            "log-entry-missing"
        };
        let found = altered(&case, |bundle| material(bundle)["tlogEntries"] = json!([]));
        assert_eq!(found, expected, "{}", case.bundle);
    }
}

#[test]
fn an_altered_time_of_a_log_is_refused() {
    for name in [COSIGN, CONDA, MANAGED] {
        for by in [-1, 1, -86_400 * 365] {
            let found = altered(&find(name), |bundle| {
                let time = &mut entry(bundle)["integratedTime"];
                let seconds: i64 = time.as_str().unwrap().parse().unwrap();
                *time = (seconds + by).to_string().into();
            });
            assert_eq!(found, "log-evidence-invalid", "{name} {by}");
        }
    }
}

#[test]
fn a_time_that_no_log_signed_is_never_a_time() {
    // Without the inclusion promise, nothing covers `integratedTime`.
    let case = find(CONDA);
    let found = altered(&case, |bundle| remove(entry(bundle), "inclusionPromise"));
    assert_eq!(found, "time-missing");

    // Rekor v2 has no such time; one that stands there changes nothing.
    let case = find(REKOR2);
    let before = run(&case, &read(case.bundle)).unwrap().signed_at;
    let mut bundle = json_of(&case);
    entry(&mut bundle)["integratedTime"] = "4102444800".into();
    let after = run(&case, bundle.to_string().as_bytes()).unwrap().signed_at;
    assert_eq!(before, after);
    let stampless = altered(&case, |bundle| {
        entry(bundle)["integratedTime"] = "1764787003".into();
        material(bundle)["timestampVerificationData"] = json!({});
    });
    assert_eq!(stampless, "time-missing");
}

#[test]
fn a_managed_key_needs_a_log_or_a_timestamp() {
    for log in [true, false] {
        let mut case = find(MANAGED);
        case.publisher["log"] = log.into();
        let without = |alter: fn(&mut Value)| altered(&case, alter);
        let bare = without(|bundle| {
            material(bundle)["tlogEntries"] = json!([]);
            material(bundle)["timestampVerificationData"] = json!({});
        });
        assert_eq!(
            bare,
            if log {
                "log-entry-missing"
            } else {
                "time-missing"
            }
        );
        let unsigned_time = without(|bundle| {
            remove(entry(bundle), "inclusionPromise");
            material(bundle)["timestampVerificationData"] = json!({});
        });
        assert_eq!(unsigned_time, "time-missing");
        let stamp = without(|bundle| material(bundle)["tlogEntries"] = json!([]));
        assert_eq!(stamp, if log { "log-entry-missing" } else { "artifact" });
        // What is there must hold, needed or not.
        let forged = without(|bundle| flip(&mut entry(bundle)["canonicalizedBody"]));
        assert_eq!(forged, "log-evidence-invalid");
        let unproven = without(|bundle| {
            remove(entry(bundle), "inclusionPromise");
            remove(entry(bundle), "inclusionProof");
        });
        assert_eq!(unproven, "log-evidence-invalid");
    }
}

#[test]
fn altered_evidence_of_a_log_is_refused() {
    for case in accepted() {
        let evidence = "log-evidence-invalid";
        let body = altered(&case, |bundle| {
            flip(&mut entry(bundle)["canonicalizedBody"])
        });
        assert_eq!(body, evidence, "{}", case.bundle);
        let hash = altered(&case, |bundle| {
            let hashes = &mut entry(bundle)["inclusionProof"]["hashes"];
            hashes.as_array_mut().unwrap().pop();
        });
        assert_eq!(hash, evidence, "{}", case.bundle);
        let checkpoint = altered(&case, |bundle| {
            let note = &mut entry(bundle)["inclusionProof"]["checkpoint"]["envelope"];
            *note = note.as_str().unwrap().replacen('\n', "x\n", 1).into();
        });
        assert_eq!(checkpoint, evidence, "{}", case.bundle);
    }
    let promise = |bundle: &mut Value| {
        flip(&mut entry(bundle)["inclusionPromise"]["signedEntryTimestamp"]);
    };
    assert_eq!(altered(&find(CONDA), promise), "log-evidence-invalid");
    let unknown = |bundle: &mut Value| flip(&mut entry(bundle)["logId"]["keyId"]);
    assert_eq!(altered(&find(CONDA), unknown), "log-unknown");
}

#[test]
fn an_entry_or_a_timestamp_of_another_bundle_is_refused() {
    let donor = json_of(&find(COSIGN));
    let donated = donor["verificationMaterial"].clone();
    let second = altered(&find(MANAGED), |bundle| {
        let entries = &mut material(bundle)["tlogEntries"];
        entries
            .as_array_mut()
            .unwrap()
            .push(donated["tlogEntries"][0].clone());
    });
    // It is held against the artifact first.
    assert_eq!(second, "artifact-mismatch");
    let only = altered(&find(MANAGED), |bundle| {
        material(bundle)["tlogEntries"] = donated["tlogEntries"].clone();
    });
    assert_eq!(only, "artifact-mismatch");
    let stamp = altered(&find(MANAGED), |bundle| {
        let stamps = &donated["timestampVerificationData"];
        material(bundle)["timestampVerificationData"] = stamps.clone();
    });
    assert_eq!(stamp, "timestamp-invalid");
}

#[test]
fn another_artifact_is_refused() {
    for mut case in accepted() {
        case.given = Given::Bytes(b"another artifact");
        let found = verdict(&run(&case, &read(case.bundle)));
        assert_eq!(found, "artifact-mismatch", "{}", case.bundle);
        // Nor without the digest that the bundle names: then the signature speaks.
        let mut bundle = json_of(&case);
        if let Some(message) = bundle.get_mut("messageSignature") {
            remove(message, "messageDigest");
            let found = verdict(&run(&case, bundle.to_string().as_bytes()));
            assert_eq!(found, "signature-invalid", "{}", case.bundle);
        }
    }
}

#[test]
fn another_signer_is_refused() {
    for case in accepted() {
        if case.publisher.get("key").is_some() {
            continue;
        }
        let with = |key: &str, value: Value| {
            let mut other = case.publisher.clone();
            other[key] = value;
            let publisher = prepare(other, case.root.read()).unwrap();
            let bundle = SignatureBundle::parse(&read(case.bundle)).unwrap();
            verdict(&publisher.verify(&bundle, b"")).to_owned()
        };
        let issuer = case.publisher["issuer"].as_str().unwrap();
        for other in [format!("{issuer}/"), issuer.to_uppercase(), "*".to_owned()] {
            assert_eq!(
                with("issuer", other.into()),
                "issuer-mismatch",
                "{}",
                case.bundle
            );
        }
    }
    let mut case = find(COSIGN);
    let expect = |case: &Case| verdict(&run(case, &read(case.bundle)));
    for other in [
        "w.vollprecht@gmail.co",
        "W.vollprecht@gmail.com",
        "https://gmail.com/w/*",
    ] {
        case.publisher["identity"] = other.into();
        assert_eq!(expect(&case), "identity-mismatch", "{other}");
    }
    let mut case = find(CONDA);
    case.publisher["identity"] =
        "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/tags/*"
            .into();
    assert_eq!(expect(&case), "identity-mismatch");
    let mut case = find(CONDA);
    case.publisher["claims"]["source_repository_owner_identifier"] = "111356226".into();
    assert_eq!(expect(&case), "claim-mismatch");
    let mut case = find(COSIGN);
    case.publisher["claims"] = json!({ "source_repository_owner_identifier": "111356225" });
    assert_eq!(expect(&case), "claim-missing");
}

#[test]
fn another_key_or_kind_of_signer_is_refused() {
    let other_key = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiTUq2zRHkVxfiGYGbqRUuXy1Jl0g\n\
        AoaXFeOgej+iHaCzp5QQZlMGr7qonV+GwtSGf4ranURsxzebDXmbb7GvMg==\n\
        -----END PUBLIC KEY-----\n";
    let mut case = find(MANAGED);
    case.publisher["key"] = other_key.into();
    assert_eq!(
        verdict(&run(&case, &read(case.bundle))),
        "signature-invalid"
    );

    let managed = find(MANAGED).publisher;
    let mut case = find(COSIGN);
    case.publisher = managed;
    assert_eq!(
        verdict(&run(&case, &read(case.bundle))),
        "bundle-not-managed-key"
    );
    let mut case = find(MANAGED);
    case.publisher = keyless("https://accounts.example", "ci@acme.example");
    assert_eq!(
        verdict(&run(&case, &read(case.bundle))),
        "bundle-not-keyless"
    );
}

#[test]
fn another_trusted_root_is_refused() {
    for mut case in accepted() {
        case.root = Root::File("trusted_roots/scaffolding.json");
        let found = verdict(&run(&case, &read(case.bundle)));
        let unknown = ["log-unknown", "timestamp-invalid"];
        assert!(unknown.contains(&found), "{}: {found}", case.bundle);
    }
    // Each part of the root is needed: who issues certificates, who logs them, who logs
    // signatures.
    let case = find(CONDA);
    for (part, expected) in [
        ("certificateAuthorities", "certificate-authority-unknown"),
        ("ctlogs", "trusted-root-unusable"),
        ("tlogs", "log-unknown"),
    ] {
        let mut root: Value = serde_json::from_slice(&case.root.bytes()).unwrap();
        root[part] = json!([]);
        let root = crate::TrustedRoot::parse(root.to_string().as_bytes()).unwrap();
        let publisher = prepare(case.publisher.clone(), root).unwrap();
        let bundle = SignatureBundle::parse(&read(case.bundle)).unwrap();
        assert_eq!(verdict(&publisher.verify(&bundle, b"")), expected, "{part}");
    }
}

#[test]
fn a_statement_about_the_artifact_is_told_from_a_signature_of_it() {
    let case = find(CONDA);
    let evidence = run(&case, &read(case.bundle)).unwrap();
    let Content::Statement(statement) = evidence.content else {
        panic!("a statement was signed")
    };
    // The right signer and artifact, and no release: who decides must look at the type.
    assert_ne!(statement.predicate_type, crate::predicate_type::RELEASE);

    let forged = altered(&case, |bundle| {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD;
        let payload = &mut bundle["dsseEnvelope"]["payload"];
        let bytes = base64.decode(payload.as_str().unwrap()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let release = text.replace(&statement.predicate_type, crate::predicate_type::RELEASE);
        assert_ne!(text, release);
        *payload = base64.encode(release).into();
    });
    assert_eq!(forged, "signature-invalid");
}

#[test]
fn an_altered_signature_is_refused() {
    let found = altered(&find(CONDA), |bundle| {
        flip(&mut bundle["dsseEnvelope"]["signatures"][0]["sig"]);
    });
    assert_eq!(found, "signature-invalid");
    let found = altered(&find(COSIGN), |bundle| {
        flip(&mut bundle["messageSignature"]["signature"])
    });
    assert_eq!(found, "timestamp-invalid");
}

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
    #![proptest_config(ProptestConfig::with_cases(400))]

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
    let case = find(COSIGN);
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
