use serde_json::{Value, json};

use super::{Policy, PolicyError};

mod changes;

const WORKFLOW: &str = "https://github.com/acme/plugins/.github/workflows/release.yml@refs/tags/*";
const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR+I+gU++kdR5TSXTrmrM9Fpaf
DxSVjZsoXYYXJdZzSNPr2D5YmwQ55mIhu8zY0lFwtG2vPN5VqFoDhJ8kAg==
-----END PUBLIC KEY-----
";

fn policy() -> Value {
    json!({
        "v": 1,
        "trust": { "main": "trusted_root.json" },
        "publishers": {
            "acme": {
                "trust": "main",
                "issuer": "https://token.actions.githubusercontent.com",
                "identity": WORKFLOW,
                "claims": { "source_repository_owner_identifier": "123" },
            },
            "builder": {
                "trust": "main",
                "issuer": "https://accounts.example",
                "identity": "builder@site.example",
            },
        },
        "grants": [
            { "packages": "acme/*", "by": ["acme"],
              "need": { "slsa-provenance": { "by": ["builder"] }, "cyclonedx": {} },
              "imports": ["selvedge:bus/*", "wasi:sockets/tcp"] },
            { "packages": "acme/secret", "by": [] },
        ],
        "floor": { "acme/thermostat": "1.1.0" },
        "downgrade": { "acme/thermostat": ["1.2.0"] },
        "revoked": {
            "digests": [format!("sha256:{}", "a1".repeat(32))],
            "publishers": { "builder": "2026-11-01T00:00:00Z" },
        },
    })
}

fn parse(value: &Value) -> Result<Policy, PolicyError> {
    Policy::parse(value.to_string().as_bytes())
}

/// The policy above with `value` at `at`.
fn with(at: &str, value: Value) -> Value {
    let mut policy = policy();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = policy.pointer_mut(parent).unwrap();
    match (parent, name.parse::<usize>()) {
        (Value::Array(list), Ok(index)) if index == list.len() => list.push(value),
        (Value::Array(list), Ok(index)) => list[index] = value,
        (parent, _) => parent[name.replace("~1", "/")] = value,
    }
    policy
}

fn faults(value: &Value) -> Vec<(String, &'static str)> {
    let error = parse(value).unwrap_err();
    let faults = error.faults().iter();
    faults
        .map(|fault| (fault.at.clone(), fault.kind.code()))
        .collect()
}

#[test]
fn a_policy_reads_back_what_it_writes() {
    let read = parse(&policy()).unwrap();
    assert_eq!(Policy::parse(&read.to_bytes()).unwrap(), read);
    let written: Value = serde_json::from_slice(&read.to_bytes()).unwrap();
    assert_eq!(written, policy());
}

#[test]
fn a_policy_that_trusts_nobody_is_a_policy() {
    let empty = Policy::parse(br#"{"v":1}"#).unwrap();
    assert_eq!(empty, Policy::default());
    assert_eq!(Policy::parse(&empty.to_bytes()).unwrap(), empty);
}

#[test]
fn the_most_specific_grant_decides() {
    let policy = parse(&with(
        "/grants/2",
        json!({ "packages": "*", "by": ["builder"] }),
    ))
    .unwrap();
    let by = |package: &str| policy.grant(&package.parse().unwrap()).unwrap().by.clone();
    assert_eq!(by("acme/thermostat"), ["acme".to_owned()].into());
    assert_eq!(by("other/thermostat"), ["builder".to_owned()].into());
    assert!(by("acme/secret").is_empty());
}

#[test]
fn without_a_grant_nothing_is_granted_and_nothing_if_two_are_equal() {
    let mut policy = parse(&policy()).unwrap();
    assert_eq!(policy.grant(&"other/thermostat".parse().unwrap()), None);
    let again = policy.grants[0].clone();
    policy.grants.push(again);
    assert_eq!(policy.grant(&"acme/thermostat".parse().unwrap()), None);
    assert!(policy.check().is_err());
}

#[track_caller]
fn check_fault(at: &str, value: Value, place: &str, code: &'static str) {
    assert_eq!(faults(&with(at, value)), [(place.to_owned(), code)]);
}

#[test]
fn each_fault_of_a_publisher_is_named_with_its_place() {
    check_fault("/v", json!(2), "/v", "policy-format-unknown");
    check_fault("/v", json!("1"), "/v", "policy-value-invalid");
    check_fault("/engine", json!({}), "/engine", "policy-field-unknown");
    check_fault(
        "/revoked/keys",
        json!({}),
        "/revoked/keys",
        "policy-field-unknown",
    );
    check_fault(
        "/trust/Main",
        json!("a.json"),
        "/trust/Main",
        "policy-name-invalid",
    );
    check_fault(
        "/trust/x",
        json!("../a.json"),
        "/trust/x",
        "policy-target-invalid",
    );
    check_fault(
        "/trust/x",
        json!("policy.json"),
        "/trust/x",
        "policy-target-invalid",
    );
    let at = "/publishers/acme/trust";
    check_fault(at, json!("other"), at, "policy-root-unknown");
    let at = "/publishers/acme/issuer";
    check_fault(at, json!("accounts.example"), at, "policy-issuer-invalid");
    let at = "/publishers/acme/claims/owner";
    check_fault(at, json!("1"), at, "policy-claim-unknown");
    check_fault(
        "/publishers/acme/identity",
        json!("*"),
        "/publishers/acme",
        "policy-value-invalid",
    );
    check_fault(
        "/publishers/acme/san",
        json!("x"),
        "/publishers/acme",
        "policy-value-invalid",
    );
    check_fault(
        "/publishers/acme/key",
        json!(KEY),
        "/publishers/acme",
        "policy-value-invalid",
    );
}

#[test]
fn each_fault_of_a_grant_is_named_with_its_place() {
    let site = json!({ "key": "no key", "trust": "main" });
    check_fault(
        "/publishers/site",
        site,
        "/publishers/site/key",
        "policy-key-unusable",
    );
    let at = "/grants/1/by";
    check_fault(at, json!(["nobody"]), at, "policy-publisher-unknown");
    let at = "/grants/0/need/slsa-provenance/by";
    check_fault(at, json!(["nobody"]), at, "policy-publisher-unknown");
    let at = "/grants/0/need/sbom";
    check_fault(at, json!({}), at, "policy-need-unknown");
    let at = "/grants/0/need/https:~1~1cyclonedx.org~1bom";
    check_fault(
        at,
        json!({}),
        "/grants/0/need/https:~1~1cyclonedx.org~1bom",
        "policy-need-ambiguous",
    );
    let at = "/grants/0/imports";
    check_fault(
        at,
        json!(["wasi:sockets/tcp@0.2.0"]),
        at,
        "policy-import-invalid",
    );
    check_fault(at, json!(["wasi:*/tcp"]), at, "policy-import-invalid");
    let again = json!({ "packages": "acme/*", "by": ["builder"] });
    check_fault(
        "/grants/2",
        again,
        "/grants/2/packages",
        "policy-grant-ambiguous",
    );
    let bad = json!({ "packages": "acme/t*", "by": [] });
    check_fault("/grants/2", bad, "/grants/2", "policy-value-invalid");
    let at = "/floor/acme~1x";
    check_fault(at, json!("1.0"), at, "policy-value-invalid");
    let at = "/downgrade/acme~1thermostat";
    check_fault(at, json!(["1.0.0"]), at, "policy-downgrade-below-floor");
    check_fault(
        "/revoked/digests/1",
        json!("md5:0"),
        "/revoked/digests/1",
        "policy-value-invalid",
    );
    let at = "/revoked/publishers/nobody";
    check_fault(
        at,
        json!("2026-11-01T00:00:00Z"),
        at,
        "policy-publisher-unknown",
    );
}

#[test]
fn all_faults_are_found_at_once() {
    let mut policy = with("/publishers/acme/identity", json!("*"));
    policy["grants"][1]["by"] = json!(["nobody"]);
    policy["floor"]["Acme/x"] = json!("1.0.0");
    // The grants that name `acme` are not to blame.
    // They come in the order of the file, which the text made here has not.
    let mut places: Vec<_> = faults(&policy).into_iter().map(|(at, _)| at).collect();
    places.sort();
    assert_eq!(
        places,
        ["/floor/Acme~1x", "/grants/1/by", "/publishers/acme"]
    );
    let text = parse(&policy).unwrap_err().to_string();
    assert!(
        text.contains("`/grants/1/by`: there is no publisher `nobody`"),
        "{text}"
    );
}

#[test]
fn which_kind_a_publisher_is_its_key_decides() {
    let keyed = json!({ "key": KEY, "trust": "main", "log": true });
    assert!(parse(&with("/publishers/site", keyed)).is_ok());
    let error = parse(&with("/publishers/site", json!({ "trust": "main" }))).unwrap_err();
    assert!(
        error.to_string().contains("missing field `issuer`"),
        "{error}"
    );
    let misspelt = json!({ "key": KEY, "trust": "main", "logs": true });
    let error = parse(&with("/publishers/site", misspelt)).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `logs`"),
        "{error}"
    );
}

#[test]
fn no_name_stands_twice() {
    let publisher = r#"{"trust":"main","issuer":"https://a","identity":"a@b"}"#;
    let text = format!(
        r#"{{"v":1,"trust":{{"main":"a.json"}},"publishers":{{"a":{publisher},"\u0061":{publisher}}}}}"#
    );
    let error = Policy::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.faults()[0].at, "/publishers/a");
    assert_eq!(error.faults()[0].kind.code(), "policy-key-duplicate");

    for text in [
        r#"{"v":1,"v":1}"#,
        r#"{"v":1,"grants":[{"packages":"*","by":[],"by":[]}]}"#,
        r#"{"v":1,"floor":{"a/b":"1.0.0","a/b":"0.0.1"}}"#,
    ] {
        let error = Policy::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            error.faults()[0].kind.code(),
            "policy-key-duplicate",
            "{text}"
        );
    }
}

#[test]
fn sizes_and_numbers_are_bounded() {
    let code = |bytes: &[u8]| Policy::parse(bytes).unwrap_err().code();
    assert_eq!(code(&vec![b' '; (1 << 20) + 1]), "policy-too-large");
    assert_eq!(code(b"{"), "policy-malformed");
    assert_eq!(code(b"{\"v\":1} x"), "policy-malformed");
    assert_eq!(code(&b"[".repeat(100_000)), "policy-malformed");
    assert_eq!(code(b"[]"), "policy-invalid");

    let grants: Vec<_> = (0..1001)
        .map(|i| json!({ "packages": format!("n{i}/*"), "by": [] }))
        .collect();
    let too_many = vec![("/grants".to_owned(), "policy-too-many")];
    assert_eq!(faults(&with("/grants", grants.into())), too_many);
    let many: serde_json::Map<_, _> = (0..1001)
        .map(|i| {
            (
                format!("p{i}"),
                json!({ "trust": "main", "issuer": "https://a", "identity": "a@b" }),
            )
        })
        .collect();
    let mut policy = json!({ "v": 1, "trust": { "main": "a.json" }, "publishers": many });
    assert_eq!(
        faults(&policy),
        [("/publishers".to_owned(), "policy-too-many")]
    );
    let by: Vec<_> = (0..33).map(|i| format!("p{i}")).collect();
    policy["publishers"]
        .as_object_mut()
        .unwrap()
        .remove("p1000");
    policy["grants"] = json!([{ "packages": "*", "by": by }]);
    assert_eq!(
        faults(&policy),
        [("/grants/0/by".to_owned(), "policy-too-many")]
    );
    let everything_wrong: Vec<_> = (0..5000).map(|_| json!(1)).collect();
    assert_eq!(faults(&with("/grants", everything_wrong.into())).len(), 100);
}

#[test]
fn foreign_text_in_a_fault_is_cut() {
    let long = "\u{1b}[2J".repeat(1000);
    let error = parse(&with("/grants/1/by", json!([long]))).unwrap_err();
    let text = error.to_string();
    assert!(text.len() < 1000 && !text.contains('\u{1b}'), "{text}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_changed_in_a_policy_what_is_read_holds_together(
        index in 0_usize..1000,
        byte: u8,
        length in 0_usize..2,
    ) {
        let mut bytes = policy().to_string().into_bytes();
        let index = index % bytes.len();
        bytes.splice(index..index + length, [byte]);
        if let Ok(read) = Policy::parse(&bytes) {
            assert!(read.check().is_ok());
            assert_eq!(Policy::parse(&read.to_bytes()).unwrap(), read);
        }
    }
}
