//! Twenty-odd servers that misbehave, each in its own way, on one adapter.

use std::collections::BTreeMap;
use std::time::Instant;

use super::adapter::{Adapter, Record};
use super::peers::{Peers, Server};
use crate::process::DEADLINE;

/// A server, named after what it does, and how its device is configured.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    device: &'static str,
    /// Part of what its readings give as the reason; none if they are good.
    reason: Option<&'static str>,
}

const fn wrong(name: &'static str, reason: &'static str) -> Case {
    Case {
        name,
        arguments: &[],
        device: "",
        reason: Some(reason),
    }
}

const fn borne(name: &'static str) -> Case {
    Case {
        name,
        arguments: &[],
        device: "",
        reason: None,
    }
}

const CASES: &[Case] = &[
    wrong("short", "no answer in 300 ms"),
    wrong("truncated", "answer of 2 bytes, not 4"),
    wrong("long", "answer that contradicts its request"),
    wrong("wrong-tid", "answer with foreign transaction identifier"),
    wrong("zero-tid", "answer with foreign transaction identifier 0"),
    wrong("stale-flood", "more than 8 late answers"),
    wrong("wrong-unit", "answer of unit 2, not 1"),
    wrong("wrong-function", "answer to function 4, not 3"),
    wrong("wrong-count", "answer that contradicts its request"),
    wrong("odd-count", "answer that contradicts its request"),
    wrong("garbage", "bytes that are no Modbus frame"),
    wrong("huge-length", "bytes that are no Modbus frame"),
    wrong("zero-length", "bytes that are no Modbus frame"),
    wrong("exception", "exception 4 (device failure)"),
    wrong("close", "connection closed by the device"),
    wrong("reset", "connection lost: ConnectionReset"),
    wrong("silent", "no answer in 300 ms"),
    Case {
        arguments: &["--delay-ms", "700"],
        ..wrong("late", "no answer in 300 ms")
    },
    Case {
        device: "unit = 2",
        ..wrong("silent-unit", "no answer in 300 ms")
    },
    borne("good"),
    borne("old-tid"),
    borne("trailing"),
    borne("idle-close"),
    Case {
        arguments: &["--delay-ms", "1"],
        ..borne("drip")
    },
    Case {
        arguments: &["--every", "2"],
        ..borne("busy")
    },
];

/// Every device has two readings, which a server that behaves gives as this.
const VALUES: [f64; 2] = [300.0, 340.0];

fn device(case: &Case, server: &Server) -> String {
    let (name, extra, address) = (case.name, case.device, &server.address);
    format!(
        r#"
        [[devices]]
        name = "{name}"
        site = "hall"
        address = "{address}"
        timeout_ms = 300
        backoff_ms_min = 50
        backoff_ms_max = 200
        profile = "two"
        {extra}
        "#
    )
}

const PROFILE: &str = r#"
    [plugins.modbus.config.profiles.two]
    points = [
        { name = "a", table = "holding", address = 300, type = "u16" },
        { name = "b", table = "holding", address = 340, type = "u16" },
    ]
    groups = [{ name = "all", interval_ms = 200, points = ["a", "b"] }]
"#;

/// Whether both are good. Never wrong: bad ones say why and have no value.
fn is_good(device: &str, pack: &[Record]) -> bool {
    let names: Vec<_> = pack.iter().map(Record::name).collect();
    assert_eq!(names, ["a", "b"], "{device}");
    let good = pack.iter().zip(VALUES).filter(|(record, value)| {
        let (quality, why) = record.quality();
        if quality == "good" {
            assert_eq!(record.value().as_f64(), Some(*value), "{device}");
            return true;
        }
        assert_eq!(quality, "bad", "{device}");
        assert!(
            !why.is_empty() && record.value().is_null(),
            "{device}: {record:?}"
        );
        false
    });
    good.count() == VALUES.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_misbehave_cost_their_own_readings_and_nothing_else() {
    let Some(peers) = Peers::find() else { return };
    let mut servers = Vec::new();
    for case in CASES {
        let arguments = [&[case.name], case.arguments].concat();
        servers.push(peers.hostile(&arguments).await);
    }
    let devices: Vec<_> = CASES
        .iter()
        .zip(&servers)
        .map(|(case, server)| device(case, server))
        .collect();
    let addresses: Vec<_> = servers
        .iter()
        .map(|server| server.address.as_str())
        .collect();
    let mut adapter = Adapter::start(&addresses, &(devices.concat() + PROFILE)).await;

    // Each is read as it deserves, and tried again and again.
    let mut awaited: BTreeMap<&str, u32> = CASES.iter().map(|case| (case.name, 5)).collect();
    let deadline = Instant::now() + DEADLINE;
    while !awaited.is_empty() {
        assert!(
            Instant::now() < deadline,
            "not read as expected: {awaited:?}"
        );
        let (device, pack) = adapter.pack().await;
        let case = CASES.iter().find(|case| case.name == device).unwrap();
        let good = is_good(&device, &pack);
        let as_expected = match case.reason {
            None => good,
            Some(reason) => {
                // The first answer of a flood has nothing older to be flooded with.
                assert!(!good || case.name == "stale-flood", "{device}");
                pack.iter()
                    .any(|record| record.quality().1.contains(reason))
            }
        };
        if let Some(rest) = awaited.get_mut(case.name).filter(|_| as_expected) {
            *rest -= 1;
            if *rest == 0 {
                awaited.remove(case.name);
            }
        }
    }

    for server in &servers {
        server.process.signal("USR1").await;
    }
    let mut ill: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let deadline = Instant::now() + DEADLINE;
    while !ill.is_empty() {
        assert!(Instant::now() < deadline, "not recovered: {ill:?}");
        let (device, pack) = adapter.pack().await;
        if is_good(&device, &pack) {
            ill.retain(|name| *name != device);
        }
    }
    adapter.stop().await;
}
