//! The window and the detector on a machine that really failed: four labelled
//! windows of the Numenta Anomaly Benchmark, seen through a whole host.
//!
//! Time is that of the readings, so weeks pass in seconds. The model was trained
//! by plugins/detector/train on the readings that the benchmark gives for it,
//! without labels; the threshold is learned by the plugin, without labels too.

mod likelihood;
mod scores;
mod series;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use selvedge::bus::{Inbox, Message};
use serde_json::{Value, json};
use tokio::time::timeout;
use wasm_build::Workspace;

use crate::deployments::world::{Device, Host};
use crate::process::DEADLINE;
use scores::{Alarm, Report, Said};
use series::Series;
use table::Table;

/// Readings in one message.
const READINGS: usize = 16;

/// Where a line, its model and its golden vectors are: `machine`, chosen with the
/// labels in sight, or `defaults`, fixed beforehand.
fn trained(name: &str) -> PathBuf {
    let train = Workspace::here().root().join("plugins/detector/train");
    train.join(name)
}

/// A host on which the line runs, with the files of `folder`.
async fn line(folder: &Path) -> (Device, Host) {
    let device = Device::with(&[]);
    for file in fs_err::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs_err::copy(file.path(), device.folder().join(file.file_name())).unwrap();
    }
    let text = fs_err::read_to_string(device.folder().join("line.toml")).unwrap();
    let host = device.start().await;
    let id = host.deployments().submit(host.submission_of(text)).await;
    let report = host.ended(id.unwrap()).await;
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    (device, host)
}

/// What plugins have published since it was looked at last.
fn drained(inbox: &mut Inbox) -> Vec<Value> {
    let mut messages: Vec<Arc<Message>> = Vec::new();
    inbox.try_receive(usize::MAX, &mut messages);
    messages
        .iter()
        .map(|message| serde_json::from_slice(&message.payload).unwrap())
        .collect()
}

/// Publishes all readings, and takes in what is said of them until the last
/// window is judged. The features of the first `features_max` windows come with it.
async fn judged(host: &Host, series: &Series, features_max: usize) -> (Said, Vec<Value>) {
    let mut features_inbox = host.listen("feature/plant/machine");
    let mut scores_inbox = host.listen("score/plant/machine");
    let mut anomalies_inbox = host.listen("anomaly/plant/machine");
    let (mut said, mut features) = (Said::default(), Vec::new());
    let mut take = |said: &mut Said, scores: &mut Inbox| {
        features.extend(drained(&mut features_inbox));
        features.truncate(features_max);
        said.scored(&drained(scores));
        said.alarmed(&drained(&mut anomalies_inbox));
    };
    for readings in series.readings.chunks(READINGS) {
        let pack: Vec<Value> = readings
            .iter()
            .map(|reading| json!({"n": "temperature", "u": "Cel", "t": reading.0, "v": reading.1}))
            .collect();
        host.publish_waiting("telemetry/plant/machine", &json!(pack).to_string())
            .await;
        take(&mut said, &mut scores_inbox);
    }
    let last = series.readings.last().unwrap().0;
    while said.until() < last {
        let mut messages = Vec::new();
        let heard = timeout(DEADLINE, scores_inbox.receive(1, &mut messages)).await;
        heard.unwrap_or_else(|_| panic!("no score after {}, until {last}", said.until()));
        said.scored(&[serde_json::from_slice(&messages[0].payload).unwrap()]);
        take(&mut said, &mut scores_inbox);
    }
    (said, features)
}

/// Shown whether the test passes or not, unlike what `print!` writes.
fn show(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}

/// The windows that the model was tried on when it was trained are windows that
/// the plugin makes: training and gateway compute the same.
fn assert_same_as_in_training(line: &str, features: &[Value]) {
    for name in ["usual", "unusual"] {
        let path = trained(line).join(format!("{name}.golden.json"));
        let golden: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        let row = golden["inputs"][0]["values"].as_array().unwrap();
        let near = |(a, b): (&Value, &Value)| {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-5 * a.abs().max(1e-3)
        };
        let found = features.iter().any(|window| {
            let values = window["values"].as_array().unwrap();
            values.len() == row.len() && values.iter().zip(row).all(near)
        });
        assert!(found, "no window is that of {name}.golden.json: {row:?}");
    }
}

/// What a line makes of the series.
async fn report(name: &str, series: &Series) -> Report {
    let (_device, host) = line(&trained(name)).await;
    let (said, features) = judged(&host, series, series.probation).await;
    assert_same_as_in_training(name, &features);
    host.stop().await;
    Report::new(series, &said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_failed_is_noticed_each_time_and_falsely_less_than_once_a_week() {
    let series = match Series::read() {
        Ok(series) => series,
        Err(reason) => return show(&format!("skipped: {reason}\n")),
    };
    let (tuned, defaults) = tokio::join!(report("machine", &series), report("defaults", &series));
    let columns = [
        ("tuned, labels in sight", &tuned),
        ("fixed beforehand", &defaults),
    ];
    show(&Table(&columns).to_string());

    assert_eq!(tuned.missed, 0, "failures missed");
    assert!(tuned.nab > 90.0, "NAB score {}", tuned.nab);
    assert!(tuned.false_a_week < 1.0, "{} a week", tuned.false_a_week);
    assert!(tuned.by_windows.f1 > 0.6, "{:?}", tuned.by_windows);
    assert!(tuned.by_points.f1 > 0.6, "{:?}", tuned.by_points);
    // What nobody tuned is better than silence, and no more is claimed.
    assert!(defaults.nab > 0.0, "NAB score {}", defaults.nab);
    assert!(defaults.missed <= 2, "{} failures missed", defaults.missed);
}

/// The scoring itself, on alarms of which the answer is known.
#[test]
fn the_perfect_detector_scores_100_and_the_silent_one_0() {
    let series = Series::made(1_000, &[(400, 499), (700, 799)], 150);
    let score = |rows: &[usize]| scores::nab(&series, rows);
    assert!((score(&[400, 700]) - 100.0).abs() < 1e-6);
    assert!(score(&[]).abs() < 1e-9);
    // At the right edge a window is worth half of what it is at the left one.
    assert!((25.0..27.0).contains(&score(&[499])), "{}", score(&[499]));
    // Before any window a false alarm costs 0.11 of a window, that is 2.75 of 100.
    let wrong = score(&[200, 400, 700]);
    assert!(
        (wrong - (100.0 - 100.0 * 0.11 / 4.0)).abs() < 1e-6,
        "{wrong}"
    );
    // Just after one it costs next to nothing; in the probation nothing at all.
    assert!((score(&[400, 500, 700]) - 100.0).abs() < 0.1);
    assert!((score(&[100, 400, 700]) - 100.0).abs() < 1e-6);
    // The best threshold finds both windows, and not what lies between.
    let values = vec![(200, 1.0), (400, 3.0), (450, 1.0), (700, 2.0)];
    assert!((scores::best(&series, values) - 100.0).abs() < 1e-6);
    let alarm = |from, to| Alarm { from, to };
    let said = Said::of(&[alarm(400.0, 500.0), alarm(600.0, 601.0)]);
    let report = Report::new(&series, &said);
    assert_eq!((report.missed, report.false_alarms), (1, 1));
    assert!((report.by_points.recall - 0.5).abs() < 1e-9);
}
