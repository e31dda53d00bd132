use serde_json::json;

use super::*;

fn faults(config: serde_json::Value) -> String {
    let config: Config = serde_json::from_value(config).unwrap();
    config.devices().unwrap_err().to_string()
}

fn device(extra: &serde_json::Value) -> serde_json::Value {
    let mut device = json!({"name": "d", "site": "s", "address": "localhost:502"});
    let fields = device.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    json!({"devices": [device]})
}

#[test]
fn a_misspelt_field_is_refused_by_name() {
    let error = serde_json::from_value::<Config>(device(&json!({"timeout": 5}))).unwrap_err();
    assert!(error.to_string().contains("unknown field `timeout`"));
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = faults(device(&json!({
        "address": "nowhere",
        "timeout_ms": 0,
        "points": [
            {"name": "a", "table": "coil", "address": 0, "type": "u16"},
            {"name": "b", "table": "input", "address": 65535, "type": "f32", "writable": true},
            {"name": "b", "table": "holding", "address": 1, "type": "bit"},
            {"name": "modbus", "table": "holding", "address": 1, "type": "string", "length": 0},
        ],
        "groups": [{"name": "g", "interval_ms": 5, "points": ["c"]}],
    })));
    for part in [
        "`nowhere` is not host:port",
        "`timeout_ms` is 0",
        "d/a: a table of bits",
        "d/b: reaches beyond",
        "d/b: `writable`, but",
        "d/b: there twice",
        "d/b: `bit` belongs",
        "d/modbus: the name",
        "d/modbus: `length` is not",
        "`interval_ms` is not",
        "no point `c`",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
}

#[test]
fn a_profile_and_the_devices_order_are_applied() {
    let mut config = device(&json!({"profile": "press", "order": "CDAB"}));
    config["profiles"] = json!({"press": {
        "points": [
            {"name": "a", "table": "holding", "address": 0, "type": "f32"},
            {"name": "b", "table": "holding", "address": 2, "type": "f32", "order": "ABCD"},
        ],
        "groups": [{"name": "g", "interval_ms": 1000, "points": ["a"]}],
    }});
    let config: Config = serde_json::from_value(config).unwrap();
    let device = config.devices().unwrap().remove(0);
    let orders: Vec<_> = device.points.iter().map(|point| point.order).collect();
    assert_eq!(orders, [Order::CDAB, Order::ABCD]);
    assert_eq!(device.groups.len(), 1);
}

#[test]
fn units_of_one_address_agree_on_the_transaction_identifiers() {
    let text = faults(json!({"devices": [
        {"name": "a", "site": "s", "address": "h:1"},
        {"name": "b", "site": "s", "address": "h:1", "tid": "serial"},
        {"name": "a", "site": "s", "address": "h:2"},
    ]}));
    assert_eq!(
        text,
        "a: twice in site `s`; b: `tid` differs from others at its address"
    );
}

#[test]
fn sentinels_are_numbers_or_hexadecimal() {
    let bits = |value| serde_json::from_value::<Bits>(value).map(|bits| bits.0);
    assert_eq!(bits(json!(32768)).unwrap(), 0x8000);
    assert_eq!(bits(json!("0x8000")).unwrap(), 0x8000);
    assert!(bits(json!("8000")).is_err());
}

/// The README's example, so that it stays one.
#[test]
fn the_example_of_the_readme_is_a_configuration() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let document: toml::Table = toml::from_str(example).unwrap();
    let config: Config = document["config"].clone().try_into().unwrap();
    let devices = config.devices().unwrap();
    assert_eq!(devices.len(), 2);
    assert_eq!(devices[1].points.len(), 4);
}
