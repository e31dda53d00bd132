//! `selvedge demo`: the whole line over simulated machines, as it is shipped.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::process::Command;

use crate::discovery::site::Site;
use crate::process::{Process, run, selvedge, text};

/// The run, and as long again for a busy machine to get ready and to stop.
const DEADLINE: Duration = Duration::from_secs(240);

/// The machines and the faults they develop.
const FAULTS: [(&str, &str); 4] = [
    ("pump-1", "bearing-wear"),
    ("press-1", "blocked-valve"),
    ("oven-1", "sensor-stuck"),
    ("pump-2", "bearing-wear"),
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
    passes(&data, &["--for", "60s"], 60.0).await;
}

#[tokio::test]
async fn anomalies_go_to_a_real_account_instead_if_there_is_one() {
    let site = Site::start("").await;
    let topics = ["--publish", "selvedge/demo/#", "--subscribe", "none/at/all"];
    let folder = site.add("selvedge-demo", &topics).await;
    let file = |ending: &str| folder.join(format!("selvedge-demo.{ending}"));
    let (certificate, key) = (file("crt"), file("key"));
    let (ca, endpoint) = (site.path("data/ca/ca.crt"), site.broker.to_string());
    let data = tempfile::tempdir().unwrap();
    let arguments = [
        ["--for", "40s"],
        ["--uplink", "aws"],
        ["--endpoint", &endpoint],
        ["--cert", text(&certificate)],
        ["--key", text(&key)],
        ["--ca", text(&ca)],
    ];
    let mut tap = selvedge(&["tap", "selvedge/demo/#", "--host"]);
    let mut tap = Process::start(tap.arg(site.path("api.sock")));
    tap.line("listening").await;
    passes(&data, &arguments.concat(), 40.0).await;
    tap.signal("INT").await;
    let seen = tap.end().await.stdout;
    for (device, fault) in FAULTS {
        let topic = format!("selvedge/demo/anomaly/plant/{device}");
        let raised = |line: &str| {
            [&topic, fault, "raised"]
                .iter()
                .all(|part| line.contains(part))
        };
        assert!(seen.lines().any(raised), "no {device} in {seen}");
    }
}

/// Runs the demo, in which all must go well.
async fn passes(data: &tempfile::TempDir, arguments: &[&str], seconds: f64) {
    let ended = Process::start(&mut demo(data, arguments))
        .end_within(DEADLINE)
        .await;
    let events = events(&ended.stdout);
    let (_, summary) = events.last().expect("it prints a summary");
    assert_eq!(ended.code, Some(0), "{summary:#}\n{}", ended.stderr);
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["passed"], true, "{summary:#}");
    assert!(
        summary["lasted_s"].as_f64().unwrap() >= seconds,
        "{summary:#}"
    );

    let machines = summary["machines"].as_array().unwrap();
    assert_eq!(machines.len(), FAULTS.len());
    for (device, fault) in FAULTS {
        let machine = machines.iter().find(|machine| machine["device"] == device);
        let machine = machine.unwrap_or_else(|| panic!("no {device} in {summary:#}"));
        assert_eq!(machine["fault"], fault);
        assert_eq!(machine["false_alarms"], 0, "{machine:#}");
        assert_eq!(machine["confirmed"], true, "{machine:#}");
        assert_eq!(machine["not_in_cloud"], 0, "{machine:#}");
        for time in [
            "injected_s",
            "detected_after_s",
            "answered_after_s",
            "effect_after_s",
            "cloud_after_s",
        ] {
            assert!(machine[time].as_f64().unwrap() >= 0.0, "{machine:#}");
        }
        check_story(&events, device, machine["injected_s"].as_f64().unwrap());
    }
}

/// The summary is not taken at its word: before the fault of a device there was
/// no alarm and no command; after it an alarm, then a command, then its audit, and
/// the alarm in the cloud.
fn check_story(events: &[(f64, Json)], device: &str, injected_s: f64) {
    let mut first = BTreeMap::new();
    // That all is well is said of each device when its first window is judged.
    let alarming = |event: &Json| {
        event["state"]
            .as_str()
            .is_none_or(|state| state == "raised")
    };
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
    assert!(first["cloud"] >= order[0], "{device}: {first:?}");
    for kind in ["telemetry", "score"] {
        assert!(first[kind] < injected_s, "{device}: {first:?}");
    }
}

#[tokio::test]
async fn an_interrupted_demo_sums_up_and_stops_in_order() {
    let data = tempfile::tempdir().unwrap();
    // One that was killed leaves nothing that the next would mind.
    let mut killed = Process::start(&mut demo(&data, &[]));
    killed.line(r#""event":"cloud""#).await;
    let other = run(&mut demo(&data, &[])).await;
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(
        other.stderr.contains("another demo runs in"),
        "{}",
        other.stderr
    );
    killed.signal("KILL").await;
    killed.end().await;

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

#[tokio::test]
async fn an_account_that_is_told_of_by_halves_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let check = async |arguments: &[&str], code: i32, what: &str| {
        let ended = run(&mut demo(&data, arguments)).await;
        let printed = (ended.code, ended.stdout.as_str());
        assert_eq!(printed, (Some(code), ""), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(what),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(
            ended.stderr.contains("  help: "),
            code == 64,
            "{}",
            ended.stderr
        );
    };
    check(&["--uplink", "aws"], 64, "needs --endpoint, --cert, --key").await;
    let half = ["--uplink", "aws", "--endpoint", "h", "--key", "k"];
    check(&half, 64, "needs --cert").await;
    for (name, value) in [
        ("--endpoint", "h"),
        ("--cert", "c"),
        ("--key", "k"),
        ("--ca", "a"),
    ] {
        let what = format!("`{name}` needs `--uplink aws`");
        check(&[name, value], 64, &what).await;
    }
    let whole = [
        "--uplink",
        "aws",
        "--endpoint",
        "h",
        "--cert",
        "/no/cert",
        "--key",
        "k",
    ];
    check(&whole, 1, "/no/cert").await;
}
