//! The way from a publisher to a device in README.md works when it is typed.
//!
//! Every block of the section is taken in its order, in one folder: a `toml`
//! block is the file, or the line of a file, that the text before it names; the
//! commands of a block without a language succeed; those of a `console` block
//! print what it shows. Digests, times and the registry's port are another each
//! time. A `…` on a line of its own stands for any lines.
//!
//! Two lines cannot run here: `docker login`, whose file the test writes, and
//! the `curl` that asks GitHub for a token, which the test takes from a sigstore
//! instance of its own. The keyless `publish` runs against that instance, if it
//! is installed, and against our registry.

mod shown;

use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::Command;
use wasm_build::Workspace;

use super::{Pasted, component};
use crate::peers;
use crate::process::{Ended, Process, run};
use shown::{Block, blocks, difference};

const HEADING: &str = "## From a publisher to a device";

/// Where README has its registry, and docker its credentials.
const REGISTRY: &str = "localhost:5000";
/// What stands for a digest in a command: that of what was published.
const DIGEST: &str = "sha256:…";

/// The identity of README's publisher without a key.
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const WORKFLOW: &str = "https://github.com/acme/hot/.github/workflows/release.yml@refs/tags/v0.2.0";
const OWNER: &str = "1234567";

/// Someone who types what README shows.
struct Reader {
    folder: TempDir,
    registry: Option<(Process, String)>,
    instance: Option<Instance>,
    /// What was published last.
    digest: Option<String>,
}

/// A sigstore instance of this test's own. Dropped, it ends.
struct Instance {
    _process: Process,
    url: String,
}

impl Instance {
    async fn start() -> Option<Self> {
        let node = peers::installed(&["bin/node", "node"])?.join("bin/node");
        let mut command = Command::new(node);
        command.arg(peers::scripts().join("sigstore/server.mjs"));
        let mut process = Process::start_held(&mut command);
        let line: Json = serde_json::from_str(&process.line("{").await).unwrap();
        let url = line["url"].as_str().unwrap().to_owned();
        let _process = process;
        Some(Self { _process, url })
    }

    async fn trusted_root(&self) -> Vec<u8> {
        let answer = reqwest::get(format!("{}/trusted_root.json", self.url)).await;
        answer.unwrap().bytes().await.unwrap().to_vec()
    }

    async fn token(&self) -> String {
        let claims = serde_json::json!({ "repository_owner_id": OWNER });
        let wanted = serde_json::json!({ "subject": WORKFLOW, "issuer": ISSUER, "claims": claims });
        let request = reqwest::Client::new().post(format!("{}/token", self.url));
        let answer = request.body(wanted.to_string()).send().await.unwrap();
        let answer: Json = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }
}

impl Reader {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), contents).unwrap();
    }

    /// `text` with the registry and the digest of this run.
    fn current(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some((_, address)) = &self.registry {
            text = text.replace(REGISTRY, address);
        }
        match &self.digest {
            Some(digest) => text.replace(DIGEST, digest),
            None => text,
        }
    }

    fn shell(&self, command: &str) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_selvedge"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", binary.parent().unwrap().display());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("DOCKER_CONFIG", self.path("docker"))
            .env_remove("SELVEDGE_LOG");
        shell
    }

    async fn ended(&self, command: &str) -> Ended {
        run(&mut self.shell(&self.current(command))).await
    }

    /// Types a command; what it prints if it ends by itself.
    async fn enter(&mut self, command: &str) -> Option<String> {
        if command.starts_with("selvedge registry serve") {
            let command = format!("exec {command} --listen 127.0.0.1:0");
            let mut process = Process::start(&mut self.shell(&command));
            let line = process.line("listening on 127.0.0.1:").await;
            let (_, port) = line.rsplit_once(':').unwrap();
            self.registry = Some((process, format!("localhost:{port}")));
            return None;
        }
        if command.starts_with("docker login localhost:5000") {
            self.log_in();
            return None;
        }
        if command.starts_with("selvedge run") {
            let command = format!("exec {}", self.current(command));
            let mut host = Process::start(&mut self.shell(&command));
            host.line("deployment started").await;
            host.signal("INT").await;
            let ended = host.end().await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            return None;
        }
        let ended = self.ended(command).await;
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
        if command.starts_with("selvedge publish") {
            let (_, digest) = ended.stdout.trim().split_once('@').unwrap();
            self.digest = Some(digest.to_owned());
        }
        Some(ended.stdout)
    }

    /// What `docker login` keeps.
    fn log_in(&self) {
        let credentials = self.read("push");
        let auth = base64::engine::general_purpose::STANDARD.encode(credentials.trim());
        let registry = self.current(REGISTRY);
        let config = serde_json::json!({ "auths": { registry: { "auth": auth } } });
        fs_err::create_dir(self.path("docker")).unwrap();
        self.write("docker/config.json", config.to_string());
    }

    async fn take(&mut self, block: &Block) {
        match block {
            Block::File { name, text } => self.write(name, text),
            Block::Line { name, text } => {
                let (key, _) = text.split_once('=').unwrap();
                let before = self.read(name);
                let lines = before.lines().map(|line| match line.starts_with(key) {
                    true => self.current(text),
                    false => line.to_owned(),
                });
                let after = lines.collect::<Vec<_>>().join("\n") + "\n";
                assert_ne!(after, before, "{name} has no line `{key}`");
                self.write(name, after);
            }
            Block::Commands(commands) => {
                for command in commands {
                    self.enter(command).await;
                }
            }
            Block::Console(commands) => {
                for (command, shown) in commands {
                    let printed = self.enter(command).await.unwrap_or_default();
                    let printed = match &self.registry {
                        Some((_, address)) => printed.replace(address.as_str(), REGISTRY),
                        None => printed,
                    };
                    if let Some(difference) = difference(&printed, shown) {
                        panic!("{command}: {difference}");
                    }
                }
            }
            // At the end: it would sign what is there a second time.
            Block::Elsewhere(_) => {}
        }
    }

    /// A release without a key: the next version, from README's CI.
    async fn release_from_ci(&mut self, commands: &[String]) {
        let [token, publish] = commands else {
            panic!("README has other commands for CI: {commands:?}");
        };
        assert!(token.starts_with("curl ") && token.ends_with("> token"));
        let Some(instance) = &self.instance else {
            return;
        };
        self.write("token", instance.token().await);
        let manifest = self.read("plugin.toml").replace("0.1.0", "0.2.0");
        let publish = publish
            .replace("ghcr.io", REGISTRY)
            .replace("https://fulcio.sigstore.dev", &instance.url)
            .replace("https://rekor.sigstore.dev", &instance.url);
        self.write("plugin.toml", manifest);
        self.enter(&publish).await;
        let verdict = self
            .ended("selvedge verify localhost:5000/acme/hot:0.2.0 --host-config host.toml --json")
            .await;
        let verdict: Json = serde_json::from_str(&verdict.stdout).unwrap();
        assert_eq!(verdict["publisher"], "acme-ci", "{verdict:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_a_device_in_the_readme_works_when_it_is_typed() {
    let workspace = Workspace::here();
    let readme = fs_err::read_to_string(workspace.root().join("README.md")).unwrap();
    let (_, section) = readme.split_once(HEADING).expect("README has the way");
    let (section, _) = section.split_once("\n## ").expect("README goes on");
    let blocks = blocks(section);

    let mut reader = Reader {
        folder: tempfile::tempdir().unwrap(),
        registry: None,
        instance: Instance::start().await,
        digest: None,
    };
    let pasted = Pasted::read(&workspace);
    reader.write("hot.toml", &pasted.deployment);
    reader.write("hot.wasm", component(&workspace, &pasted).await);
    reader.write("password", "correct horse battery staple\n");

    for block in &blocks {
        // It is the instance's, or, where there is none, anyone's.
        if !reader.path("trusted_root.json").exists() && reader.path("clock.root.json").exists() {
            let root = match &reader.instance {
                Some(instance) => instance.trusted_root().await,
                None => fs_err::read(reader.path("clock.root.json")).unwrap(),
            };
            reader.write("trusted_root.json", root);
        }
        reader.take(block).await;
    }
    let refused = reader
        .ended("selvedge run hot.toml --host-config host.toml")
        .await;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.stderr.contains("is revoked"), "{refused:?}");
    let elsewhere = blocks.iter().filter_map(|block| match block {
        Block::Elsewhere(commands) => Some(commands),
        _ => None,
    });
    for commands in elsewhere {
        reader.release_from_ci(commands).await;
    }
}
