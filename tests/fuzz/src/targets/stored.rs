//! What a device kept, with some of it changed: names of members and their
//! contents by turns, `timestamp` or `files/policy.json`; or all of it as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge_signing::{StoredTrust, Trust, Verifier};
use serde_json::{Value, json};

use crate::parts::named;
use crate::printable::accepted;
use crate::world::{ROOT, WORLD};

pub(super) fn check(bytes: &[u8]) {
    let world = &*WORLD;
    let members = named(bytes);
    let stored: Option<StoredTrust> = if members.is_empty() {
        serde_json::from_slice(bytes).ok()
    } else {
        let mut json = serde_json::to_value(&world.stored).expect("it is plain data");
        for (name, contents) in members {
            change(&mut json, &name, &contents);
        }
        serde_json::from_value(json).ok()
    };
    let Some(stored) = stored else { return };
    if let Some(trust) = accepted(Trust::resume(ROOT, &stored)) {
        let verifier = Verifier::new(trust).expect("it is usable");
        assert!(world.policies.contains(verifier.policy()));
    }
}

fn change(json: &mut Value, name: &str, contents: &[u8]) {
    let blob = json!(STANDARD.encode(contents));
    match name.split_once('/') {
        Some(("files", target)) => json["files"][target] = blob,
        Some(("roots", _)) => {
            let roots = json["roots"].as_array_mut();
            roots.expect("it is a list").push(blob);
        }
        _ if name == "roots" => json["roots"] = json!([blob]),
        _ if name == "root_version" => {
            json["root_version"] = serde_json::from_slice(contents).unwrap_or_default();
        }
        _ => json[name] = blob,
    }
}
