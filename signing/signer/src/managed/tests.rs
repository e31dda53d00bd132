use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use selvedge_artifact::Digest;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle, DerPublicKey};
use sigstore_verify::{PublicKeyVerificationPolicy, Verifier};

use super::{KeySigner, SignError};
use crate::{SigningKey, TimeSource, TimestampAuthority, TrustedRootBuilder, release};

const MANIFEST: &[u8] = b"{\"a\":\"manifest\"}";

fn signer() -> (KeySigner, Verifier) {
    let now = Timestamp::now();
    let authority = TimestampAuthority::generate("site", now, 1).unwrap();
    let root = TrustedRootBuilder::default().timestamp_authority(&authority.chain(), now);
    let root = String::from_utf8(root.to_bytes()).unwrap();
    let verifier = Verifier::new(&TrustedRoot::from_json(&root).unwrap()).unwrap();
    let key = SigningKey::generate().unwrap();
    let time = TimeSource::Own(authority);
    (KeySigner { key, time }, verifier)
}

fn verify(verifier: &Verifier, key: &SigningKey, bundle: &[u8], artifact: &[u8]) -> bool {
    let bundle = Bundle::from_json(std::str::from_utf8(bundle).unwrap()).unwrap();
    let public = DerPublicKey::from_pem(&key.public_pem()).unwrap();
    let policy = PublicKeyVerificationPolicy::new(public).skip_tlog_unsafe();
    verifier.verify(artifact, &bundle, &policy).is_ok()
}

#[tokio::test]
async fn a_release_is_verified_by_sigstore() {
    let (signer, verifier) = signer();
    let statement = release(&"acme/x".parse().unwrap(), &Digest::of(MANIFEST));
    let bundle = signer.sign(&statement).await.unwrap();
    assert!(verify(&verifier, &signer.key, &bundle, MANIFEST));
    assert!(!verify(&verifier, &signer.key, &bundle, b"another"));
    let other = SigningKey::generate().unwrap();
    assert!(!verify(&verifier, &other, &bundle, MANIFEST));
    let (_, elsewhere) = self::signer();
    assert!(!verify(&elsewhere, &signer.key, &bundle, MANIFEST));
}

#[tokio::test]
async fn bytes_are_signed_too() {
    let (signer, verifier) = signer();
    let bundle = signer.sign_bytes(MANIFEST).await.unwrap();
    assert!(verify(&verifier, &signer.key, &bundle, MANIFEST));
    assert!(!verify(&verifier, &signer.key, &bundle, b"another"));
}

#[tokio::test]
async fn a_bundle_names_the_key_by_its_digest() {
    let (signer, _) = signer();
    let bundle = signer.sign_bytes(MANIFEST).await.unwrap();
    let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
    assert_eq!(
        bundle["mediaType"],
        selvedge_artifact::media_type::SIGSTORE_BUNDLE
    );
    let hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        .as_str()
        .unwrap();
    let digest = Digest::of(signer.key.public_der());
    let expected = STANDARD.encode(digest.as_bytes());
    assert_eq!(hint, expected);
}

#[tokio::test]
async fn what_is_no_statement_is_not_signed() {
    let (signer, _) = signer();
    for bytes in [b"".as_slice(), b"{}", b"\xff", MANIFEST] {
        let error = signer.sign(bytes).await.unwrap_err();
        assert!(matches!(error, SignError::Statement { .. }), "{error}");
    }
}
