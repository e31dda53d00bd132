use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{ROUTES, document};
use crate::api::access::Role;
use crate::api::routes::Verb;

/// `UPDATE_EXPECT=1` rewrites the file.
#[test]
fn the_schema_of_the_api_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs_err::write(&path, &text).unwrap();
    }
    let checked_in = fs_err::read_to_string(&path).unwrap();
    assert!(
        checked_in == text,
        "openapi.json is not the document of this code: UPDATE_EXPECT=1 rewrites it"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_name_is_used_once() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
    assert_eq!(names.len(), ROUTES.len());
}

#[test]
fn whatever_changes_something_is_for_operators_and_audited() {
    for route in ROUTES {
        let reads = route.verb == Verb::Get || route.name == "plan";
        assert_eq!(route.changes, !reads, "{}", route.name);
        if !reads {
            assert_eq!(route.role, Role::Operator, "{}", route.name);
        }
        let is_probe = matches!(route.name, "healthz" | "readyz");
        assert_eq!(route.role == Role::Anyone, is_probe, "{}", route.name);
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                references.insert(reference.clone());
            }
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
