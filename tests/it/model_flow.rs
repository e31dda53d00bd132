//! From readings to a model that runs, in one command: trained by the script that
//! comes with the detector, published to a registry, taken in by a host because its
//! site trusts the publisher, and asked by the detector. Again from where it was
//! after it was killed, and again from what the host captured.

mod compiled;
mod same_windows;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use wasm_build::Workspace;

use crate::inference::libraries;
use crate::peers;
use crate::process::{DEADLINE, Ended, Process, selvedge};
use crate::trust::world::World;

/// What became of each step.
const STATE: &str = "flow.state.json";
/// 2023-11-14, on the window's grid.
const START: u64 = 1_699_999_800;
const STEP_S: u64 = 300;
/// Readings in a window.
const LENGTH: u64 = 96;
/// Windows that are captured at least; training asks for 100.
const CAPTURED: u64 = 150;
/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Steps that not every flow has.
const COMPILE: &str = "
[compile]
backend = \"onnxruntime\"
options = [\"--host-config\", \"host.toml\"]
";

/// A site, a publisher, a registry and a running host, and the files of a flow.
struct Site {
    world: World,
    _registry: Process,
    host: Process,
    python: PathBuf,
    /// What the flow does, but for the last.
    steps: Vec<&'static str>,
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
        let mut config = String::from_utf8(world.read("host.toml")).unwrap();
        config += "[inference.capture]\n";
        let mut steps = vec!["train", "package", "publish"];
        let signing: Vec<_> = signing
            .split(' ')
            .chain(["--host-config", "host.toml"])
            .map(|word| format!("\"{word}\""))
            .collect();
        let signing = signing.join(", ");
        let mut flow = fs_err::read_to_string(train.join("machine/flow.toml")).unwrap();
        flow += &format!(
            "[package]\nto = \"registry.example/acme/machine-health\"\noptions = [{signing}]\n"
        );
        if let Some(libraries) = libraries() {
            config += &compiled::pinned(&libraries).await;
            flow += COMPILE;
            steps.insert(1, "compile");
        }
        world.write("host.toml", config);
        let flow = flow
            .replace("python3", python.to_str().unwrap())
            .replace("registry.example", address)
            .replace(
                "\"--key\", \"acme.key\", \"--timestamp-authority\", \"clock.tsa.pem\"",
                &signing,
            )
            .replace("/run/selvedge/selvedge.sock", "data/selvedge.sock");
        world.write("flow.toml", flow);
        world.write("readings.csv", readings());
        let mut line = String::from_utf8(world.read("line.toml")).unwrap();
        // Its last table is that of the model.
        line += "capture = { fraction = 1.0, per_s_max = 100_000 }\n";
        world.write("line.toml", line);
        let mut host = selvedge(&["run", "--host-config", "host.toml"]);
        host.env("DOCKER_CONFIG", world.path("docker"));
        let mut host = Process::start(host.current_dir(world.folder()));
        host.line("api serving").await;
        Some(Self {
            world,
            _registry: registry,
            host,
            python,
            steps,
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
            "{ended:?}\n{}{}{}{}{}",
            log("train"),
            log("compile"),
            log("package"),
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
        let mut tap = self.tap("score/#").await;
        self.publish(part * 1_000..part * 1_000 + LENGTH + 1).await;
        let line = tap.line("score").await;
        let message: Value = serde_json::from_str(&line).unwrap();
        let pack: Value = serde_json::from_str(message["text"].as_str().unwrap()).unwrap();
        pack[0]["v"].as_f64().unwrap_or_else(|| panic!("{line}"))
    }

    /// One that hears all that is published from now on.
    async fn tap(&self, filter: &str) -> Process {
        let mut tap = selvedge(&["tap", filter, "--host", "data/selvedge.sock", "--json"]);
        let mut tap = Process::start(tap.current_dir(self.world.folder()));
        tap.line("listening").await;
        tap
    }

    /// Readings of these places.
    async fn publish(&self, places: std::ops::Range<u64>) {
        let records: Vec<_> = places
            .map(
                |place| json!({"n": "temperature", "t": START + place * STEP_S, "v": value(place)}),
            )
            .collect();
        let pack = json!(records).to_string();
        let host = ["--host", "data/selvedge.sock"];
        let mut publish = selvedge(&["pub", "telemetry/plant/machine", &pack]);
        let publish = publish.args(host).current_dir(self.world.folder());
        let ended = crate::process::run(publish).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Windows as `selvedge tap` shows them, in `tapped.jsonl`: how many. The same
    /// are captured; goes on behind the window of [`score`](Self::score).
    async fn tapped(&self) -> usize {
        let mut tap = self.tap("feature/#").await;
        let next = LENGTH + 1;
        self.publish(next..next + CAPTURED).await;
        let last = START + (next + CAPTURED - 1) * STEP_S;
        tap.line(&format!("\\\"end\\\":{last}")).await;
        tap.signal("TERM").await;
        let shown = tap.end().await.stdout;
        self.world.write("tapped.jsonl", &shown);
        shown.lines().count()
    }

    /// All that was captured, once these are there, in `captured.jsonl`.
    async fn captured(&self, at_least: usize) {
        let folder = self.world.path("data/capture");
        let read = || {
            let files = fs_err::read_dir(&folder).into_iter().flatten();
            let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            files.sort();
            let texts = files
                .iter()
                .map(|file| fs_err::read_to_string(file).unwrap());
            texts.collect::<String>()
        };
        let whole = timeout(DEADLINE, async {
            while read().matches('\n').count() < at_least {
                tokio::time::sleep(LOOK).await;
            }
            read()
        });
        let whole = whole.await.unwrap_or_else(|_| panic!("{}", read()));
        self.world.write("captured.jsonl", whole);
    }
}

/// What the machine shows: a slow wave and something that looks like noise.
fn value(place: u64) -> f64 {
    let wave = (place as f64 / 40.0).sin();
    let noise = (place as f64 * 12.9898).sin() * 43_758.545;
    60.0 + 5.0 * wave + 2.0 * (noise - noise.floor())
}

/// An archive of healthy time.
fn readings() -> String {
    let mut text = "timestamp,temperature\n".to_owned();
    for place in 0..600 {
        let time = START + place * STEP_S;
        text.push_str(&format!("{time},{}\n", value(place)));
    }
    text
}

/// Kills the flow in each step but the last: what was done is not done again.
async fn assert_goes_on_where_it_was_killed(site: &Site) {
    for (place, step) in site.steps.iter().enumerate() {
        let mut flow = site.flow();
        flow.line(&format!("{step:<8} …")).await;
        flow.signal("KILL").await;
        let ended = flow.end().await;
        let unchanged = ended.stdout.matches("unchanged").count();
        // The step before was killed as well, if it had not ended by then.
        assert!(unchanged + 1 >= place, "{ended:?}");
        let state = site.state();
        for done in &site.steps[..place] {
            assert_eq!(state["steps"][done]["ended"]["outcome"], "done", "{state}");
        }
        if *step == "train" {
            assert_eq!(state["steps"]["train"]["ended"], Value::Null, "{state}");
            assert!(!site.world.path("out/train").exists());
        }
    }
}

/// What a gateway captured and what `tap` showed of the same windows is the same
/// to training, and what it can make a model of.
async fn assert_captures_are_windows(site: &Site) {
    let tapped = site.tapped().await;
    assert_eq!(tapped as u64, CAPTURED);
    // Two more were made of the readings before.
    site.captured(tapped + 2).await;
    let files = ["captured.jsonl", "tapped.jsonl"];
    let tables = same_windows::read(&site.python, site.world.folder(), &files).await;
    let [captured, heard] = files.map(|file| tables[file].as_array().unwrap());
    let newest = &captured[captured.len() - heard.len()..];
    // Models are fed 32 bits of each number.
    same_windows::assert_same(heard, newest, 1e-6);
    let mut train = tokio::process::Command::new(&site.python);
    site.world.write("other.toml", site.world.read("line.toml"));
    train.args([
        "-B",
        "health.py",
        "tapped",
        "tapped.jsonl",
        "--name",
        "tapped",
    ]);
    train.args(["--version", "1.0.0", "--deployment", "other.toml"]);
    let ended = crate::process::run(train.current_dir(site.world.folder())).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains(&format!("{tapped} windows")),
        "{ended:?}"
    );
    assert!(site.world.path("tapped/model.toml").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_that_is_killed_goes_on_and_ends_with_another_model_at_work() {
    let Some(mut site) = Site::new().await else {
        return;
    };
    assert_goes_on_where_it_was_killed(&site).await;
    let trained = site.world.read("out/train/model.onnx");
    let ended = site.done().await;
    assert!(ended.stdout.contains("train    unchanged"), "{ended:?}");
    assert!(site.world.read("out/train/model.onnx") == trained);
    assert!(site.world.path("out/package/model.tar").exists());
    let first = site.served().await;
    if site.steps.contains(&"compile") {
        let compiled = String::from_utf8(site.world.read("out/compile/model.toml")).unwrap();
        assert!(compiled.contains("backend = \"onnxruntime\""), "{compiled}");
    }
    assert!(site.score(0).await.is_finite());

    let ended = site.done().await;
    let unchanged = ended.stdout.matches("unchanged").count();
    assert_eq!(unchanged, site.steps.len() + 1, "{ended:?}");

    // From what was captured, another version: the host exchanges the model.
    assert_captures_are_windows(&site).await;
    let flow = String::from_utf8(site.world.read("flow.toml")).unwrap();
    let flow = flow.replace("version = \"1.0.0\"", "version = \"1.1.0\"");
    site.world
        .write("flow.toml", flow.replace("readings.csv", "captured.jsonl"));
    site.done().await;
    let line = String::from_utf8(site.world.read("line.toml")).unwrap();
    assert!(line.contains("machine-health:1.1.0@sha256:"), "{line}");
    assert!(site.world.read("out/train/model.onnx") != trained);
    let second = site.served().await;
    assert_ne!(first, second);
    assert!(site.score(1).await.is_finite());

    // A step that fails says why, and where to read on.
    site.world.write("captured.jsonl", "{\"inputs\": [{}]}\n");
    let ended = site.flow().end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("captured.jsonl:1"), "{ended:?}");
    assert!(ended.stderr.contains("train.log"), "{ended:?}");
    let state = site.state();
    assert_eq!(
        state["steps"]["train"]["ended"]["outcome"], "failed",
        "{state}"
    );

    site.host.signal("TERM").await;
    assert_eq!(site.host.end().await.code, Some(0));
}
