//! pymodbus and libmodbus, read and written.

use selvedge_plugin::senml::{Quality, Value};
use serde_json::json;

use super::servers::{Server, libmodbus, pymodbus};
use super::world::with_engine;

fn config(server: &Server, extra: &serde_json::Value) -> serde_json::Value {
    let holding = |name: &str, address: u16, kind: &str, order: &str| json!({"name": name, "table": "holding", "address": address, "type": kind, "order": order});
    let mut points = vec![
        json!({"name": "coil0", "table": "coil", "address": 0}),
        json!({"name": "coil1", "table": "coil", "address": 1}),
        json!({"name": "discrete5", "table": "discrete", "address": 5}),
        json!({"name": "discrete6", "table": "discrete", "address": 6}),
        json!({"name": "input7", "table": "input", "address": 7, "type": "u16", "unit": "Cel",
               "scale": 0.1, "offset": -50}),
        json!({"name": "sentinel", "table": "holding", "address": 131, "type": "i16",
               "not_implemented": "0x8000"}),
        json!({"name": "bit15", "table": "holding", "address": 136, "type": "bit", "bit": 15}),
        json!({"name": "bit1", "table": "holding", "address": 136, "type": "bit", "bit": 1}),
        json!({"name": "text", "table": "holding", "address": 140, "type": "string", "length": 12}),
    ];
    points.extend([
        holding("f32-abcd", 100, "f32", "ABCD"),
        holding("f32-badc", 102, "f32", "BADC"),
        holding("f32-cdab", 104, "f32", "CDAB"),
        holding("f32-dcba", 106, "f32", "DCBA"),
        holding("f64-abcd", 110, "f64", "ABCD"),
        holding("f64-dcba", 114, "f64", "DCBA"),
        holding("i32-abcd", 120, "i32", "ABCD"),
        holding("i32-cdab", 122, "i32", "CDAB"),
        holding("u64", 124, "u64", "ABCD"),
        holding("i16", 130, "i16", "ABCD"),
        holding("bcd16", 132, "bcd16", "ABCD"),
        holding("bcd32", 133, "bcd32", "ABCD"),
        holding("i8h", 135, "i8h", "ABCD"),
        holding("u8l", 135, "u8l", "ABCD"),
        holding("f16", 137, "f16", "ABCD"),
    ]);
    let names: Vec<_> = points.iter().map(|point| point["name"].clone()).collect();
    points.extend([
        json!({"name": "set-f32", "table": "holding", "address": 150, "type": "f32",
               "order": "CDAB", "writable": true, "min": -10, "max": 10}),
        json!({"name": "set-u16", "table": "holding", "address": 152, "type": "u16",
               "scale": 0.1, "writable": true}),
        json!({"name": "set-bit", "table": "holding", "address": 153, "type": "bit", "bit": 3,
               "writable": true}),
        json!({"name": "set-i8h", "table": "holding", "address": 153, "type": "i8h",
               "writable": true}),
        json!({"name": "set-word", "table": "holding", "address": 154, "type": "u16",
               "writable": true}),
        json!({"name": "set-text", "table": "holding", "address": 155, "type": "string",
               "length": 8, "order": "BADC", "writable": true}),
        json!({"name": "set-coil", "table": "coil", "address": 1, "writable": true}),
    ]);
    let mut device = json!({
        "name": "d", "site": "s", "address": server.address, "raw": true, "verify": true,
        "points": points,
        "groups": [{"name": "all", "interval_ms": 50, "points": names}],
    });
    let fields = device.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    json!({"devices": [device]})
}

/// The values that both servers start with.
fn check_readings(server: &Server) {
    let number = Value::Number;
    let f32 = || number(f64::from(123.456_f32));
    let expected = [
        ("coil0", Value::Bool(true)),
        ("coil1", Value::Bool(false)),
        ("discrete5", Value::Bool(true)),
        ("discrete6", Value::Bool(false)),
        ("bit15", Value::Bool(true)),
        ("bit1", Value::Bool(false)),
        ("text", Value::Text("Selvedge".to_owned())),
        ("f32-abcd", f32()),
        ("f32-badc", f32()),
        ("f32-cdab", f32()),
        ("f32-dcba", f32()),
        ("f64-abcd", number(-2.5)),
        ("f64-dcba", number(-2.5)),
        ("i32-abcd", number(-123_456.0)),
        ("i32-cdab", number(-123_456.0)),
        ("u64", number(1_099_511_627_783.0)),
        ("i16", number(-2.0)),
        ("bcd16", number(1234.0)),
        ("bcd32", number(12_345_678.0)),
        ("i8h", number(-2.0)),
        ("u8l", number(1.0)),
        ("f16", number(1.5)),
    ];
    with_engine(config(server, &json!({})), async |bus| {
        let pack = bus.pack("d").await;
        let find = |name: &str| pack.iter().find(|record| record.name == name).unwrap();
        for (name, value) in &expected {
            let record = find(name);
            assert_eq!(&record.value, value, "{record:?}");
            assert_eq!(record.quality, Quality::Good, "{record:?}");
        }
        let scaled = find("input7");
        assert!((scaled.number().unwrap() - 50.7).abs() < 1e-9);
        assert_eq!(scaled.unit.as_deref(), Some("Cel"));
        assert_eq!(
            find("sentinel").quality,
            Quality::Bad("not implemented by the device".to_owned())
        );
        assert_eq!(pack.len(), expected.len() + 2);
    });
}

fn check_writes(server: &Server, with: &str) {
    let extra = json!({"write_with": with, "groups": []});
    with_engine(config(server, &extra), async |bus| {
        for (name, payload, value) in [
            ("set-f32", "-2.5", json!(-2.5)),
            ("set-f32", r#"{"value": 7.25}"#, json!(7.25)),
            ("set-u16", "12.54", json!(12.5)),
            ("set-bit", "true", json!(true)),
            ("set-i8h", "-3", json!(-3.0)),
            ("set-bit", "true", json!(true)),
            ("set-word", "65535", json!(65535.0)),
            (
                "set-word",
                r#"{"mask": {"and": 240, "or": 5}}"#,
                json!(245.0),
            ),
            ("set-text", r#""abc""#, json!("abc")),
            ("set-coil", "true", json!(true)),
            ("set-coil", "false", json!(false)),
        ] {
            let reply = bus.command(name, payload).await;
            assert!(
                reply["ok"] == true && reply["verified"] == true,
                "{name} {payload}: {reply}"
            );
            let near = match (reply["value"].as_f64(), value.as_f64()) {
                (Some(got), Some(value)) => (got - value).abs() < 1e-9,
                _ => reply["value"] == value,
            };
            assert!(near, "{name} {payload}: {reply}");
        }
        // A part of a register left the other part alone.
        let reply = bus
            .command("modbus", r#"{"function": 3, "address": 153, "count": 1}"#)
            .await;
        assert_eq!(reply["registers"], json!([0xfd08]), "{reply}");
        for (name, payload, code) in [
            ("set-f32", "10.5", "out-of-range"),
            ("set-u16", "-1", "value-invalid"),
            ("f32-abcd", "1", "not-writable"),
            ("nothing", "1", "unknown-point"),
            ("set-u16", "{", "payload-invalid"),
        ] {
            let reply = bus.command(name, payload).await;
            assert_eq!(reply["ok"], false, "{name}: {reply}");
            assert_eq!(reply["code"], code, "{name}: {reply}");
        }
    });
}

fn check_functions(server: &Server) {
    with_engine(config(server, &json!({"groups": []})), async |bus| {
        for (request, key, expected) in [
            (
                json!({"function": 1, "address": 0, "count": 4}),
                "bits",
                json!([true, false, false, true]),
            ),
            (
                json!({"function": 2, "address": 0, "count": 6}),
                "bits",
                json!([true, false, false, false, false, true]),
            ),
            (
                json!({"function": 3, "address": 10, "count": 2}),
                "registers",
                json!([10, 11]),
            ),
            (
                json!({"function": 4, "address": 98, "count": 2}),
                "registers",
                json!([1098, 1099]),
            ),
            (
                json!({"function": 5, "address": 10, "value": true}),
                "ok",
                json!(true),
            ),
            (
                json!({"function": 6, "address": 160, "value": 18}),
                "ok",
                json!(true),
            ),
            (
                json!({"function": 15, "address": 11, "values": [true, false, true]}),
                "ok",
                json!(true),
            ),
            (
                json!({"function": 1, "address": 10, "count": 4}),
                "bits",
                json!([true, true, false, true]),
            ),
            (
                json!({"function": 16, "address": 161, "values": [1, 2]}),
                "ok",
                json!(true),
            ),
            (
                json!({"function": 22, "address": 160, "and": 242, "or": 37}),
                "ok",
                json!(true),
            ),
            (
                json!({"function": 23, "address": 160, "count": 3, "write_address": 161,
                    "values": [7, 8]}),
                "registers",
                json!([23, 7, 8]),
            ),
        ] {
            let reply = bus.command("modbus", &request.to_string()).await;
            assert_eq!(reply[key], expected, "{request}: {reply}");
        }
        let request = r#"{"function": 4, "address": 5000, "count": 1}"#;
        let reply = bus.command("modbus", request).await;
        assert_eq!(
            (&reply["code"], &reply["exception"]),
            (&json!("exception"), &json!(2))
        );
    });
}

#[test]
fn pymodbus_is_read_in_every_type_and_order() {
    let Some(server) = pymodbus() else { return };
    check_readings(&server);
}

#[test]
fn pymodbus_is_written_and_the_values_read_back() {
    for with in ["single", "multiple"] {
        let Some(server) = pymodbus() else { return };
        check_writes(&server, with);
    }
}

#[test]
fn pymodbus_answers_every_function() {
    let Some(server) = pymodbus() else { return };
    check_functions(&server);
    with_engine(config(&server, &json!({"groups": []})), async |bus| {
        let reply = bus
            .command("modbus", r#"{"function": 43, "category": 2}"#)
            .await;
        let objects = &reply["objects"];
        assert_eq!(objects["0"], "Selvedge", "{reply}");
        // Too much for one answer: it took more than one to get here.
        assert_eq!(objects["5"], format!("Model {}", "z".repeat(100)));
        assert_eq!(objects["6"], "Application");
    });
}

#[test]
fn a_point_that_the_device_refuses_costs_no_other() {
    let Some(server) = pymodbus() else { return };
    let config = json!({"devices": [{
        "name": "d", "site": "s", "address": server.address,
        "points": [
            {"name": "a", "table": "holding", "address": 48, "type": "u16"},
            {"name": "b", "table": "holding", "address": 49, "type": "u16"},
            {"name": "none", "table": "holding", "address": 50, "type": "u16"},
            {"name": "c", "table": "holding", "address": 10, "type": "u16"},
        ],
        "groups": [{"name": "g", "interval_ms": 50, "points": ["a", "b", "none", "c"]}],
    }]});
    with_engine(config, async |bus| {
        for _ in 0..3 {
            let pack = bus.pack("d").await;
            let numbers: Vec<_> = pack.iter().map(|record| record.number()).collect();
            assert_eq!(numbers, [Some(48.0), Some(49.0), None, Some(10.0)]);
            assert_eq!(
                pack[2].quality,
                Quality::Bad("exception 2 (illegal data address)".to_owned())
            );
        }
    });
}

#[test]
fn a_command_from_long_ago_is_not_carried_out() {
    let Some(server) = pymodbus() else { return };
    with_engine(config(&server, &json!({"groups": []})), async |bus| {
        let mut message = selvedge_plugin::Message::new("command/s/d/set-coil", "true");
        message.published_at = 1_000_000_000;
        message.reply_to = Some("reply/here".to_owned());
        bus.send(message);
        let reply = bus.next("reply/here").await;
        assert!(reply.text().unwrap().contains(r#""code":"expired""#));
    });
}

#[test]
fn libmodbus_is_read_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = libmodbus(directory.path()) else {
        return;
    };
    check_readings(&server);
    check_writes(&server, "single");
    check_functions(&server);
    with_engine(config(&server, &json!({"groups": []})), async |bus| {
        let reply = bus.command("modbus", r#"{"function": 43}"#).await;
        assert_eq!(
            (&reply["code"], &reply["exception"]),
            (&json!("exception"), &json!(1))
        );
    });
}
