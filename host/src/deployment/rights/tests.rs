use super::{includes, is_granted};
use crate::spec::Grants;

fn grants() -> Grants {
    Grants {
        publish: vec!["telemetry/#".parse().unwrap(), "reply/a".parse().unwrap()],
        tcp: vec!["plc:502".to_owned().try_into().unwrap()],
        models: vec!["oven".parse().unwrap()],
        keyvalue_bytes_max: 100,
        ..Grants::default()
    }
}

#[test]
fn a_wish_is_granted_if_the_document_speaks_of_it() {
    for (kind, wish, expected) in [
        ("publish", "telemetry/+/press", true),
        ("publish", "reply/#", true),
        ("publish", "#", true),
        ("publish", "command/#", false),
        ("publish", "$selvedge/#", false),
        ("publish", "where # reply_to says", true),
        ("subscribe", "telemetry/#", false),
        ("subscribe", "what # it needs", false),
        ("tcp", "plc:502", true),
        ("tcp", "plc:503", false),
        ("tcp", "the PLC, port 502", true),
        ("udp", "the lights", false),
        ("model", "oven", true),
        ("model", "press", false),
        ("model", "the one named in the configuration", true),
        ("keyvalue_bytes_max", "4096", true),
        ("teleport", "anywhere", false),
    ] {
        assert_eq!(is_granted(kind, wish, &grants()), expected, "{kind} {wish}");
    }
    assert!(!is_granted("keyvalue_bytes_max", "1", &Grants::default()));
}

#[test]
fn a_wish_is_new_unless_an_old_one_includes_it() {
    for (kind, had, what, expected) in [
        ("publish", "a/#", "a/b/+", true),
        ("publish", "a/+", "a/#", false),
        ("publish", "in words", "in words", true),
        ("tcp", "plc:502", "plc:503", false),
        ("keyvalue_bytes_max", "4096", "4095", true),
        ("keyvalue_bytes_max", "4096", "4097", false),
        ("model", "oven", "press", false),
    ] {
        assert_eq!(includes(kind, had, what), expected, "{kind} {had} {what}");
    }
}
