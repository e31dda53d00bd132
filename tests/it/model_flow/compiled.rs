//! Models compiled by the binary, with the libraries themselves: they run here, and
//! are refused as soon as what they were made for is another.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use wasm_build::Workspace;

use crate::inference::libraries;
use crate::peers;
use crate::process::{Ended, run, selvedge, text};

/// A folder with a host's configuration that names the libraries.
struct Machine {
    folder: TempDir,
}

impl Machine {
    async fn new() -> Option<Self> {
        let libraries = libraries()?;
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("host.toml"), pinned(&libraries).await).unwrap();
        Some(Self { folder })
    }

    /// Compiles the model of the real series; what was made.
    async fn compiled(&self, backend: &str, python: Option<&Path>) -> Value {
        let workspace = Workspace::here();
        let model = workspace.root().join("plugins/detector/train/machine");
        let mut words = vec!["compile", text(&model), "--backend", backend];
        words.extend(["--output", backend, "--json"]);
        words.extend(python.into_iter().flat_map(|path| ["--python", text(path)]));
        let ended = self.model(&words).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    async fn model(&self, words: &[&str]) -> Ended {
        let mut command = selvedge(&["model"]);
        command.args(words).args(["--host-config", "host.toml"]);
        if let Some(peers) = peers::installed(&["openvino"]) {
            command.env("PYTHONPATH", peers.join("openvino"));
        }
        run(command.current_dir(self.folder.path())).await
    }

    /// What becomes of a compiled model on its own backend.
    async fn tried(&self, backend: &str) -> Value {
        let words = ["bench", backend, "--threads", "1", "--seconds", "1"];
        let ended = self.model(&[&words[..], &["--json"]].concat()).await;
        let lines: Value = serde_json::from_str(&ended.stdout).unwrap();
        let mut lines = lines.as_array().unwrap().iter();
        let own = lines.find(|line| line["backend"] == backend);
        own.unwrap_or_else(|| panic!("{ended:?}")).clone()
    }

    /// It runs; with another record of what it is for it does not.
    async fn assert_runs_here_only(&self, made: &Value) {
        let backend = made["backend"].as_str().unwrap();
        let tried = self.tried(backend).await;
        assert!(tried["p50_us"].is_number(), "{tried}");
        let path = self.folder.path().join(backend).join("model.toml");
        let manifest = fs_err::read_to_string(&path).unwrap();
        let others = [
            ("backend", "tract", "the backend that it was made for"),
            ("version", "0.0.1", "the version that it was made for"),
            ("cpu", "x86_64 other", "the processor that it was made for"),
        ];
        for (key, other, reason) in others {
            let own = format!("\"{key}\":{}", made[key]);
            let edited = manifest.replace(&own, &format!("\"{key}\":\"{other}\""));
            assert_ne!(edited, manifest, "{own} is not in {manifest}");
            fs_err::write(&path, edited).unwrap();
            let tried = self.tried(backend).await;
            assert_eq!(tried["code"], "model-compiled-elsewhere", "{tried}");
            let said = tried["reason"].as_str().unwrap();
            assert!(said.contains(reason), "{tried}");
        }
    }
}

/// What a host's configuration says of the libraries.
pub(super) async fn pinned(libraries: &[std::path::PathBuf]) -> String {
    let mut config = String::new();
    for library in libraries {
        let ended = run(&mut selvedge(&["backends", "pin", text(library)])).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        config += &ended.stdout;
    }
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_onnx_runtime_compiled_is_refused_for_another_backend_version_or_processor() {
    let Some(machine) = Machine::new().await else {
        return;
    };
    let made = machine.compiled("onnxruntime", None).await;
    machine.assert_runs_here_only(&made).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_openvino_compiled_is_refused_for_another_backend_version_or_processor() {
    let Some(machine) = Machine::new().await else {
        return;
    };
    let Some(peers) = peers::installed(&["python/bin/python", "openvino"]) else {
        return;
    };
    let python = peers.join("python/bin/python");
    let mut import = Command::new(&python);
    import.args(["-B", "-c", "import openvino"]);
    let import = run(import.env("PYTHONPATH", peers.join("openvino"))).await;
    if import.code != Some(0) {
        return println!(
            "skipped: this Python cannot use OpenVINO: {}",
            import.stderr
        );
    }
    let made = machine.compiled("openvino", Some(&python)).await;
    machine.assert_runs_here_only(&made).await;
}
