//! Models as artifacts: published, signed, verified, served to a plugin, refused
//! and revoked, through the binary and a host that trusts what its site does.

mod again;
mod beside;
mod refused;
mod seen;
mod served;

use std::path::Path;

use selvedge::app::{App, Mode};
use selvedge::bus::Inbox;
use selvedge::config::HostConfig;
use selvedge::deployment::document::source::Source;
use selvedge::deployment::report::{DeploymentReport, FaultReport, Phase};
use tokio::time::timeout;

use super::carried::Registry;
use super::world::World;
use crate::deployments::world::Host;
use crate::guests::guest;
use crate::process::DEADLINE;

/// A site whose `vendor` releases plugins and whose `lab` releases models, and a
/// registry that both publish to.
struct Lab {
    world: World,
    registry: Registry,
    vendor: String,
    lab: String,
}

impl Lab {
    async fn new() -> Self {
        let world = World::new().await;
        world.write("push", "operator:secret\n");
        let registry = Registry::start(&world, &["--push-credentials-file", "push"]).await;
        world.login(&registry.address, "operator:secret");
        let vendor = world.key_publisher("vendor", "vendor/*").await;
        let lab = world.key_publisher("lab", "unused/*").await;
        let grant = "policy add grant models/* --by lab --kind model --site site";
        world.done(grant).await;
        world.write("infers.wasm", guest("infers"));
        Self {
            world,
            registry,
            vendor,
            lab,
        }
    }

    fn at(&self, package: &str) -> String {
        format!("{}/{package}", self.registry.address)
    }

    /// A folder with one of the demo's models, called `name`.
    fn model(&self, name: &str, asset: &str, version: &str) {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/assets");
        fs_err::create_dir_all(self.world.path(name)).unwrap();
        for file in [format!("{asset}.onnx"), format!("{asset}.golden.json")] {
            let to = self.world.path(name).join(&file);
            fs_err::copy(assets.join(&file), to).unwrap();
        }
        let text = format!(
            "name = \"{name}\"\nversion = \"{version}\"\nlicenses = \"Apache-2.0\"\n\
             description = \"how the {asset} is\"\nbackend = \"tract\"\n\
             golden = [\"{asset}.golden.json\"]\n[model]\nfile = \"{asset}.onnx\"\n"
        );
        self.world.write(&format!("{name}/model.toml"), text);
    }

    /// Publishes the model called `name`; its reference with the digest.
    async fn publish(&self, name: &str, signing: &str) -> String {
        let to = self.at(&format!("models/{name}"));
        self.world
            .done(&format!("model publish {name} {to} {signing}"))
            .await
    }

    /// The plugin that runs what it is granted; its reference with the digest.
    async fn plugin(&self) -> String {
        let to = self.at("vendor/infers");
        let signing = &self.vendor;
        let publish = format!("publish infers.wasm {to} --version 1.0.0 {signing}");
        self.world.done(&publish).await
    }

    /// A host on the device, which brings what it lacks from the registry.
    async fn host(&self) -> Host {
        self.host_as(Mode::Production).await
    }

    async fn host_as(&self, mode: Mode) -> Host {
        let path = self.world.path("host.toml");
        let source = Source::new(&path, self.world.read("host.toml")).unwrap();
        let config = HostConfig::check(&source.into()).unwrap().value;
        let app = App::build(&config, mode).unwrap();
        let host = Host::of(app, self.world.folder());
        host.resume().await;
        host
    }
}

/// A deployment of the plugin and a model, `model` saying where it comes from.
fn line(version: usize, plugin: &str, model: &str) -> String {
    format!(
        "name = \"line\"\nversion = \"{version}.0.0\"\n[plugins.i]\ncomponent = \"{plugin}\"\n\
         config.mode = \"fits\"\ngrants.subscribe = [\"in/i/#\"]\ngrants.publish = [\"seen/#\"]\n\
         grants.models = [\"granted\"]\nlimits.call_ms_max = 10000\n\
         [models.granted]\n{model}\n[probation]\nseconds = 0\n"
    )
}

fn artifact(reference: &str) -> String {
    format!("artifact = \"{reference}\"")
}

/// Deploys, and waits for the end.
async fn deploy(host: &Host, text: String) -> DeploymentReport {
    let deployments = host.deployments();
    let id = deployments.submit(host.submission_of(text)).await.unwrap();
    host.ended(id).await
}

/// The same, which is kept.
async fn commit(host: &Host, text: String) -> DeploymentReport {
    let report = deploy(host, text).await;
    assert_eq!(report.phase, Phase::Committed, "{report:?}");
    report
}

/// The one fault of a deployment that is refused.
async fn fault(host: &Host, text: String) -> FaultReport {
    let report = deploy(host, text).await;
    assert_eq!(report.phase, Phase::Failed, "{report:?}");
    let [fault] = report.faults.as_slice() else {
        panic!("one fault: {report:?}")
    };
    fault.clone()
}

/// What the plugin tells of a run of its model.
async fn computed(host: &Host) -> String {
    let status = host.deployments().model_reports().remove(0).status;
    let port = &status.inputs[0];
    let Some(selvedge::inference::Dim::Fixed(count)) = port.shape.last() else {
        panic!("a model of windows of one length: {port:?}")
    };
    let mut seen: Inbox = host.listen("seen/#");
    host.publish("in/i/x", &format!("{} {count}", port.name));
    let mut batch = Vec::new();
    let answered = timeout(DEADLINE, seen.receive(1, &mut batch));
    answered.await.expect("it answers");
    String::from_utf8(batch[0].payload.to_vec()).unwrap()
}
