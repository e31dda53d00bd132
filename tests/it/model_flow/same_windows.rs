//! Training computes the windows of an archive, the plugin those of readings: each
//! feature that training knows, however a series is resampled and scaled, must be
//! the same number.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use selvedge::bus::Message;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use wasm_build::Workspace;

use crate::deployments::world::Device;
use crate::peers;
use crate::process::{DEADLINE, run, text};

/// What training can compute; it says so itself.
const FEATURES: &str = r#"["mean", "std", "min", "max", "range", "last", "slope"]"#;
const SERIES: [(&str, &str); 6] = [
    ("plain", ""),
    (
        "standard",
        "normalise = { standard = { mean = 61.0, std = 3.0 } }",
    ),
    (
        "range",
        "normalise = { range = { min = 50.0, max = 90.0 } }",
    ),
    (
        "running",
        "normalise = { running = { seconds = 20_000.0 } }",
    ),
    ("held", "resample = \"hold\""),
    (
        "held_running",
        "resample = \"hold\"\nnormalise = { running = { seconds = 3_000.0 } }",
    ),
];

/// Prints what training makes of an archive, and what it reads of windows.
const READ: &str = "\
import json, pathlib, sys, tomllib
import data, features
document = tomllib.loads(pathlib.Path('line.toml').read_text())
how = data.Reading(document['plugins']['window']['config'], 'input', None, {})
tables = {'features': features.FEATURES}
for path in sys.argv[1:]:
    tables[path] = data.read([pathlib.Path(path)], how)[1].tolist()
print(json.dumps(tables))";

/// What [`READ`] prints of these files in `folder`.
pub(super) async fn read(python: &Path, folder: &Path, files: &[&str]) -> Value {
    let mut command = Command::new(python);
    let train = Workspace::here().root().join("plugins/detector/train");
    command.args(["-B", "-c", READ]).args(files);
    command.env("PYTHONPATH", train).current_dir(folder);
    let ended = run(&mut command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The rows of two tables are the same but for rounding, of which `part` is.
pub(super) fn assert_same(a: &[Value], b: &[Value], part: f64) {
    assert_eq!(a.len(), b.len());
    for (row, (a, b)) in a.iter().zip(b).enumerate() {
        let [a, b] = [a, b].map(|row| row.as_array().unwrap());
        assert_eq!(a.len(), b.len());
        for (place, (a, b)) in a.iter().zip(b).enumerate() {
            let [a, b] = [a, b].map(|value| value.as_f64().unwrap());
            let near = (a - b).abs() <= part * a.abs().max(1.0);
            assert!(near, "window {row}, feature {place}: {a} and {b}");
        }
    }
}

/// Windows do not wait: what ends a gap reaches all of the series before it ends the
/// windows in it.
fn line() -> String {
    let mut line = "name = \"line\"\nversion = \"1.0.0\"\n\
        [plugins.window]\ncomponent = \"shipped:window\"\n\
        grants.subscribe = [\"telemetry/plant/machine\"]\n\
        grants.publish = [\"feature/plant/machine\"]\n\
        [plugins.window.config]\nstep_ms = 300_000\nlength = 16\nhop = 3\n\
        max_gap_ms = 1_800_000\n"
        .to_owned();
    for (name, how) in SERIES {
        line += &format!(
            "[[plugins.window.config.series]]\nrecord = \"temperature\"\nname = \"{name}\"\n\
             {how}\nfeatures = {FEATURES}\n"
        );
    }
    line
}

/// Times and values: off the grid now and then, with gaps that are bridged and one
/// that is not, and the same value for longer than a window.
fn readings() -> Vec<(f64, f64)> {
    let mut readings = Vec::new();
    for place in 0..400_u32 {
        let bridged = place % 41 > 37;
        if bridged || (150..180).contains(&place) {
            continue;
        }
        let off = if place % 7 == 0 { 40.5 } else { 0.0 };
        let time = 1_700_000_100.0 + f64::from(place) * 300.0 + off;
        let noise = (f64::from(place) * 12.9898).sin() * 43_758.545;
        let value = if (300..330).contains(&place) {
            70.0
        } else {
            60.0 + 10.0 * (noise - noise.floor())
        };
        readings.push((time, value));
    }
    readings
}

fn archive(folder: &Path, readings: &[(f64, f64)]) -> PathBuf {
    let mut text = "timestamp,temperature\n".to_owned();
    for (time, value) in readings {
        text += &format!("{time},{value}\n");
    }
    let path = folder.join("archive.csv");
    fs_err::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn training_and_plugin_compute_the_same_features_of_the_same_readings() {
    let Some(peers) = peers::installed(&["python/bin/python"]) else {
        return;
    };
    let python = peers.join("python/bin/python");
    let device = Device::with(&[]);
    let folder = device.folder();
    fs_err::write(folder.join("line.toml"), line()).unwrap();
    let readings = readings();
    archive(folder, &readings);
    let trained = read(&python, folder, &["archive.csv"]).await;
    let known: Value = serde_json::from_str(FEATURES).unwrap();
    assert_eq!(trained["features"], known, "each is compared here");
    let expected = trained["archive.csv"].as_array().unwrap();
    assert!(expected.len() > 80, "{} windows", expected.len());

    let host = device.start().await;
    let id = host.deployments().submit(host.submission_of(line())).await;
    let report = host.ended(id.unwrap()).await;
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    let mut windows = host.listen("feature/plant/machine");
    for readings in readings.chunks(16) {
        let pack: Vec<_> = readings
            .iter()
            .map(|(time, value)| json!({"n": "temperature", "t": time, "v": value}))
            .collect();
        host.publish_waiting("telemetry/plant/machine", &json!(pack).to_string())
            .await;
    }
    let mut messages: Vec<Arc<Message>> = Vec::new();
    while messages.len() < expected.len() {
        let heard = timeout(DEADLINE, windows.receive(16, &mut messages)).await;
        let so_far = messages.len();
        heard.unwrap_or_else(|_| panic!("{so_far} windows instead of {}", expected.len()));
    }
    let lines = messages.iter().map(|message| {
        let line = String::from_utf8(message.payload.to_vec()).unwrap();
        line.replace('\n', " ") + "\n"
    });
    let path = folder.join("windows.jsonl");
    fs_err::write(&path, lines.collect::<String>()).unwrap();
    let heard = read(&python, folder, &[text(path.file_name().unwrap().as_ref())]).await;
    assert_same(expected, heard["windows.jsonl"].as_array().unwrap(), 1e-9);
    host.stop().await;
}
