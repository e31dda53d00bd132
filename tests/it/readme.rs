//! The plugin of README.md works when it is pasted, and so does what follows.

mod heals;
mod journey;
mod settings;

use std::path::Path;
use std::time::Duration;

use selvedge::bus::Message;
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell};
use wasm_build::{TARGET, Workspace};

use crate::gateway::Gateway;
use crate::process::{Process, run, selvedge};

const HEADING: &str = "## A plugin in twelve lines";

/// The first build makes the plugin's dependencies too, and waits for others.
const BUILD_MAX: Duration = Duration::from_secs(600);

/// What README says to paste.
#[derive(Clone)]
struct Pasted {
    manifest: String,
    source: String,
    deployment: String,
}

/// A block of README under [`HEADING`], and what follows it.
fn block<'a>(text: &'a str, language: &str) -> (String, &'a str) {
    let fence = format!("```{language}\n");
    let (_, rest) = text
        .split_once(&fence)
        .unwrap_or_else(|| panic!("no {language} under `{HEADING}`"));
    let (block, rest) = rest.split_once("```").unwrap();
    (block.to_owned(), rest)
}

impl Pasted {
    fn read(workspace: &Workspace) -> Self {
        let readme = fs_err::read_to_string(workspace.root().join("README.md")).unwrap();
        let (_, section) = readme.split_once(HEADING).expect("README has a plugin");
        let (manifest, rest) = block(section, "toml");
        let (source, rest) = block(rest, "rust");
        let (deployment, _) = block(rest, "toml");
        Self {
            manifest,
            source,
            deployment,
        }
    }

    /// Builds the plugin in `folder` as README says; the component. Only the way
    /// to this repository is another, and what was built before is used.
    async fn build(&self, workspace: &Workspace, folder: &Path) -> Vec<u8> {
        const THERE: &str = "\"../selvedge/";
        // Two builds at a time would write the same file.
        static BUILDS: Mutex<()> = Mutex::const_new(());
        let _turn = BUILDS.lock().await;
        assert!(self.manifest.contains(THERE), "{}", self.manifest);
        let here = format!("\"{}/", workspace.root().display());
        let manifest = self.manifest.replace(THERE, &here);
        fs_err::create_dir(folder.join("src")).unwrap();
        fs_err::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs_err::write(folder.join("src/lib.rs"), &self.source).unwrap();
        // The versions that are here already: nothing is downloaded.
        fs_err::copy(
            workspace.root().join("Cargo.lock"),
            folder.join("Cargo.lock"),
        )
        .unwrap();
        let results = workspace.target().join("wasm");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(folder)
            .args(["build", "--release", "--offline", "--target", TARGET])
            .arg("--target-dir")
            .arg(&results);
        // Flags for this machine's code are none for a component's.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        let built = Process::start(&mut command).end_within(BUILD_MAX).await;
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        fs_err::read(results.join(TARGET).join("release/hot.wasm")).unwrap()
    }
}

/// The component of the plugin in README. It is built once.
async fn component(workspace: &Workspace, pasted: &Pasted) -> &'static [u8] {
    static COMPONENT: OnceCell<Vec<u8>> = OnceCell::const_new();

    let build = async || {
        workspace.ensure_target().unwrap();
        let folder = tempfile::tempdir().unwrap();
        pasted.build(workspace, folder.path()).await
    };
    COMPONENT.get_or_init(build).await
}

fn reading(degrees: f64) -> Message {
    let payload = format!(r#"[{{"n": "temperature", "u": "Cel", "v": {degrees}}}]"#);
    let mut message = Message::new("telemetry/hall/oven".parse().unwrap(), payload);
    message.content_type = Some("application/senml+json".into());
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_in_the_readme_works_when_it_is_pasted() {
    let workspace = Workspace::here();
    let pasted = Pasted::read(&workspace);
    assert!(pasted.source.lines().count() <= 12, "{}", pasted.source);
    let folder = tempfile::tempdir().unwrap();
    let component = component(&workspace, &pasted).await;
    fs_err::write(folder.path().join("hot.wasm"), component).unwrap();
    fs_err::write(folder.path().join("hot.toml"), &pasted.deployment).unwrap();

    let mut check = selvedge(&["check", "hot.toml"]);
    let checked = run(check.current_dir(folder.path())).await;
    let expected = "hot.toml: ok (1 plugin, 0 models)\n";
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), expected));

    let path = folder.path().join("hot.toml");
    let mut gateway = Gateway::start(&path, &pasted.deployment, &["notice/hot"]).await;
    for degrees in [20.0, 80.0, 95.5] {
        gateway.publish(reading(degrees));
    }
    let notice = gateway.message().await;
    assert_eq!(notice.topic.as_str(), "notice/hot");
    assert_eq!(notice.payload, reading(95.5).payload);
    let expected = ["starting", "running", "stopped"].map(|state| format!("plugin/hot {state}"));
    assert_eq!(gateway.stop().await, expected);

    // "Take the `publish` line away and the host refuses to start it, naming
    // the import and the line."
    let lines = pasted.deployment.lines();
    let without: String = lines
        .filter(|line| !line.starts_with("publish"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(without, pasted.deployment);
    fs_err::write(&path, without).unwrap();
    let mut start = selvedge(&["dev", "hot.toml", "--data-directory", "data"]);
    let refused = run(start.current_dir(folder.path())).await;
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    let expected = "error: plugin `hot` imports `selvedge:bus/publisher@0.1.0`, \
        which needs `publish` in its grants";
    let named = refused.stderr.lines().find(|line| line.contains(expected));
    let place = named.unwrap_or_else(|| panic!("{}", refused.stderr));
    assert!(place.starts_with("hot.toml:7:"), "{place}");
}
