//! Publishers as a policy writes them, and the cases that sigstore's own crates
//! ship, all through the way that a decision takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{PreparedPublisher, PublisherError};
use crate::{Publisher, TrustedRoot};

mod cases;
mod conformance;
mod hostile;
mod mutations;
mod vectors;

use vectors::Root;

/// Prepares the publisher that a policy writes as `json`, with `root` as `main`.
fn prepare(json: Value, root: TrustedRoot) -> Result<PreparedPublisher, PublisherError> {
    let publisher: Publisher = serde_json::from_value(json).unwrap();
    let roots = BTreeMap::from([("main".to_owned(), Arc::new(root))]);
    PreparedPublisher::new(&publisher, &roots)
}

fn keyless(issuer: &str, identity: &str) -> Value {
    json!({ "trust": "main", "issuer": issuer, "identity": identity })
}

fn code(publisher: Value) -> String {
    match prepare(publisher, Root::Production.read()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_publisher_that_cannot_be_verified_by_is_refused_when_the_policy_is_read() {
    let mut publisher = keyless("https://accounts.example", "ci@acme.example");
    assert_eq!(code(publisher.clone()), "accepted");
    publisher["claims"] = json!({ "source_repository_owner_identifier": "1" });
    assert_eq!(code(publisher.clone()), "accepted");
    for name in [
        "owner_id",
        "workflow_name",
        "deprecated_github",
        "issuer",
        "",
    ] {
        publisher["claims"] = json!({ name: "1" });
        let expected = format!("`{name}` is no claim of a certificate");
        assert_eq!(code(publisher.clone()), expected);
    }
    let other_root = json!({ "trust": "other", "issuer": "i", "identity": "a@b" });
    assert_eq!(code(other_root), "there is no trusted root `other`");
    assert_eq!(code(keyless("", "a@b")), "it names no identity provider");
}

#[test]
fn a_key_that_is_none_is_refused_when_the_policy_is_read() {
    let pem = String::from_utf8(vectors::read("managed-key/key.pub")).unwrap();
    let key = |pem: &str| json!({ "trust": "main", "key": pem });
    assert_eq!(code(key(&pem)), "accepted");
    for bad in [
        String::new(),
        pem.replace("PUBLIC KEY", "PRIVATE KEY"),
        pem.replace('M', "A"),
        "-----BEGIN PUBLIC KEY-----\nYWJjZA==\n-----END PUBLIC KEY-----".to_owned(),
        pem.repeat(100),
    ] {
        assert_eq!(code(key(&bad)), "its key cannot be used", "{bad}");
    }
}
