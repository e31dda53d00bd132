//! The shipped plugins, changed while the demo's line runs on healthy machines:
//! what they know goes on, so no window is missing and no alarm is imagined.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use selvedge::app::{App, Mode};
use selvedge::bus::Inbox;
use selvedge::config::HostConfig;
use selvedge::demo::{ASSETS, Machines, Options};
use selvedge::deployment::report::Phase;
use selvedge::supervisor::{RestartPolicy, Unit, WhenLost};
use tokio::time::{Instant, timeout};

use crate::deployments::world::Host;
use crate::process::DEADLINE;

const MACHINES: usize = 3;
/// A score comes twice in a second; a window that begins anew takes three.
const GAP_MAX: Duration = Duration::from_millis(2_800);

/// Scores of each machine: how many came, and how long one was waited for.
#[derive(Default)]
struct Scores(BTreeMap<String, (usize, Option<Instant>, Duration)>);

impl Scores {
    /// Waits until each machine was judged so often.
    async fn until(&mut self, inbox: &mut Inbox, count: usize) {
        let enough = async {
            while self.0.len() < MACHINES || self.0.values().any(|(seen, ..)| *seen < count) {
                let mut batch = Vec::new();
                inbox.receive(64, &mut batch).await;
                batch
                    .iter()
                    .for_each(|message| self.take(message.topic.as_str()));
            }
        };
        timeout(DEADLINE, enough).await.expect("scores come");
    }

    fn take(&mut self, topic: &str) {
        let (seen, last, gap) = self.0.entry(topic.to_owned()).or_default();
        *seen += 1;
        if let Some(last) = last.replace(Instant::now()) {
            *gap = (*gap).max(last.elapsed());
        }
    }
}

/// The line of the demo, on machines that stay whole.
async fn line(folder: &std::path::Path) -> (Host, String) {
    let options = Options {
        duration: None,
        json: false,
        terminal: false,
        seed: 3,
    };
    let machines = Machines::start(&options).await.unwrap();
    for (name, bytes) in ASSETS {
        fs_err::write(folder.join(name), bytes).unwrap();
    }
    let text = machines.deployment_text();
    let config = HostConfig {
        data_directory: folder.join("data"),
        ..HostConfig::default()
    };
    let app = App::build(&config, Mode::Production).unwrap();
    for (device, server) in machines.into_servers() {
        let server = Mutex::new(Some(server));
        let policy = RestartPolicy {
            delay_min: Duration::ZERO,
            delay_max: Duration::ZERO,
            failures_max: 0,
            window: Duration::from_secs(1),
            when_lost: WhenLost::KeepHost,
        };
        let name = format!("machine/{}", device.name());
        app.supervisor()
            .start(Unit::new(name, policy, move |context| {
                let server = server.lock().take();
                async move {
                    context.ready();
                    server
                        .ok_or("a machine runs once")?
                        .serve(context.stop)
                        .await;
                    Ok(())
                }
            }));
    }
    let host = Host::of(app, folder);
    host.resume().await;
    (host, text + "\n[probation]\nseconds = 1\n")
}

async fn commit(host: &Host, text: String) -> selvedge::deployment::report::DeploymentReport {
    let id = host.deployments().submit(host.submission_of(text)).await;
    let report = host.ended(id.unwrap()).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_of_the_whole_line_raises_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let (host, text) = line(folder.path()).await;
    let mut scores = host.listen("score/plant/+");
    let alarms = host.listen("anomaly/plant/+");
    let commands = host.listen("command/#");
    commit(&host, text.clone()).await;
    let mut judged = Scores::default();
    judged.until(&mut scores, 3).await;

    let changed = text
        .replace("wait_ms = 300", "wait_ms = 350")
        .replace("raise_after = 3", "raise_after = 4")
        .replace("cool_down_ms = 30000", "cool_down_ms = 31000");
    let report = {
        let update = commit(&host, changed);
        let watch = judged.until(&mut scores, 9);
        let (report, ()) = tokio::join!(update, watch);
        report
    };
    let swapped: Vec<_> = report
        .swaps
        .iter()
        .map(|swap| swap.plugin.as_str())
        .collect();
    let kinds = ["window", "detector", "responder"];
    let of = |kind: &str| swapped.iter().filter(|name| name.starts_with(kind)).count();
    assert_eq!(kinds.map(of), [3, 3, 1], "{swapped:?}");
    for swap in &report.swaps {
        assert!(swap.state_bytes > Some(0), "{swap:?}");
    }
    for (topic, (_, _, gap)) in &judged.0 {
        assert!(*gap < GAP_MAX, "{topic} paused for {gap:?}");
    }
    let mut said = Vec::new();
    while alarms.try_receive(64, &mut said) > 0 {}
    for alarm in said {
        let alarm: serde_json::Value = serde_json::from_slice(&alarm.payload).unwrap();
        assert_ne!(alarm["state"], "raised", "{alarm}");
    }
    assert_eq!(commands.try_receive(1, &mut Vec::new()), 0);
    host.assert_whole().await;
    host.stop().await;
}
