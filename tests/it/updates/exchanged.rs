//! Another version of a model behind the plugins that use it: they go on, no run
//! fails, and a version that fails is taken back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use selvedge::deployment::plan::{Change, ModelSwap};
use selvedge::deployment::report::{DeploymentReport, Phase};
use tokio::time::timeout;

use super::onnx_writer::{FLOAT, Onnx};
use crate::deployments::world::{Device, Host, Line};
use crate::process::DEADLINE;

/// Numbers on their way at once.
const WINDOW: usize = 32;

/// `y = x + what` of one number, `inputs` wide.
pub(super) fn adds(what: f32, inputs: &str) -> bytes::Bytes {
    Onnx::new()
        .input("x", FLOAT, &["1", inputs])
        .weights("c", &[1, 1], &[what])
        .node("Add", &["x", "c"], &["y"])
        .output("y", FLOAT, &["1", inputs])
        .build()
}

/// The same, but fails of numbers beyond 100: it looks up what is not there.
fn fails(what: f32) -> bytes::Bytes {
    Onnx::new()
        .input("x", FLOAT, &["1", "1"])
        .weights("a", &[2, 1], &[0.0, 1.0])
        .weights("b", &[2, 1], &[100.0, 0.0])
        .weights("table", &[1], &[what])
        .node("Mul", &["x", "a"], &["scaled"])
        .node("Add", &["scaled", "b"], &["both"])
        .node("ArgMax", &["both"], &["index"])
        .node("Gather", &["table", "index"], &["found"])
        .node("Add", &["x", "found"], &["y"])
        .output("y", FLOAT, &["1", "1"])
        .build()
}

pub(super) async fn device() -> (Device, Host) {
    let device = Device::with(&["infers", "handles"]);
    let models = [
        ("a", adds(1000.0, "1")),
        ("b", adds(2000.0, "1")),
        ("wide", adds(1000.0, "2")),
        ("fails", fails(3000.0)),
    ];
    for (name, model) in models {
        let path = device.folder().join(name).with_extension("onnx");
        fs_err::write(path, model).unwrap();
    }
    let host = device.start().await;
    (device, host)
}

pub(super) fn line(version: usize, model: &str) -> Line {
    Line::new(version)
        .plugin("i", "infers", "numbers")
        .and("grants.models = [\"granted\"]\nlimits.call_ms_max = 10000")
        .and(&format!("[models.granted]\npath = \"{model}.onnx\""))
}

/// Asks for the numbers from `first` on, a few at a time, while `more` says so;
/// what was answered to each.
pub(super) async fn ask(
    host: &Host,
    first: u32,
    more: impl Fn(u32) -> bool,
) -> BTreeMap<u32, String> {
    let mut seen = host.listen("seen/#");
    let (mut answers, mut next) = (BTreeMap::new(), first);
    loop {
        while more(next) && (next - first) as usize - answers.len() < WINDOW {
            host.publish_waiting("in/i/n", &next.to_string()).await;
            next += 1;
        }
        if answers.len() == (next - first) as usize {
            return answers;
        }
        let mut batch = Vec::new();
        let answered = timeout(DEADLINE, seen.receive(WINDOW, &mut batch)).await;
        answered.expect("every number is answered");
        for message in batch {
            let number = message.topic.as_str().trim_start_matches("seen/");
            let answer = String::from_utf8(message.payload.to_vec()).unwrap();
            let before = answers.insert(number.parse().unwrap(), answer);
            assert_eq!(before, None, "{number} was answered twice");
        }
    }
}

pub(super) async fn answer(host: &Host, number: u32) -> String {
    let answers = ask(host, number, |next| next == number).await;
    answers.into_values().next().unwrap()
}

pub(super) fn swap(report: &DeploymentReport) -> Option<ModelSwap> {
    report.plan.as_ref().unwrap().models[0].swap
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_exchanges_under_load_fail_no_request_and_touch_no_plugin() {
    let (_device, host) = device().await;
    let first = host.commit(&line(1, "a")).await;
    let swapping = AtomicBool::new(true);
    let exchanges = async {
        for version in 2..=21 {
            let model = if version % 2 == 0 { "b" } else { "a" };
            let report = host.deploy(&line(version, model)).await;
            assert_eq!(report.phase, Phase::Committed, "{report:?}");
            assert_eq!(swap(&report), Some(ModelSwap::InPlace));
            let plan = report.plan.unwrap();
            assert_eq!(plan.plugins[0].change, Change::Untouched);
            assert!(report.swaps.is_empty());
        }
        let report = host.deploy(&line(22, "b")).await;
        assert_eq!(report.phase, Phase::Committed, "{report:?}");
        swapping.store(false, Ordering::Relaxed);
    };
    let asking = ask(&host, 1, |_| swapping.load(Ordering::Relaxed));
    let (answers, ()) = tokio::join!(asking, exchanges);
    let count = |answer: &str| answers.values().filter(|it| *it == answer).count();
    let (old, new) = (count("1000"), count("2000"));
    let other: Vec<_> = answers
        .iter()
        .filter(|(_, it)| !["1000", "2000"].contains(&it.as_str()))
        .collect();
    assert_eq!(other, Vec::new(), "of {}", answers.len());
    assert!(old > 0 && new > 0, "{old} of the one, {new} of the other");

    let last = u32::try_from(answers.len()).unwrap();
    let after = ask(&host, last + 1, |next| next <= last + 100).await;
    assert!(after.values().all(|answer| answer == "2000"), "{after:?}");
    let plugin = host.plugin("i");
    assert_eq!(plugin.deployment, first);
    let status = host.deployments().models().status();
    assert_eq!(
        (status[0].swaps_total, status[0].runs.failures_total),
        (21, 0)
    );
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_in_its_probation_is_taken_back() {
    let (_device, host) = device().await;
    let kept = host.commit(&line(1, "a")).await;
    assert_eq!(answer(&host, 500).await, "1000");

    let next = line(2, "fails").probation(3600).model_failures_max(3);
    let id = host.begin(&next).await;
    assert_eq!(answer(&host, 1).await, "3000");
    let failed = ask(&host, 501, |next| next <= 504).await;
    for answer in failed.values() {
        assert!(answer.starts_with("ErrorCode::RuntimeError"), "{answer}");
    }
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    let fault = &report.faults[0];
    assert_eq!(fault.code, "model-failed");
    assert!(
        fault
            .message
            .starts_with("4 of 5 runs of model `granted` failed; 3 are tolerated"),
        "{fault:?}"
    );
    assert!(
        fault.place.as_ref().unwrap().contains("line.toml"),
        "{fault:?}"
    );
    assert_eq!(host.active(), Some(kept));
    assert_eq!(answer(&host, 600).await, "1000");
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_goes_with_the_plugin_whose_model_changed_behind_it() {
    let (_device, host) = device().await;
    let kept = host.commit(&line(1, "a")).await;
    // What fails is another plugin: the model is put back with it.
    let next = line(2, "b").plugin("bad", "handles", "traps");
    let id = host.begin(&next.probation(3600)).await;
    assert_eq!(answer(&host, 1).await, "2000");
    host.publish("in/bad/x", "anything");
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    assert_eq!(
        (host.active(), answer(&host, 2).await.as_str()),
        (Some(kept), "1000")
    );

    // What fails is the plugin that was not touched.
    let id = host.begin(&line(3, "b").probation(3600)).await;
    assert_eq!(answer(&host, 3).await, "2000");
    host.publish("in/i/x", "trap");
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    assert_eq!(report.faults[0].plugin.as_ref().unwrap().as_str(), "i");
    host.until("at work", |host| host.plugin("i").state == "running")
        .await;
    assert_eq!(answer(&host, 4).await, "1000");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_takes_otherwise_comes_with_its_plugins() {
    let (_device, host) = device().await;
    let first = host.commit(&line(1, "a")).await;
    let plan = host
        .deployments()
        .plan(host.submission(&line(2, "wide")))
        .await
        .unwrap();
    assert_eq!(plan.models[0].swap, Some(ModelSwap::Undecided));

    let report = host.deploy(&line(2, "wide")).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
    assert_eq!(swap(&report), Some(ModelSwap::WithPlugins));
    assert_eq!(report.plan.unwrap().plugins[0].change, Change::Reconfigured);
    assert!(host.plugin("i").deployment > first);
    let refused = answer(&host, 1).await;
    assert!(
        refused.starts_with("ErrorCode::InvalidArgument"),
        "{refused}"
    );
    host.stop().await;
}
