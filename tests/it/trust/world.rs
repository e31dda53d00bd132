//! A site, a publisher and a device in one folder, driven through the binary.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use bytes::Bytes;
use selvedge::names::Digest;
use selvedge_registry::Layout;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::guests::guest;
use crate::process::{Ended, Process, run, selvedge};

/// What a plugin of these tests may do.
const GRANTS: &str = "grants.subscribe = [\"in/#\"]\ngrants.publish = [\"echo/#\"]\n";

/// A folder with everything that a test makes.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// A site that trusts nobody yet, a device that is set up for it, a component.
    pub(crate) async fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.write("echo.wasm", guest("echo"));
        let host = "data_directory = \"data\"\n[trust]\nroot = \"site/root.json\"\nrepository = \"site/repository\"\n";
        world.write("host.toml", host);
        world.done("policy init --site site --no-password").await;
        world
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    /// `selvedge`, with arguments between spaces, in the folder.
    pub(crate) async fn cli(&self, arguments: &str) -> Ended {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let mut command = selvedge(&arguments);
        // What the user has logged in to does not matter here.
        command.env("DOCKER_CONFIG", self.path("docker"));
        run(command.current_dir(self.folder())).await
    }

    /// The same, which succeeds; what it prints.
    pub(crate) async fn done(&self, arguments: &str) -> String {
        let ended = self.cli(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
        ended.stdout.trim().to_owned()
    }

    /// A publisher called `name` with a key and a timestamp authority, who may
    /// release `packages`. The arguments to sign as it.
    pub(crate) async fn key_publisher(&self, name: &str, packages: &str) -> String {
        self.done(&format!("keygen {name} --no-password")).await;
        self.done(&format!("keygen {name} --timestamp-authority"))
            .await;
        self.done(&format!(
            "policy add publisher {name} --site site --key {name}.pub --root {name}.root.json"
        ))
        .await;
        self.grant(packages, name).await;
        format!("--key {name}.key --timestamp-authority {name}.tsa.pem")
    }

    /// An identity at an instance, who may release `packages`.
    pub(crate) async fn identity_publisher(
        &self,
        name: &str,
        identity: (&str, &str),
        packages: &str,
    ) {
        let (issuer, identity) = identity;
        self.done(&format!(
            "policy add publisher {name} --site site --issuer {issuer} --identity {identity} --root instance.root.json"
        ))
        .await;
        self.grant(packages, name).await;
    }

    pub(crate) async fn grant(&self, packages: &str, by: &str) {
        self.done(&format!(
            "policy add grant {packages} --by {by} --site site"
        ))
        .await;
    }

    /// Publishes the component; its reference with the digest.
    pub(crate) async fn publish(&self, to: &str, version: &str, signing: &str) -> String {
        self.done(&format!(
            "publish echo.wasm {to} --version {version} {signing}"
        ))
        .await
    }

    /// Brings an artifact to the device; its reference with the digest.
    pub(crate) async fn pull(&self, reference: &str) -> String {
        self.done(&format!("pull {reference} --host-config host.toml"))
            .await
    }

    /// What the policy says of an artifact.
    pub(crate) async fn verdict(&self, reference: &str) -> Json {
        let ended = self
            .cli(&format!(
                "verify {reference} --host-config host.toml --json"
            ))
            .await;
        let verdict = serde_json::from_str(&ended.stdout);
        verdict.unwrap_or_else(|_| panic!("{ended:?}"))
    }

    /// What `docker login` would keep for a registry.
    pub(crate) fn login(&self, registry: &str, credentials: &str) {
        let auth = base64::engine::general_purpose::STANDARD.encode(credentials);
        let config = serde_json::json!({ "auths": { registry: { "auth": auth } } });
        fs_err::create_dir_all(self.path("docker")).unwrap();
        self.write("docker/config.json", config.to_string());
    }

    /// The manifest of an artifact in a registry.
    pub(crate) async fn manifest(&self, reference: &str) -> Bytes {
        let (layout, digest) = self.brought(reference).await;
        layout.manifest(&digest).unwrap().unwrap().1
    }

    /// The one signature bundle of an artifact in a registry.
    pub(crate) async fn attached_bundle(&self, reference: &str) -> Bytes {
        let (layout, digest) = self.brought(reference).await;
        let candidate = selvedge::artifacts::candidate(&layout, &digest).unwrap();
        assert_eq!(candidate.bundles.len(), 1);
        candidate.bundles[0].clone()
    }

    /// An artifact brought to a store beside the device's.
    async fn brought(&self, reference: &str) -> (Layout, Digest) {
        let pinned = self.done(&format!("pull {reference} --store beside")).await;
        let (_, digest) = pinned.split_once('@').unwrap();
        let layout = Layout::open(&self.path("beside")).unwrap();
        (layout, digest.parse().unwrap())
    }

    /// A deployment of these artifacts, one plugin each.
    pub(crate) fn deployment(&self, name: &str, references: &[&str]) {
        let mut text = String::from("name = \"line\"\nversion = \"1.0.0\"\n");
        for (index, reference) in references.iter().enumerate() {
            text += &format!("[plugins.p{index}]\ncomponent = \"{reference}\"\n{GRANTS}");
        }
        // So that none of these stays, and each refusal ends the host.
        text += "[probation]\nseconds = 3600\n";
        self.write(name, text);
    }

    /// Runs a deployment on the device without any network, not even loopback,
    /// until it has started; then stops it.
    pub(crate) async fn runs_without_network(&self, deployment: &str) -> Ended {
        let mut host = self.host_without_network(deployment);
        host.line("deployment started").await;
        host.signal("TERM").await;
        host.end().await
    }

    /// The same, which refuses the deployment.
    pub(crate) async fn refuses(&self, deployment: &str) -> Ended {
        let ended = self.host_without_network(deployment).end().await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        ended
    }

    /// The file called `name` somewhere below `folder`.
    pub(crate) fn find(&self, folder: &str, name: &str) -> PathBuf {
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_name() == name {
                    return entry.path();
                }
                if entry.path().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        panic!("no {name} below {folder}")
    }

    /// A device without any network, not even loopback.
    pub(crate) fn host_without_network(&self, deployment: &str) -> Process {
        let binary = env!("CARGO_BIN_EXE_selvedge");
        let mut command = tokio::process::Command::new("unshare");
        command
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--",
                binary,
                "run",
                deployment,
            ])
            .args(["--host-config", "host.toml"])
            .current_dir(self.folder());
        Process::start(&mut command)
    }
}
