use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PublicKey, SignatureBundle, TrustedRoot, TrustedRootError};

/// A bundle in outline: it parses, and proves nothing.
fn bundle() -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "publicKey": { "hint": "" },
            "tlogEntries": [],
            "timestampVerificationData": { "rfc3161Timestamps": [] },
        },
        "messageSignature": { "signature": "AAAA" },
    })
}

fn envelope(payload_type: &str, payload: &str) -> Value {
    use base64::Engine as _;
    let payload = base64::engine::general_purpose::STANDARD.encode(payload);
    json!({ "payloadType": payload_type, "payload": payload, "signatures": [{ "sig": "AAAA" }] })
}

fn with_envelope(envelope: Value) -> Value {
    let mut bundle = bundle();
    bundle.as_object_mut().unwrap().remove("messageSignature");
    bundle["dsseEnvelope"] = envelope;
    bundle
}

fn statement(predicate_type: &str) -> String {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest } }],
        "predicateType": predicate_type,
    })
    .to_string()
}

fn code(bytes: &[u8]) -> &'static str {
    match SignatureBundle::parse(bytes) {
        Ok(_) => "read",
        Err(error) => error.code(),
    }
}

fn code_of(bundle: &Value) -> &'static str {
    code(bundle.to_string().as_bytes())
}

#[test]
fn a_bundle_says_what_it_claims_to_be() {
    let claimed = |json: Value| {
        let bundle = SignatureBundle::parse(json.to_string().as_bytes()).unwrap();
        bundle.predicate_type_claimed()
    };
    assert_eq!(claimed(bundle()), None);
    let statement = envelope(super::STATEMENT_TYPE, &statement("https://a.example/b"));
    let expected = Some("https://a.example/b".to_owned());
    assert_eq!(claimed(with_envelope(statement)), expected);
}

#[test]
fn a_bundle_is_bounded() {
    let large = vec![b' '; super::BUNDLE_BYTES_MAX + 1];
    assert_eq!(code(&large), "bundle-too-large");
    for (pointer, max) in [
        ("/verificationMaterial/tlogEntries", 8),
        (
            "/verificationMaterial/timestampVerificationData/rfc3161Timestamps",
            8,
        ),
    ] {
        let mut many = bundle();
        *many.pointer_mut(pointer).unwrap() = vec![json!({}); max + 1].into();
        assert_eq!(code_of(&many), "bundle-too-many-parts", "{pointer}");
        *many.pointer_mut(pointer).unwrap() = vec![json!({}); max].into();
        assert_eq!(code_of(&many), "bundle-malformed", "{pointer}");
    }
    let mut many = bundle();
    let material = many["verificationMaterial"].as_object_mut().unwrap();
    material.remove("publicKey");
    material.insert(
        "x509CertificateChain".into(),
        json!({ "certificates": vec![json!({}); 9] }),
    );
    assert_eq!(code_of(&many), "bundle-too-many-parts");
    let mut many = bundle();
    many["verificationMaterial"]["tlogEntries"] =
        json!([{ "inclusionProof": { "hashes": vec![""; 65] } }]);
    assert_eq!(code_of(&many), "bundle-too-many-parts");
    many["verificationMaterial"]["tlogEntries"] =
        json!([{ "inclusionProof": { "checkpoint": { "envelope": "\n".repeat(41) } } }]);
    assert_eq!(code_of(&many), "bundle-too-many-parts");
    let deep = bundle().to_string().replace("\"AAAA\"", &"[".repeat(1000));
    assert_eq!(code(deep.as_bytes()), "bundle-malformed");
}

#[test]
fn a_bundle_has_one_reading() {
    let text = bundle().to_string();
    assert_eq!(code(text.as_bytes()), "read");
    for (from, to) in [
        (
            "\"messageSignature\"",
            "\"dsseEnvelope\":{},\"messageSignature\"",
        ),
        (
            "\"messageSignature\"",
            "\"messageSignature\":{},\"messageSignature\"",
        ),
        (
            "\"publicKey\"",
            "\"certificate\":{\"rawBytes\":\"AAAA\"},\"publicKey\"",
        ),
        (
            "\"publicKey\"",
            "\"publicKey\":{\"hint\":\"a\"},\"publicKey\"",
        ),
        ("\"tlogEntries\"", "\"tlogEntries\":[],\"tlogEntries\""),
        ("\"mediaType\"", "\"otherType\""),
        ("\"publicKey\"", "\"otherKey\""),
        ("\"messageSignature\"", "\"otherSignature\""),
        ("v0.3+json", "v0.4+json"),
        ("\"AAAA\"", "\"not base64\""),
        ("}", "}}"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        assert_eq!(code(other.as_bytes()), "bundle-malformed", "{from} {to}");
    }
    for bytes in [
        &b""[..],
        b"{}",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"mediaType\":\"\"}",
    ] {
        assert_eq!(code(bytes), "bundle-malformed");
    }
}

#[test]
fn only_an_envelope_with_one_signature_over_one_statement_is_read() {
    let right = || envelope(super::STATEMENT_TYPE, &statement("https://a.example/b"));
    assert_eq!(code_of(&with_envelope(right())), "read");
    for signatures in [json!([]), json!([{ "sig": "AAAA" }, { "sig": "AAAA" }])] {
        let mut envelope = right();
        envelope["signatures"] = signatures;
        assert_eq!(code_of(&with_envelope(envelope)), "bundle-malformed");
    }
    for payload_type in ["", "application/json", "application/vnd.in-toto+json "] {
        let other = envelope(payload_type, &statement("https://a.example/b"));
        assert_eq!(code_of(&with_envelope(other)), "bundle-unsupported");
    }
    let other = envelope(super::STATEMENT_TYPE, "{}");
    assert_eq!(code_of(&with_envelope(other)), "statement-malformed");
}

#[test]
fn a_trusted_root_must_be_one_and_must_know_the_time() {
    let root = sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    assert!(TrustedRoot::parse(root.as_bytes()).is_ok());
    let mut json: Value = serde_json::from_str(root).unwrap();
    let parse = |json: &Value| TrustedRoot::parse(json.to_string().as_bytes()).unwrap_err();

    json["tlogs"][0]["publicKey"]["rawBytes"] = "AAAA".into();
    assert!(matches!(parse(&json), TrustedRootError::Unusable(_)));
    json["tlogs"] = json!([]);
    json["timestampAuthorities"] = json!([]);
    assert!(matches!(parse(&json), TrustedRootError::NoTime));
    json["mediaType"] = "application/json".into();
    assert!(matches!(parse(&json), TrustedRootError::Malformed(_)));
    assert!(matches!(parse(&json!([])), TrustedRootError::Malformed(_)));
    let large = vec![b' '; (1 << 20) + 1];
    assert!(matches!(
        TrustedRoot::parse(&large),
        Err(TrustedRootError::TooLarge(_))
    ));
}

#[test]
fn the_names_of_claims_are_those_of_certificates() {
    assert!(super::is_claim("source_repository_owner_identifier"));
    assert!(super::is_claim("token_subject"));
    for other in [
        "",
        "Source_Repository_Uri",
        "workflow_ref",
        "issuer",
        "subject",
    ] {
        assert!(!super::is_claim(other), "{other}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(SignatureBundle::parse(&bytes).is_err());
        prop_assert!(TrustedRoot::parse(&bytes).is_err());
        prop_assert!(PublicKey::parse(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn an_altered_trusted_root_never_panics(at: prop::sample::Index, byte in 0_u8..128) {
        let root = sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
        let mut bytes = root.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let panicked = matches!(TrustedRoot::parse(&bytes), Err(TrustedRootError::Panicked));
        prop_assert!(!panicked);
    }
}
