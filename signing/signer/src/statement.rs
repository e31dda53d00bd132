//! The statements that are signed (in-toto Attestation Framework, Statement v1).
//!
//! The same input gives the same bytes. What a statement means and whether it
//! counts is the business of `selvedge-signing`.

use selvedge_artifact::{Digest, PackageName};
use selvedge_signing::predicate_type;
use serde::Serialize;
use serde_json::{Map, Value};

/// `_type` (in-toto Attestation Framework, Statement v1).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [Subject<'a>; 1],
    predicate_type: &'a str,
    predicate: &'a Value,
}

#[derive(Serialize)]
struct Subject<'a> {
    name: &'a str,
    digest: Digests,
}

#[derive(Serialize)]
struct Digests {
    sha256: String,
}

/// The statement that an artifact is released, as `cosign sign` writes it: the
/// artifact's manifest is the subject.
pub fn release(package: &PackageName, manifest: &Digest) -> Vec<u8> {
    let nothing = Value::Object(Map::new());
    attestation(package, manifest, predicate_type::RELEASE, &nothing)
}

/// Another statement about an artifact: an SBOM, a provenance.
pub fn attestation(
    package: &PackageName,
    manifest: &Digest,
    predicate_type: &str,
    predicate: &Value,
) -> Vec<u8> {
    let statement = Statement {
        kind: STATEMENT,
        subject: [Subject {
            name: package.as_str(),
            digest: Digests {
                sha256: manifest.hex(),
            },
        }],
        predicate_type,
        predicate,
    };
    serde_json::to_vec(&statement).expect("statements are plain data")
}

#[cfg(test)]
mod tests {
    use selvedge_artifact::Digest;
    use serde_json::json;

    use super::{attestation, release};

    #[test]
    fn a_release_is_what_cosign_writes() {
        let statement = release(&"acme/thermostat".parse().unwrap(), &Digest::of(b""));
        let expected = concat!(
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/thermostat","#,
            r#""digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}],"#,
            r#""predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#,
        );
        assert_eq!(String::from_utf8(statement).unwrap(), expected);
    }

    #[test]
    fn an_attestation_is_read_back_by_sigstore() {
        let package = "acme/thermostat".parse().unwrap();
        let predicate = json!({ "bomFormat": "CycloneDX" });
        let bytes = attestation(
            &package,
            &Digest::of(b"x"),
            "https://cyclonedx.org/bom",
            &predicate,
        );
        let read: sigstore_verify::types::Statement = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.predicate_type, "https://cyclonedx.org/bom");
        assert_eq!(read.predicate, predicate);
        let digest = read.subject[0].digest.sha256.unwrap();
        assert_eq!(digest.as_bytes(), Digest::of(b"x").as_bytes());
    }
}
