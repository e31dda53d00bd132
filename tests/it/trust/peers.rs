//! Debian's docker-registry, a private sigstore instance, and npm's and PyPI's
//! signers and clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::peers;
use crate::process::{DEADLINE, Process, run, text};

/// What publishers are called at the instance.
pub(super) const ISSUER: &str = "https://token.actions.example";

/// Where everything is.
#[derive(Clone)]
pub(super) struct Peers {
    installed: PathBuf,
    scripts: PathBuf,
}

/// Debian's registry, listening on loopback.
pub(super) struct DockerRegistry {
    _process: Process,
    /// `127.0.0.1:<port>`.
    pub(super) address: String,
}

/// A sigstore instance of this test's own.
pub(super) struct Instance {
    _process: Process,
    pub(super) url: String,
}

impl Peers {
    pub(super) fn find() -> Option<Self> {
        let parts = ["bin/python", "bin/node", "bin/docker-registry"];
        Some(Self {
            installed: peers::installed(&parts)?,
            scripts: peers::scripts(),
        })
    }

    pub(super) async fn registry(&self, folder: &Path) -> DockerRegistry {
        let (storage, log) = (folder.join("docker-registry"), folder.join("registry.log"));
        let mut command = Command::new("sh");
        // It logs each request: into a file, for a pipe that nobody reads fills.
        command
            .args(["-c", "exec \"$0\" serve \"$1\" 2>\"$2\""])
            .arg(self.installed.join("bin/docker-registry"))
            .arg(self.scripts.join("docker-registry/config.yml"))
            .arg(&log)
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", storage);
        let process = Process::start(&mut command);
        let listening = async {
            loop {
                let text = fs_err::read_to_string(&log).unwrap_or_default();
                if let Some((_, rest)) = text.split_once("listening on ") {
                    return rest.split('"').next().unwrap().to_owned();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let address = timeout(DEADLINE, listening).await;
        DockerRegistry {
            _process: process,
            address: address.unwrap_or_else(|_| panic!("it does not listen")),
        }
    }

    pub(super) async fn instance(&self) -> Instance {
        let mut command = Command::new(self.installed.join("bin/node"));
        let script = self.scripts.join("sigstore/server.mjs");
        let mut process = Process::start_held(command.arg(script));
        let line: Json = serde_json::from_str(&process.line("{").await).unwrap();
        let url = line["url"].as_str().unwrap().to_owned();
        Instance {
            _process: process,
            url,
        }
    }

    /// npm's signer: `message` or `dsse`.
    pub(super) async fn sign_js(&self, arguments: &[&str]) {
        self.script("bin/node", "sigstore/sign.mjs", arguments)
            .await;
    }

    /// PyPI's signer: `message` or `dsse`.
    pub(super) async fn sign_py(&self, arguments: &[&str]) {
        self.script("bin/python", "sigstore/sign.py", arguments)
            .await;
    }

    /// npm's verifier.
    pub(super) async fn verify_js(&self, arguments: &[&str]) -> Json {
        self.script("bin/node", "sigstore/verify.mjs", arguments)
            .await
    }

    /// PyPI's verifier.
    pub(super) async fn verify_py(&self, arguments: &[&str]) -> Json {
        self.script("bin/python", "sigstore/verify.py", arguments)
            .await
    }

    /// PyPI's registry client.
    pub(super) async fn oras(&self, arguments: &[&str]) -> Json {
        self.script("bin/python", "oras/client.py", arguments).await
    }

    async fn script(&self, program: &str, script: &str, arguments: &[&str]) -> Json {
        let mut command = Command::new(self.installed.join(program));
        command.arg(self.scripts.join(script)).args(arguments);
        let ended = run(&mut command).await;
        assert_eq!(ended.code, Some(0), "{script} {arguments:?}: {ended:?}");
        serde_json::from_str(ended.stdout.trim()).unwrap()
    }
}

impl Instance {
    /// Writes its trusted root to `path`.
    pub(super) async fn trusted_root(&self, path: &Path) {
        let url = format!("{}/trusted_root.json", self.url);
        let answer = reqwest::get(url).await.unwrap();
        fs_err::write(path, answer.bytes().await.unwrap()).unwrap();
    }

    /// Writes a token for `subject` to `path`.
    pub(super) async fn token(&self, subject: &str, path: &Path) {
        let wanted = serde_json::json!({ "subject": subject, "issuer": ISSUER, "claims": {} });
        let request = reqwest::Client::new().post(format!("{}/token", self.url));
        let answer = request.body(wanted.to_string()).send().await.unwrap();
        let answer: Json = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        fs_err::write(path, answer["token"].as_str().unwrap()).unwrap();
    }
}

/// Where a file of the test is, as an argument.
pub(super) fn argument(folder: &Path, name: &str) -> String {
    text(&folder.join(name)).to_owned()
}
