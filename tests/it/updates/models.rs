//! Another model under the same plugin: it is served at once, and the one before
//! it again when the deployment is undone.

use selvedge::deployment::plan::Change;
use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::WhenBusy;
use selvedge::inference::Dim;
use tokio::time::timeout;

use crate::deployments::world::{Device, Host, Line};
use crate::process::DEADLINE;

fn line(model: &str, golden: &str) -> Line {
    with(Line::new(1), model, golden)
}

fn with(line: Line, model: &str, golden: &str) -> Line {
    let line = line.plugin("i", "infers", "fits");
    line.and("grants.models = [\"granted\"]\nlimits.call_ms_max = 10000")
        .and(&format!(
            "[models.granted]\npath = \"{model}.onnx\"\n{golden}"
        ))
}

async fn device() -> (Device, Host) {
    let device = Device::with(&["infers", "handles"]);
    let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/assets");
    for name in ["press.onnx", "pump.onnx", "pump.golden.json"] {
        fs_err::copy(assets.join(name), device.folder().join(name)).unwrap();
    }
    let host = device.start().await;
    (device, host)
}

/// What the model takes that is served now.
fn input(host: &Host) -> String {
    let models = host.deployments().models();
    let status = models.status();
    let port = &status[0].inputs[0];
    let Some(Dim::Fixed(count)) = port.shape.last() else {
        panic!("a model of windows of one length: {port:?}")
    };
    format!("{} {count}", port.name)
}

/// What the plugin sees on feeding its model this.
async fn computed(host: &Host, input: &str) -> String {
    let mut seen = host.listen("seen/#");
    host.publish("in/i/x", input);
    let mut batch = Vec::new();
    let answered = timeout(DEADLINE, seen.receive(1, &mut batch));
    answered.await.expect("it answers");
    String::from_utf8(batch[0].payload.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_gets_the_new_model_and_the_old_one_back() {
    let (_device, host) = device().await;
    host.commit(&line("press", "")).await;
    let press = input(&host);
    assert_eq!(computed(&host, &press).await, "computed");

    let next = with(Line::new(2).plugin("bad", "handles", "traps"), "pump", "");
    let id = host.begin(&next.probation(3600)).await;
    let refused = computed(&host, &press).await;
    assert!(
        refused.starts_with("ErrorCode::InvalidArgument"),
        "{refused}"
    );
    host.publish("in/bad/x", "anything");
    let report = host.ended(id).await;
    assert_eq!(report.phase, Phase::RolledBack, "{report:?}");
    assert_eq!(computed(&host, &press).await, "computed");
    assert_eq!(input(&host), press);

    let id = host.commit(&line("pump", "")).await;
    let plan = host.deployments().report(id).unwrap().plan.unwrap();
    assert_eq!(plan.models[0].change, Change::Replaced);
    assert_eq!(plan.plugins[0].change, Change::Reconfigured);
    assert_eq!(computed(&host, &input(&host)).await, "computed");
    assert_ne!(input(&host), press);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_does_not_say_what_it_should_touches_nothing() {
    let (device, host) = device().await;
    let kept = host.commit(&line("press", "")).await;
    let press = input(&host);
    fs_err::write(device.folder().join("torn.onnx"), b"no model").unwrap();
    let golden = "golden = \"pump.golden.json\"";
    for (model, golden) in [("torn", ""), ("press", golden)] {
        let id = host.submit(&line(model, golden), WhenBusy::Queue).await;
        let report = host.ended(id.unwrap()).await;
        assert_eq!(report.phase, Phase::Failed, "{report:?}");
        assert!(
            report.faults[0].code.contains("model") || report.faults[0].code.contains("golden"),
            "{report:?}"
        );
        assert_eq!(host.active(), Some(kept));
        assert_eq!(computed(&host, &press).await, "computed");
    }
    host.commit(&line("pump", golden)).await;
    host.stop().await;
}
