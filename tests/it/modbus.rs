//! Real third-party Modbus servers, read and written through the sandboxed
//! adapter; and servers that misbehave, which cost readings and nothing else.

mod adapter;
mod hostile;
mod peers;

use std::time::Instant;

use serde_json::{Value as Json, json};

use self::adapter::Adapter;
use self::peers::{Peers, Server};
use crate::process::DEADLINE;

/// Points of every type and byte order, and what `server.py` and `server.c`
/// document to be there.
const READINGS: &str = r#"
table = "coil", address = 0                                     | true
table = "coil", address = 1                                     | false
table = "discrete", address = 5                                 | true
table = "discrete", address = 6                                 | false
table = "input", address = 99, type = "u16"                     | 1099.0
table = "holding", address = 49, type = "u16"                   | 49.0
table = "holding", address = 132, type = "u16", order = "BADC"  | 13330.0
table = "holding", address = 130, type = "i16"                  | -2.0
table = "holding", address = 10, type = "u32"                   | 655371.0
table = "holding", address = 122, type = "u32", order = "CDAB"  | 4294843840.0
table = "holding", address = 120, type = "i32", order = "ABCD"  | -123456.0
table = "holding", address = 122, type = "i32", order = "CDAB"  | -123456.0
table = "holding", address = 124, type = "u64"                  | 1099511627783.0
table = "holding", address = 124, type = "i64"                  | 1099511627783.0
table = "holding", address = 137, type = "f16"                  | 1.5
table = "holding", address = 100, type = "f32", order = "ABCD"  | 123.45600128173828
table = "holding", address = 102, type = "f32", order = "BADC"  | 123.45600128173828
table = "holding", address = 104, type = "f32", order = "CDAB"  | 123.45600128173828
table = "holding", address = 106, type = "f32", order = "DCBA"  | 123.45600128173828
table = "holding", address = 110, type = "f64", order = "ABCD"  | -2.5
table = "holding", address = 114, type = "f64", order = "DCBA"  | -2.5
table = "holding", address = 132, type = "bcd16"                | 1234.0
table = "holding", address = 133, type = "bcd32"                | 12345678.0
table = "holding", address = 135, type = "u8h"                  | 254.0
table = "holding", address = 135, type = "i8h"                  | -2.0
table = "holding", address = 135, type = "u8l"                  | 1.0
table = "holding", address = 135, type = "i8l"                  | 1.0
table = "holding", address = 136, type = "bit", bit = 15        | true
table = "holding", address = 136, type = "bit", bit = 1         | false
table = "holding", address = 140, type = "string", length = 12  | "Selvedge"
"#;

/// The lines of [`READINGS`].
fn readings() -> Vec<(&'static str, Json)> {
    let lines = READINGS.lines().filter_map(|line| line.split_once(" | "));
    lines
        .map(|(point, value)| (point.trim(), serde_json::from_str(value).unwrap()))
        .collect()
}

/// Points that may be written.
const WRITABLE: &str = r#"
    { name = "f32", table = "holding", address = 150, type = "f32", order = "CDAB", min = -10, max = 10, writable = true },
    { name = "u16", table = "holding", address = 152, type = "u16", scale = 0.1, writable = true },
    { name = "bit", table = "holding", address = 153, type = "bit", bit = 3, writable = true },
    { name = "i8h", table = "holding", address = 153, type = "i8h", writable = true },
    { name = "word", table = "holding", address = 154, type = "u16", writable = true },
    { name = "text", table = "holding", address = 155, type = "string", length = 8, order = "BADC", writable = true },
    { name = "f64", table = "holding", address = 160, type = "f64", order = "DCBA", writable = true },
    { name = "i64", table = "holding", address = 164, type = "i64", writable = true },
    { name = "bcd16", table = "holding", address = 168, type = "bcd16", writable = true },
    { name = "coil", table = "coil", address = 1, writable = true },
    { name = "constant", table = "holding", address = 1, type = "u16" },
"#;

/// What is written, in this order; what the answer says the device now holds.
fn writes() -> Vec<(&'static str, &'static str, Json)> {
    vec![
        ("f32", "-2.5", json!(-2.5)),
        ("f32", r#"{"value": 7.25}"#, json!(7.25)),
        ("u16", "12.54", json!(12.5)),
        ("bit", "true", json!(true)),
        ("i8h", "-3", json!(-3.0)),
        ("word", "65535", json!(65535.0)),
        ("word", r#"{"mask": {"and": 240, "or": 5}}"#, json!(245.0)),
        ("text", r#""abc""#, json!("abc")),
        ("f64", "0.15625", json!(0.15625)),
        ("i64", "-5", json!(-5.0)),
        ("bcd16", "4321", json!(4321.0)),
        ("coil", "true", json!(true)),
    ]
}

/// The same as registers 150 to 168: what a stranger must find.
const WRITTEN: [u16; 19] = [
    0x0000, 0x40e8, 125, 0xfd08, 0x00f5, 0x6261, 0x0063, 0, 0, 0, 0, 0, 0, 0xc43f, 0xffff, 0xffff,
    0xffff, 0xfffb, 0x4321,
];

/// The device `d`, polled for `points`, by name in `group`.
fn device(server: &Server, extra: &str, points: &str, group: &[String]) -> String {
    let address = &server.address;
    format!(
        r#"
        [[devices]]
        name = "d"
        site = "hall"
        address = "{address}"
        timeout_ms = 10000
        {extra}
        points = [{points}]
        groups = [{{ name = "all", interval_ms = 100, points = {group:?} }}]
        "#
    )
}

/// Every type and order reads as documented; what is no value says so.
async fn check_readings(server: &Server) {
    let expected = readings();
    let names: Vec<_> = (0..expected.len())
        .map(|index| format!("p{index}"))
        .collect();
    let points = names.iter().zip(&expected);
    let points = points.map(|(name, (point, _))| format!("{{ name = \"{name}\", {point} }},\n"));
    let special = r#"
        { name = "scaled", table = "input", address = 7, type = "u16", scale = 0.1, offset = -50, unit = "Cel" },
        { name = "sentinel", table = "holding", address = 131, type = "i16", not_implemented = "0x8000" },
        { name = "wide", table = "holding", address = 110, type = "i64" },
    "#;
    let points: String = points.chain([special.to_owned()]).collect();
    let group = [
        names,
        ["scaled", "sentinel", "wide"].map(str::to_owned).into(),
    ]
    .concat();
    let mut adapter =
        Adapter::start(&[&server.address], &device(server, "", &points, &group)).await;
    let (name, pack) = adapter.pack().await;
    assert_eq!(name, "d");
    let order: Vec<_> = pack.iter().map(|record| record.name()).collect();
    assert_eq!(order, group);
    for (record, (point, value)) in pack.iter().zip(&expected) {
        assert_eq!(record.quality(), ("good", ""), "{point}");
        assert_eq!(record.value(), value, "{point}");
    }
    let [.., scaled, sentinel, wide] = pack.as_slice() else {
        panic!("{pack:?}");
    };
    assert!((scaled.value().as_f64().unwrap() - 50.7).abs() < 1e-9);
    assert_eq!(scaled.unit(), Some("Cel"));
    assert_eq!(sentinel.value(), &Json::Null);
    assert_eq!(sentinel.quality(), ("bad", "not implemented by the device"));
    // Beyond what a floating-point number of SenML holds exactly.
    let exact = -4_610_560_118_520_545_280.0;
    assert!((wide.value().as_f64().unwrap() / exact - 1.0).abs() < 1e-15);
    assert_eq!(wide.quality().0, "uncertain");
    adapter.stop().await;
}

/// Writes get their answers, the adapter reads back what it wrote, and what may
/// not be written is refused. The adapter is left running.
async fn check_writes(server: &Server, extra: &str) -> Adapter {
    let group = ["f32", "u16", "text", "coil"].map(str::to_owned);
    let device = device(server, extra, WRITABLE, &group);
    let mut adapter = Adapter::start(&[&server.address], &device).await;
    for (point, payload, value) in writes() {
        let reply = adapter.command(point, payload).await;
        let expected = json!({"ok": true, "value": value, "verified": true});
        assert_eq!(reply, expected, "{point} {payload}");
    }
    for (point, payload, code) in [
        ("f32", "10.5", "out-of-range"),
        ("u16", "-1", "value-invalid"),
        ("constant", "1", "not-writable"),
        ("nothing", "1", "unknown-point"),
        ("u16", "{", "payload-invalid"),
    ] {
        let reply = adapter.command(point, payload).await;
        let found = (&reply["ok"], &reply["code"]);
        assert_eq!(found, (&json!(false), &json!(code)), "{point}: {reply}");
    }
    // A poll that was under way may not have seen the last of it.
    let expected = [json!(7.25), json!(12.5), json!("abc"), json!(true)];
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (_, pack) = adapter.pack().await;
        let values: Vec<_> = pack.iter().map(|record| record.value().clone()).collect();
        if values == expected {
            break;
        }
        assert!(Instant::now() < deadline, "{values:?}");
    }
    adapter
}

#[tokio::test(flavor = "multi_thread")]
async fn pymodbus_is_read_in_every_type_and_order() {
    let Some(peers) = Peers::find() else { return };
    check_readings(&peers.pymodbus().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_adapter_writes_to_pymodbus_a_stranger_reads() {
    let Some(peers) = Peers::find() else { return };
    let server = peers.pymodbus().await;
    assert_eq!(peers.registers(&server, 150, 19).await, [0; 19]);
    let mut adapter = check_writes(&server, "verify = true").await;
    assert_eq!(peers.registers(&server, 150, 19).await, WRITTEN);
    assert!(peers.coil(&server, 1).await);
    // And the other way round.
    let options = ["-t", "4", "-r", "152", "--", "1234"];
    peers.mbpoll(&server, &options).await;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (_, pack) = adapter.pack().await;
        let value = pack[1].value();
        if value == &json!(123.4) {
            break;
        }
        assert_eq!(value, &json!(12.5));
        assert!(
            Instant::now() < deadline,
            "the stranger's value is not read"
        );
    }
    adapter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn libmodbus_is_read_and_written() {
    let Some(peers) = Peers::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = peers.libmodbus(folder.path()).await;
    check_readings(&server).await;
    let options = "verify = true\nwrite_with = \"multiple\"";
    let adapter = check_writes(&server, options).await;
    // It serves one client after another.
    adapter.stop().await;
    assert_eq!(peers.registers(&server, 150, 19).await, WRITTEN);
    assert!(peers.coil(&server, 1).await);
}
