use super::*;

fn device() -> Device {
    let config: crate::config::Config = serde_json::from_value(json!({"devices": [{
        "name": "d", "site": "s", "address": "h:1", "raw": true,
        "points": [
            {"name": "speed", "table": "holding", "address": 0, "type": "u16",
             "writable": true, "min": 0, "max": 100},
            {"name": "word", "table": "holding", "address": 1, "type": "u16", "writable": true},
            {"name": "fixed", "table": "holding", "address": 2, "type": "u16"},
            {"name": "run", "table": "coil", "address": 0, "writable": true},
        ],
    }]}))
    .unwrap();
    config.devices().unwrap().remove(0)
}

fn code(name: &str, payload: &str) -> &'static str {
    parse(&device(), name, payload.as_bytes())
        .unwrap_err()
        .code()
}

#[test]
fn values_come_bare_or_named() {
    for payload in ["12.5", r#"{"value": 12.5}"#] {
        let command = parse(&device(), "speed", payload.as_bytes()).unwrap();
        assert_eq!(command, Command::Set(0, Value::Number(12.5)));
    }
    assert_eq!(
        parse(&device(), "run", b"true").unwrap(),
        Command::Set(3, Value::Bool(true))
    );
}

#[test]
fn what_is_not_configured_is_refused() {
    assert_eq!(code("speed", "100.1"), "out-of-range");
    assert_eq!(code("speed", "-1"), "out-of-range");
    assert_eq!(code("fixed", "1"), "not-writable");
    assert_eq!(code("none", "1"), "unknown-point");
    assert_eq!(
        code("speed", r#"{"mask": {"and": 0, "or": 1}}"#),
        "mask-unfit"
    );
    assert_eq!(
        code("run", r#"{"mask": {"and": 0, "or": 1}}"#),
        "mask-unfit"
    );
    for payload in [
        "",
        "{}",
        "[1]",
        "null",
        "nonsense",
        r#"{"value": 1, "x": 2}"#,
    ] {
        assert_eq!(code("speed", payload), "payload-invalid", "{payload}");
    }
    let mut device = device();
    device.raw = false;
    let error = parse(&device, RAW, br#"{"function": 43}"#).unwrap_err();
    assert_eq!(error.code(), "raw-not-allowed");
}

#[test]
fn a_mask_is_for_whole_registers_without_a_range() {
    let command = parse(&device(), "word", br#"{"mask": {"and": 242, "or": 37}}"#).unwrap();
    assert_eq!(command, Command::Mask(1, Mask { and: 242, or: 37 }));
}

#[test]
fn every_function_is_reached_by_a_raw_request() {
    for (payload, function) in [
        (r#"{"function": 1, "address": 0, "count": 1}"#, 1),
        (r#"{"function": 2, "address": 0, "count": 1}"#, 2),
        (r#"{"function": 3, "address": 0, "count": 1}"#, 3),
        (r#"{"function": 4, "address": 0, "count": 1}"#, 4),
        (r#"{"function": 5, "address": 0, "value": true}"#, 5),
        (r#"{"function": 6, "address": 0, "value": 65535}"#, 6),
        (r#"{"function": 15, "address": 0, "values": [true]}"#, 15),
        (r#"{"function": 16, "address": 0, "values": [1]}"#, 16),
        (r#"{"function": 22, "address": 0, "and": 1, "or": 2}"#, 22),
        (
            r#"{"function": 23, "address": 0, "count": 1, "write_address": 1, "values": [1]}"#,
            23,
        ),
        (r#"{"function": 43}"#, 43),
    ] {
        match parse(&device(), RAW, payload.as_bytes()) {
            Ok(Command::Raw(request)) => assert_eq!(request.function(), function),
            other => panic!("{payload}: {other:?}"),
        }
    }
    for payload in [
        r#"{"function": 8, "address": 0}"#,
        r#"{"function": 6, "address": 0, "value": 65536}"#,
        r#"{"function": 6, "address": 65536, "value": 1}"#,
        r#"{"function": 5, "address": 0, "value": 1}"#,
        r#"{"function": 16, "address": 0}"#,
    ] {
        assert_eq!(code(RAW, payload), "payload-invalid", "{payload}");
    }
    let long = r#"{"function": 3, "address": 0, "count": 126}"#;
    assert_eq!(code(RAW, long), "request-invalid");
}
