//! From readings to a model that runs, in one command: trained by the script that
//! comes with the detector, published to a registry, taken in by a host because its
//! site trusts the publisher, and asked by the detector. And again from where it was
//! after it was killed.

use serde_json::{Value, json};
use wasm_build::Workspace;

use crate::peers;
use crate::process::{Ended, Process, selvedge};
use crate::trust::world::World;

/// What became of each step.
const STATE: &str = "flow.state.json";
/// 2023-11-14, on the window's grid.
const START: u64 = 1_699_999_800;
const STEP_S: u64 = 300;

/// A site, a publisher, a registry and a running host, and the files of a flow.
struct Site {
    world: World,
    _registry: Process,
    host: Process,
}

impl Site {
    /// None, said aloud, where there is no Python to train with.
    async fn new() -> Option<Self> {
        let python = peers::installed(&["python/bin/python"])?.join("python/bin/python");
        let world = World::new().await;
        let signing = world.key_publisher("acme", "acme/plugins").await;
        world
            .done("policy add grant acme/* --by acme --kind model --site site")
            .await;
        let serve = ["registry", "serve", "served", "--listen", "127.0.0.1:0"];
        world.write("push", "operator:secret");
        let mut serve = selvedge(&serve);
        serve.args(["--push-credentials-file", "push"]);
        let mut registry = Process::start(serve.current_dir(world.folder()));
        let line = registry.line("listening on ").await;
        let (_, address) = line.split_once("listening on ").unwrap();
        world.login(address, "operator:secret");
        let train = Workspace::here().root().join("plugins/detector/train");
        for file in ["health.py", "data.py", "features.py", "machine/line.toml"] {
            let name = file.rsplit('/').next().unwrap();
            world.write(name, fs_err::read(train.join(file)).unwrap());
        }
        let flow = fs_err::read_to_string(train.join("machine/flow.toml")).unwrap();
        let flow = flow
            .replace("python3", python.to_str().unwrap())
            .replace("registry.example", address)
            .replace(
                "\"--key\", \"acme.key\", \"--timestamp-authority\", \"clock.tsa.pem\"",
                &signing
                    .split(' ')
                    .map(|word| format!("\"{word}\""))
                    .collect::<Vec<_>>()
                    .join(", "),
            )
            .replace("/run/selvedge/selvedge.sock", "data/selvedge.sock");
        world.write("flow.toml", flow);
        world.write("readings.csv", readings(1.0));
        let mut host = selvedge(&["run", "--host-config", "host.toml"]);
        host.env("DOCKER_CONFIG", world.path("docker"));
        let mut host = Process::start(host.current_dir(world.folder()));
        host.line("api serving").await;
        Some(Self {
            world,
            _registry: registry,
            host,
        })
    }

    fn flow(&self) -> Process {
        let mut flow = selvedge(&["model", "flow", "flow.toml"]);
        flow.env("DOCKER_CONFIG", self.world.path("docker"));
        Process::start(flow.current_dir(self.world.folder()))
    }

    /// Runs it to its end, which is good.
    async fn done(&self) -> Ended {
        let ended = self.flow().end().await;
        let log = |step: &str| {
            fs_err::read_to_string(self.world.path(&format!("out/logs/{step}.log")))
                .unwrap_or_default()
        };
        assert_eq!(
            ended.code,
            Some(0),
            "{ended:?}\n{}{}{}",
            log("train"),
            log("publish"),
            log("deploy")
        );
        ended
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&self.world.read(STATE)).unwrap()
    }

    /// What the deployment in force says of its models.
    async fn served(&self) -> Value {
        let history = "history --host data/selvedge.sock --json";
        let history = self.world.done(history).await;
        let history: Value = serde_json::from_str(&history).unwrap();
        let list = history["deployments"].as_array().or(history.as_array());
        let newest = &list.unwrap_or_else(|| panic!("{history}"))[0];
        assert_eq!(newest["phase"], "committed", "{newest}");
        newest["models"].clone()
    }

    /// The score that the detector gives to the first window of these readings.
    async fn score(&self, part: u64) -> f64 {
        let mut tap = selvedge(&["tap", "score/#", "--host", "data/selvedge.sock", "--json"]);
        let mut tap = Process::start(tap.current_dir(self.world.folder()));
        // What is kept comes first, and says that it listens.
        let records: Vec<_> = (0..97)
            .map(|place| {
                let time = START + (part * 1_000 + place) * STEP_S;
                json!({"n": "temperature", "t": time, "v": value(place, 1.0)})
            })
            .collect();
        let pack = json!(records).to_string();
        let publish = [
            "pub",
            "telemetry/plant/machine",
            &pack,
            "--host",
            "data/selvedge.sock",
        ];
        loop {
            let mut publish = selvedge(&publish);
            let ended = crate::process::run(publish.current_dir(self.world.folder())).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let heard = tokio::time::timeout(std::time::Duration::from_secs(5), tap.line("score"));
            let Ok(line) = heard.await else { continue };
            let message: Value = serde_json::from_str(&line).unwrap();
            let pack: Value = serde_json::from_str(message["text"].as_str().unwrap()).unwrap();
            return pack[0]["v"].as_f64().unwrap_or_else(|| panic!("{line}"));
        }
    }
}

/// What the machine shows: a slow wave and something that looks like noise.
fn value(place: u64, slowness: f64) -> f64 {
    let wave = (place as f64 / (40.0 * slowness)).sin();
    let noise = (place as f64 * 12.9898).sin() * 43_758.545;
    60.0 + 5.0 * wave + 2.0 * (noise - noise.floor())
}

/// An archive of healthy time.
fn readings(slowness: f64) -> String {
    let mut text = "timestamp,temperature\n".to_owned();
    for place in 0..600 {
        let time = START + place * STEP_S;
        text.push_str(&format!("{time},{}\n", value(place, slowness)));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_that_is_killed_goes_on_and_ends_with_another_model_at_work() {
    let Some(mut site) = Site::new().await else {
        return;
    };
    // Killed while it trains: nothing is taken for done.
    let mut flow = site.flow();
    flow.line("train    …").await;
    flow.signal("KILL").await;
    flow.end().await;
    let state = site.state();
    assert_eq!(state["steps"]["train"]["ended"], Value::Null, "{state}");
    assert!(!site.world.path("out/train").exists());

    // Killed while it publishes: what was trained is not trained again.
    let mut flow = site.flow();
    flow.line("publish  …").await;
    flow.signal("KILL").await;
    flow.end().await;
    assert_eq!(site.state()["steps"]["train"]["ended"]["outcome"], "done");
    let trained = site.world.read("out/train/model.onnx");

    let ended = site.done().await;
    assert!(ended.stdout.contains("train    unchanged"), "{ended:?}");
    assert!(site.world.read("out/train/model.onnx") == trained);
    let first = site.served().await;
    assert!(site.score(0).await.is_finite());

    let ended = site.done().await;
    assert_eq!(ended.stdout.matches("unchanged").count(), 3, "{ended:?}");

    // Other readings, another version: the host exchanges the model.
    site.world.write("readings.csv", readings(3.0));
    let flow = String::from_utf8(site.world.read("flow.toml")).unwrap();
    site.world.write(
        "flow.toml",
        flow.replace("version = \"1.0.0\"", "version = \"1.1.0\""),
    );
    site.done().await;
    let line = String::from_utf8(site.world.read("line.toml")).unwrap();
    assert!(line.contains("machine-health:1.1.0@sha256:"), "{line}");
    assert!(site.world.read("out/train/model.onnx") != trained);
    let second = site.served().await;
    assert_ne!(first, second);
    assert!(site.score(1).await.is_finite());

    // A step that fails says why, and where to read on.
    site.world
        .write("readings.csv", "timestamp,temperature\nnow,1\n");
    let ended = site.flow().end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("readings.csv:2"), "{ended:?}");
    assert!(ended.stderr.contains("train.log"), "{ended:?}");
    let state = site.state();
    assert_eq!(
        state["steps"]["train"]["ended"]["outcome"], "failed",
        "{state}"
    );

    site.host.signal("TERM").await;
    assert_eq!(site.host.end().await.code, Some(0));
}
