//! Valid bundles, altered in each part that carries trust.

use serde_json::{Value, json};

use super::cases::{Case, Given, accepted, run, verdict};
use super::vectors::{Root, read};
use super::{keyless, prepare};
use crate::{Content, SignatureBundle};

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

#[test]
fn a_root_with_only_a_timestamp_authority_serves_keys_without_a_log() {
    let mut case = find(MANAGED);
    case.publisher["log"] = false.into();
    let mut root: Value = serde_json::from_slice(&case.root.bytes()).unwrap();
    for part in ["certificateAuthorities", "ctlogs", "tlogs"] {
        root[part] = json!([]);
    }
    let root = crate::TrustedRoot::parse(root.to_string().as_bytes()).unwrap();
    let publisher = prepare(case.publisher.clone(), root).unwrap();
    let Given::File(artifact) = case.given else {
        panic!("the case has its artifact")
    };
    let verify = |bundle: &Value| {
        let bundle = SignatureBundle::parse(bundle.to_string().as_bytes()).unwrap();
        verdict(&publisher.verify(&bundle, &read(artifact)))
    };
    let mut bundle = json_of(&case);
    assert_eq!(verify(&bundle), "log-unknown");
    material(&mut bundle)["tlogEntries"] = json!([]);
    assert_eq!(verify(&bundle), "artifact");
    flip(&mut bundle["messageSignature"]["signature"]);
    assert_eq!(verify(&bundle), "timestamp-invalid");
}

#[test]
fn a_log_s_promise_counts_as_its_word_in_the_oldest_format_only() {
    // Whoever has a bundle can take its proof away and relabel it: what is left, the
    // promise, is signed by the log too.
    let promised = |version: &'static str| {
        altered(&find(CONDA), |bundle| {
            remove(entry(bundle), "inclusionProof");
            bundle["mediaType"] = version.into();
        })
    };
    assert_eq!(
        promised("application/vnd.dev.sigstore.bundle+json;version=0.1"),
        "statement"
    );
    for version in ["+json;version=0.2", ".v0.3+json"] {
        let media_type = format!("application/vnd.dev.sigstore.bundle{version}");
        assert_eq!(promised(media_type.leak()), "log-entry-missing");
    }
}
