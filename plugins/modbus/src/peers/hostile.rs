//! A server that misbehaves costs readings, which say so, and nothing else.

use serde_json::json;

use super::servers::{Server, hostile};
use super::world::{is_good, with_engine};

/// Where nothing is to go wrong, on a busy machine either.
const PATIENT_MS: u32 = 10_000;

fn config(server: &Server, extra: &serde_json::Value) -> serde_json::Value {
    let mut device = json!({
        "name": "d", "site": "s", "address": server.address, "timeout_ms": 100,
        "failures_max": 3, "backoff_ms_min": 50, "backoff_ms_max": 200,
        "points": [
            {"name": "a", "table": "holding", "address": 300, "type": "u16"},
            {"name": "b", "table": "holding", "address": 340, "type": "u16"},
        ],
        "groups": [{"name": "g", "interval_ms": 20, "points": ["a", "b"]}],
    });
    let fields = device.as_object_mut().unwrap();
    fields.extend(extra.as_object().unwrap().clone());
    json!({"devices": [device]})
}

/// Runs 12 polls; how many readings were good and how many bad.
fn readings(server: &Server, extra: &serde_json::Value) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    with_engine(config(server, extra), async |bus| {
        for _ in 0..12 {
            let pack = bus.pack("d").await;
            let names: Vec<_> = pack.iter().map(|record| record.name.as_str()).collect();
            assert_eq!(names, ["a", "b"], "every point is in every pack");
            for (record, value) in pack.iter().zip([300.0, 340.0]) {
                if is_good(record, value) {
                    good += 1;
                } else {
                    bad += 1;
                }
            }
        }
    });
    (good, bad)
}

const WRONG: [&str; 17] = [
    "short",
    "truncated",
    "long",
    "wrong-tid",
    "zero-tid",
    "stale-flood",
    "wrong-unit",
    "wrong-function",
    "wrong-count",
    "odd-count",
    "garbage",
    "huge-length",
    "zero-length",
    "exception",
    "close",
    "reset",
    "silent",
];

#[test]
fn a_server_that_is_always_wrong_gives_no_reading_and_never_a_wrong_one() {
    for mode in WRONG {
        let Some(server) = hostile(&[mode]) else {
            return;
        };
        let (good, bad) = readings(&server, &json!({}));
        // The first answer of a flood has nothing older to be flooded with.
        let allowed = if mode == "stale-flood" { 24 } else { 0 };
        assert!(good <= allowed, "{mode}: {good} good, {bad} bad");
    }
}

#[test]
fn a_server_that_is_wrong_at_times_costs_those_readings_only() {
    for mode in WRONG {
        let Some(server) = hostile(&[mode, "--every", "5"]) else {
            return;
        };
        let (good, bad) = readings(&server, &json!({"failures_max": 1000}));
        assert!(good > 0, "{mode}: {good} good, {bad} bad");
        assert!(
            good > bad || mode == "stale-flood",
            "{mode}: {good} good, {bad} bad"
        );
    }
}

#[test]
fn what_can_be_borne_costs_nothing() {
    for mode in ["good", "old-tid", "trailing", "idle-close"] {
        let Some(server) = hostile(&[mode]) else {
            return;
        };
        let patient = json!({"timeout_ms": PATIENT_MS});
        assert_eq!(readings(&server, &patient), (24, 0), "{mode}");
    }
    let Some(server) = hostile(&["drip", "--delay-ms", "2"]) else {
        return;
    };
    let patient = json!({"timeout_ms": PATIENT_MS});
    assert_eq!(readings(&server, &patient), (24, 0), "drip");
    let Some(server) = hostile(&["busy", "--every", "2"]) else {
        return;
    };
    // Time enough in each poll for the pauses before asking again.
    let groups = json!([{"name": "g", "interval_ms": 300, "points": ["a", "b"]}]);
    assert_eq!(
        readings(
            &server,
            &json!({"groups": groups, "timeout_ms": PATIENT_MS})
        ),
        (24, 0),
        "busy"
    );
}

#[test]
fn a_gateway_that_forgets_identifiers_is_read_in_serial_mode() {
    let Some(server) = hostile(&["zero-tid"]) else {
        return;
    };
    let patient = json!({"tid": "serial", "timeout_ms": PATIENT_MS});
    assert_eq!(readings(&server, &patient), (24, 0));
}

#[test]
fn late_answers_are_never_taken_for_others() {
    // Each answer comes after its request was given up, during a later one.
    for tid in ["strict", "serial"] {
        let Some(server) = hostile(&["late", "--delay-ms", "130"]) else {
            return;
        };
        let (_, bad) = readings(&server, &json!({"tid": tid}));
        assert!(bad > 0, "{tid}");
    }
}

#[test]
fn a_dead_unit_does_not_stall_its_neighbour() {
    let Some(server) = hostile(&["silent-unit"]) else {
        return;
    };
    let mut config = config(
        &server,
        &json!({"backoff_ms_min": 60_000, "backoff_ms_max": 60_000}),
    );
    let mut dead = config["devices"][0].clone();
    dead["name"] = "dead".into();
    dead["unit"] = 2.into();
    dead["timeout_ms"] = 1_500.into();
    config["devices"][0]["timeout_ms"] = PATIENT_MS.into();
    config["devices"].as_array_mut().unwrap().push(dead);
    with_engine(config, async |bus| {
        bus.logged("device s/dead is down: no answer in 1500 ms")
            .await;
        // From now on the neighbour has the line for itself.
        let start = std::time::Instant::now();
        for _ in 0..20 {
            let pack = bus.pack("d").await;
            assert!(is_good(&pack[0], 300.0) && is_good(&pack[1], 340.0));
        }
        let elapsed = start.elapsed();
        println!("20 polls of 20 ms beside a dead unit took {elapsed:?}");
        // Had each waited for the dead unit, they would have taken 30 s more.
        assert!(elapsed < std::time::Duration::from_secs(20), "{elapsed:?}");
        let pack = bus.pack("dead").await;
        assert_eq!(pack.len(), 2);
        for record in pack {
            let why = format!("{:?}", record.quality);
            assert!(why.contains("unit down, tried again in"), "{why}");
        }
    });
}

#[test]
fn nobody_there_is_said_in_every_pack() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut config = json!({"devices": [{
        "name": "d", "site": "s", "address": "",
        "points": [{"name": "a", "table": "input", "address": 0, "type": "u16"}],
        "groups": [{"name": "g", "interval_ms": 20, "points": ["a"]}],
    }]});
    config["devices"][0]["address"] = address.into();
    with_engine(config, async |bus| {
        for expected in [
            "cannot connect",
            "cannot connect",
            "cannot connect",
            "unit down",
        ] {
            let pack = bus.pack("d").await;
            let why = format!("{:?}", pack[0].quality);
            assert!(why.contains(expected), "{why}");
        }
    });
}

#[test]
fn a_busy_bus_costs_packs_and_is_logged_once() {
    let Some(server) = hostile(&["good"]) else {
        return;
    };
    let patient = json!({"timeout_ms": PATIENT_MS});
    with_engine(config(&server, &patient), async |bus| {
        bus.pack("d").await;
        bus.busy.set(true);
        bus.logged("busy").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        bus.busy.set(false);
        bus.logged("the bus takes messages again").await;
        let pack = bus.pack("d").await;
        assert!(is_good(&pack[0], 300.0));
        let log = bus.log.borrow();
        let refusals = log.iter().filter(|line| line.contains("busy")).count();
        assert_eq!(refusals, 1, "{log:?}");
    });
}
