//! `selvedge demo`: the whole line over simulated machines, as it is shipped.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::process::Command;

use crate::process::{Process, run, selvedge, text};

/// The run, and as long again for a busy machine to get ready and to stop.
const DEADLINE: Duration = Duration::from_secs(240);

/// The machines and the faults they develop.
const FAULTS: [(&str, &str); 3] = [
    ("pump-1", "bearing-wear"),
    ("press-1", "blocked-valve"),
    ("oven-1", "sensor-stuck"),
];

fn demo(data: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = selvedge(&["demo", "--json", "--data-directory", text(data.path())]);
    command.args(arguments);
    command
}

/// Every line, which is JSON with the time at which it was seen.
fn events(stdout: &str) -> Vec<(f64, Json)> {
    let event = |line: &str| {
        let event: Json = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["event"].is_string(), "{line}");
        (event["at_s"].as_f64().unwrap(), event)
    };
    stdout.lines().map(event).collect()
}

#[tokio::test]
async fn each_fault_is_detected_answered_and_mended_and_none_is_imagined() {
    let data = tempfile::tempdir().unwrap();
    let ended = Process::start(&mut demo(&data, &["--for", "60s"]))
        .end_within(DEADLINE)
        .await;
    let events = events(&ended.stdout);
    let (_, summary) = events.last().expect("it prints a summary");
    assert_eq!(ended.code, Some(0), "{summary:#}\n{}", ended.stderr);
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["passed"], true, "{summary:#}");
    assert!(summary["lasted_s"].as_f64().unwrap() >= 60.0, "{summary:#}");

    let machines = summary["machines"].as_array().unwrap();
    assert_eq!(machines.len(), FAULTS.len());
    for (device, fault) in FAULTS {
        let machine = machines.iter().find(|machine| machine["device"] == device);
        let machine = machine.unwrap_or_else(|| panic!("no {device} in {summary:#}"));
        assert_eq!(machine["fault"], fault);
        assert_eq!(machine["false_alarms"], 0, "{machine:#}");
        assert_eq!(machine["confirmed"], true, "{machine:#}");
        for time in [
            "injected_s",
            "detected_after_s",
            "answered_after_s",
            "effect_after_s",
        ] {
            assert!(machine[time].as_f64().unwrap() >= 0.0, "{machine:#}");
        }
        check_story(&events, device, machine["injected_s"].as_f64().unwrap());
    }
}

/// The summary is not taken at its word: before the fault of a device there was
/// no alarm and no command; after it an alarm, then a command, then its audit.
fn check_story(events: &[(f64, Json)], device: &str, injected_s: f64) {
    let mut first = BTreeMap::new();
    // That all is well is said of each device when its first window is judged.
    let alarming = |event: &Json| event["event"] != "anomaly" || event["state"] == "raised";
    let events = events.iter().filter(|(_, event)| alarming(event));
    for (at_s, event) in events.filter(|(_, event)| event["device"] == device) {
        let kind = event["event"].as_str().unwrap();
        first.entry(kind).or_insert(*at_s);
    }
    let order = ["anomaly", "command", "audit"].map(|kind| {
        let at_s = first.get(kind);
        *at_s.unwrap_or_else(|| panic!("no {kind} of {device}: {first:?}"))
    });
    assert!(
        order.iter().all(|at_s| *at_s >= injected_s),
        "{device}: {first:?}"
    );
    assert!(order.is_sorted(), "{device}: {first:?}");
    for kind in ["telemetry", "score"] {
        assert!(first[kind] < injected_s, "{device}: {first:?}");
    }
}

#[tokio::test]
async fn an_interrupted_demo_sums_up_and_stops_in_order() {
    let data = tempfile::tempdir().unwrap();
    let mut demo = Process::start(&mut demo(&data, &[]));
    demo.line(r#""event":"score""#).await;
    demo.signal("INT").await;
    let ended = demo.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let events = events(&ended.stdout);
    let (_, summary) = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["passed"], false, "{summary:#}");
    for fault in ["unit aborted", "ERROR"] {
        assert!(!ended.stderr.contains(fault), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_demo_too_short_to_show_every_fault_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let ended = run(&mut demo(&data, &["--for", "39s"])).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""));
    let expected = "a demo of less than 40s cannot show every fault\n";
    assert_eq!(ended.stderr, expected);
}
