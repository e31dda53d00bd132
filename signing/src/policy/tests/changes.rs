use serde_json::{Value, json};

use super::{KEY, WORKFLOW, parse, policy, with};
use crate::policy::{Effect, PolicyChange};

fn changes(new: &Value) -> Vec<String> {
    let (old, new) = (parse(&policy()).unwrap(), parse(new).unwrap());
    let changes = new.diff(&old);
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_policy_does_not_differ_from_itself() {
    assert_eq!(changes(&policy()), [] as [&str; 0]);
}

#[test]
fn a_change_says_what_is_trusted_that_was_not() {
    let check = |at: &str, value: Value, expected: &[&str]| {
        assert_eq!(changes(&with(at, value)), expected);
    };
    check(
        "/grants/0/by",
        json!(["acme", "builder"]),
        &[
            "WIDER    packages `acme/*`: `builder` may release them",
            "WIDER    packages `acme/*`: `builder` may state `cyclonedx`",
        ],
    );
    check(
        "/grants/1/by",
        json!(["acme"]),
        &["WIDER    packages `acme/secret`: `acme` may release them"],
    );
    check(
        "/grants/0/need",
        json!({ "slsa-provenance": { "by": ["builder"] }, "spdx": {} }),
        &[
            "WIDER    packages `acme/*`: `cyclonedx` is not needed any more",
            "narrower packages `acme/*`: `spdx` is needed",
        ],
    );
    check(
        "/grants/0/imports",
        json!(["wasi:sockets/udp", "selvedge:bus/*"]),
        &[
            "WIDER    packages `acme/*`: `wasi:sockets/udp` may be imported",
            "narrower packages `acme/*`: `wasi:sockets/tcp` no longer may be imported",
        ],
    );
    check(
        "/grants/0/imports",
        Value::Null,
        &["WIDER    packages `acme/*`: imports are not limited"],
    );
    check(
        "/floor/acme~1thermostat",
        json!("1.0.0"),
        &["WIDER    floor of `acme/thermostat`: lowered from 1.1.0 to 1.0.0"],
    );
    check(
        "/floor/acme~1x",
        json!("1.0.0"),
        &["narrower floor of `acme/x`: set to 1.0.0"],
    );
    check(
        "/downgrade/acme~1thermostat",
        json!(["1.3.0"]),
        &[
            "WIDER    downgrade of `acme/thermostat`: `1.3.0` allowed",
            "narrower downgrade of `acme/thermostat`: `1.2.0` no longer allowed",
        ],
    );
    check(
        "/revoked/publishers",
        json!({}),
        &["WIDER    revoked publisher `builder`: no longer revoked, was 2026-11-01T00:00:00Z"],
    );
    check(
        "/revoked/publishers/builder",
        json!("2026-10-01T00:00:00Z"),
        &[
            "narrower revoked publisher `builder`: revoked from 2026-10-01T00:00:00Z on, was 2026-11-01T00:00:00Z",
        ],
    );
    check(
        "/publishers/acme/claims",
        json!({}),
        &["WIDER    publisher `acme`: `source_repository_owner_identifier` may be anything"],
    );
    check(
        "/publishers/builder/issuer",
        json!("https://evil.example"),
        &[
            "OTHER    publisher `builder`: issuer is `https://evil.example`, was `https://accounts.example`",
        ],
    );
    check(
        "/publishers/builder",
        json!({ "key": KEY, "trust": "main" }),
        &["OTHER    publisher `builder`: signs with a key, was an identity"],
    );
    check(
        "/trust/main",
        json!("other.json"),
        &["OTHER    trusted root `main`: is `other.json`, was `trusted_root.json`"],
    );
}

#[test]
fn a_wider_identity_is_told_from_a_narrower_one() {
    let effect = |identity: &str| {
        let new = parse(&with("/publishers/acme/identity", json!(identity))).unwrap();
        new.diff(&parse(&policy()).unwrap())[0].effect
    };
    let workflow = WORKFLOW.trim_end_matches("refs/tags/*");
    assert_eq!(effect(&format!("{workflow}refs/*")), Effect::Wider);
    assert_eq!(effect(&format!("{workflow}refs/tags/v1")), Effect::Narrower);
    assert_eq!(effect(&format!("{workflow}refs/heads/main")), Effect::Other);
}

#[test]
fn a_line_that_is_gone_is_compared_with_the_one_that_decides_now() {
    let mut new = policy();
    new["grants"].as_array_mut().unwrap().pop();
    let expected = "WIDER    packages `acme/secret`: `acme` may release them";
    assert_eq!(changes(&new), [expected]);
    new["grants"] = json!([]);
    let expected = "narrower packages `acme/*`: `acme` no longer may release them";
    assert_eq!(changes(&new), [expected]);
}

#[test]
fn what_cannot_be_told_counts_as_wider() {
    let old = parse(&policy()).unwrap();
    let new = parse(&with("/trust/main", json!("other.json"))).unwrap();
    assert!(new.diff(&old).iter().all(PolicyChange::widens));
}
