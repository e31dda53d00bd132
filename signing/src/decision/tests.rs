use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use selvedge_artifact::Digest;
use serde_json::json;

use super::{Findings, Revocations, Verifier, needs};
use crate::{
    Candidate, Content, Device, Evidence, Policy, Purpose, Refusal, Request, Signer, Statement,
    Trust, predicate_type,
};

const CLAIM: &str = "source_repository_owner_identifier";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy() -> serde_json::Value {
    let keyless = |identity: &str| json!({ "trust": "main", "issuer": "https://accounts.example", "identity": identity });
    json!({
        "v": 1,
        "trust": { "main": "trusted_root.json" },
        "publishers": { "acme": keyless("ci@acme.example"), "tester": keyless("lab@site.example") },
        "grants": [{ "packages": "*", "by": ["acme"], "need": { "spdx": { "by": ["tester"] } } }],
    })
}

fn parse(policy: &serde_json::Value) -> Policy {
    Policy::parse(policy.to_string().as_bytes()).unwrap()
}

fn evidence(identity: &str, signed_at: &str, states: Option<&str>) -> Evidence {
    let statement = |predicate_type: &str| Statement {
        subjects: vec![Digest::of(b"")],
        predicate_type: predicate_type.to_owned(),
        predicate: json!({}),
    };
    Evidence {
        signer: Signer::Identity {
            issuer: "https://accounts.example".to_owned(),
            identity: identity.to_owned(),
        },
        signed_at: time(signed_at),
        content: states.map_or(Content::Artifact, |states| {
            Content::Statement(statement(states))
        }),
    }
}

#[test]
fn an_expired_policy_installs_nothing_and_resumes() {
    let expires = time("2026-11-01T00:00:00Z");
    let trust = Trust {
        policy: Policy::default(),
        files: BTreeMap::new(),
        expires: Some(expires),
    };
    let verifier = Verifier::new(trust).unwrap();
    assert_eq!(verifier.expires(), Some(expires));
    let request = Request {
        package: "acme/thermostat".parse().unwrap(),
        version: None,
        digest: Some(Digest::of(b"")),
    };
    let candidate = Candidate {
        manifest: Default::default(),
        config: Default::default(),
        layers: Vec::new(),
        bundles: Vec::new(),
    };
    let code = |now: Timestamp, purpose: Purpose| {
        let device = Device {
            now,
            purpose,
            version_seen: None,
            accepted: &[],
        };
        let verdict = verifier.verify(&request, &candidate, &device);
        verdict.unwrap_err().code()
    };
    // Beyond the first step, what is refused is refused by the second.
    let before = expires - SignedDuration::from_secs(1);
    assert_eq!(code(before, Purpose::Install), "package-not-granted");
    assert_eq!(code(expires, Purpose::Install), "policy-expired");
    assert_eq!(code(expires, Purpose::Resume), "package-not-granted");
}

#[test]
fn what_is_verified_decides_and_not_what_is_claimed() {
    let policy = parse(&policy());
    let grant = &policy.grants[0];
    let mut findings = Findings::default();
    let spdx = || Some("https://spdx.dev/Document/v2.3");
    let at = "2026-11-01T00:00:00Z";
    // Neither may the tester release, nor the publisher state what the tester must.
    findings.accept(grant, 1, "tester", evidence("lab@site.example", at, None));
    findings.accept(grant, 2, "acme", evidence("ci@acme.example", at, spdx()));
    assert!(findings.releases.is_empty() && findings.statements.is_empty());
    let release = Some(predicate_type::RELEASE);
    findings.accept(grant, 3, "acme", evidence("ci@acme.example", at, release));
    findings.accept(grant, 4, "tester", evidence("lab@site.example", at, spdx()));
    assert_eq!(findings.releases.len(), 1);
    let package = "acme/thermostat".parse().unwrap();
    assert!(needs::check(&package, grant, &mut findings).is_ok());
}

#[test]
fn the_first_of_several_releases_by_a_publisher_counts() {
    let policy = parse(&policy());
    let mut findings = Findings::default();
    for at in [
        "2026-11-02T00:00:00Z",
        "2026-11-01T00:00:00Z",
        "2026-11-03T00:00:00Z",
    ] {
        let evidence = evidence("ci@acme.example", at, None);
        findings.accept(&policy.grants[0], 1, "acme", evidence);
    }
    assert_eq!(
        findings.releases["acme"].signed_at,
        time("2026-11-01T00:00:00Z")
    );
}

/// What becomes of a release by `identity` as `acme`, with `revoked` revoked.
fn released_by(policy: &serde_json::Value, identity: &str) -> &'static str {
    let policy = parse(policy);
    let mut findings = Findings::default();
    let evidence = evidence(identity, "2026-11-02T00:00:00Z", None);
    findings.accept(&policy.grants[0], 1, "acme", evidence);
    let revocations = Revocations::of(&policy);
    let releases = findings.releases.into_values().collect();
    let retained = revocations.retain_releases(releases);
    retained.as_ref().map_or_else(Refusal::code, |_| "ok")
}

#[test]
fn a_revoked_identity_is_revoked_under_every_name() {
    let mut policy = policy();
    policy["publishers"]["old"] = policy["publishers"]["acme"].clone();
    policy["revoked"] = json!({ "publishers": { "old": "2026-11-01T00:00:00Z" } });
    assert_eq!(released_by(&policy, "ci@acme.example"), "publisher-revoked");
    assert_eq!(released_by(&policy, "other@acme.example"), "ok");
    policy["publishers"]["old"]["issuer"] = json!("https://other.example");
    assert_eq!(released_by(&policy, "ci@acme.example"), "ok");
}

#[test]
fn an_identity_that_was_registered_anew_is_revoked_by_its_name_alone() {
    let mut policy = policy();
    policy["publishers"]["old"] = policy["publishers"]["acme"].clone();
    policy["publishers"]["old"]["claims"] = json!({ CLAIM: "1" });
    policy["publishers"]["acme"]["claims"] = json!({ CLAIM: "2" });
    policy["revoked"] = json!({ "publishers": { "old": "2026-11-01T00:00:00Z" } });
    assert_eq!(released_by(&policy, "ci@acme.example"), "ok");
    policy["revoked"] = json!({ "publishers": { "acme": "2026-11-01T00:00:00Z" } });
    assert_eq!(released_by(&policy, "ci@acme.example"), "publisher-revoked");
}
