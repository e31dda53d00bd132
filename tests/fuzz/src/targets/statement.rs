//! In-toto statements: what is read must be what any other reader of JSON finds
//! in the same bytes.

use selvedge_artifact::Digest;
use selvedge_signing::Statement;
use serde_json::Value;

use crate::printable::accepted;

pub(super) fn check(bytes: &[u8]) {
    let Some(statement) = accepted(Statement::parse(bytes)) else {
        return;
    };
    let other: Value = serde_json::from_slice(bytes).expect("it is JSON");
    assert_eq!(other["predicateType"], statement.predicate_type.as_str());
    match &other["predicate"] {
        Value::Null => assert_eq!(statement.predicate, serde_json::json!({})),
        predicate => assert_eq!(*predicate, statement.predicate),
    }
    let subjects = other["subject"].as_array().expect("it has subjects");
    let digests = subjects
        .iter()
        .filter_map(|s| s["digest"]["sha256"].as_str());
    let digests: Vec<Digest> = digests
        .map(|hex| format!("sha256:{hex}").parse().expect("it was read"))
        .collect();
    assert_eq!(digests, statement.subjects);
    assert!((1..=100).contains(&digests.len()));
}
