use super::refused;
use crate::runtime::component::describe;
use crate::spec::{Grants, InstanceSpec, Limits};

/// What is held against a component with these parts.
fn check(parts: &str, grants: Grants, allowed: Option<&[&str]>) -> Vec<String> {
    let bytes = wat::parse_str(format!("(component {parts})")).unwrap();
    let spec = InstanceSpec {
        plugin: "p".parse().unwrap(),
        digest: crate::names::Digest::of(&bytes),
        config: serde_json::Map::new(),
        grants,
        limits: Limits::default(),
    };
    let allowed: Option<Vec<String>> =
        allowed.map(|allowed| allowed.iter().map(ToString::to_string).collect());
    let refused = refused(&spec, &describe(&bytes).unwrap(), allowed.as_deref());
    refused.iter().map(ToString::to_string).collect()
}

const TICKER: &str = r#"(import "f" (func $f (result (result (option u32) (error string)))))
    (instance $i (export "tick" (func $f)))
    (export "selvedge:plugin/ticker@0.1.0" (instance $i))"#;

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let parts = r#"(import "wasi:sockets/tcp@0.2.12" (instance))
        (import "wasi:random/random@0.2.12" (instance))
        (import "f" (func $f (result u32)))
        (instance $i (export "tick" (func $f)))
        (export "selvedge:plugin/ticker@0.1.0" (instance $i))"#;
    let allowed = ["wasi:sockets/*", "f"];
    assert_eq!(
        check(parts, Grants::default(), Some(&allowed)),
        [
            "plugin `p` imports `wasi:sockets/tcp@0.2.12`, which needs `tcp` in its grants",
            "plugin `p` imports `f`, which this host does not offer",
            "plugin `p` imports `wasi:random/random@0.2.12`, which the site's policy denies its publisher",
            "plugin `p` exports `tick` with another type than the contract's",
        ]
    );
}

#[test]
fn the_inbox_is_for_services() {
    let inbox = r#"(import "selvedge:bus/inbox@0.1.0" (instance))"#;
    let grants = Grants {
        subscribe: vec!["a".parse().unwrap()],
        ..Grants::default()
    };
    let held_against = check(&format!("{inbox}{TICKER}"), grants, None);
    assert!(
        held_against
            .iter()
            .any(|refusal| refusal.contains("does not export `service`")),
        "{held_against:?}"
    );
}
