//! A cloud of a test: a broker, the double beside it, and a host that knows them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use selvedge::config::HostConfig;

use crate::mqtt::certificates::{Authority, Files};
use crate::mqtt::mosquitto::{Mosquitto, find, mutual_tls};
use crate::peers;
use crate::process::{Process, text};

/// The thing of the tests.
pub(super) const THING: &str = "gw-7";

/// A cloud.
pub(super) struct Cloud {
    pub(super) folder: TempDir,
    pub(super) mosquitto: Mosquitto,
    pub(super) double: Process,
    /// The certificate of the thing.
    pub(super) thing: Files,
    double_files: Files,
    peers: PathBuf,
}

impl Cloud {
    /// None, said aloud, if the peers are not there.
    pub(super) async fn start() -> Option<Self> {
        let program = find()?;
        let parts = ["bin/mosquitto_pub", "python/bin/python"];
        let peers = peers::installed(&parts)?;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("cloud");
        let write = |name: &str| authority.write(name, folder.path());
        let (server, thing, double_files) = (write("server"), write(THING), write("double"));
        let key = folder.path().join("authority.key");
        fs_err::write(&key, authority.key_pem()).unwrap();
        let mosquitto = Mosquitto::start(&program, &mutual_tls(&server));
        let script = peers::scripts().join("cloud/double.py");
        let mut command = Command::new(peers.join("python/bin/python"));
        command.args([text(&script), "--host", "127.0.0.1", "--thing", THING]);
        command.args(["--port", &mosquitto.address.port().to_string()]);
        command.args([
            "--ca",
            text(&double_files.authority),
            "--ca-key",
            text(&key),
        ]);
        command.args(["--cert", text(&double_files.certificate)]);
        command.args(["--key", text(&double_files.key)]);
        let mut double = Process::start(&mut command);
        double.line("ready").await;
        Some(Self {
            folder,
            mosquitto,
            double,
            thing,
            double_files,
            peers,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Tells the double what to do.
    pub(super) async fn orders(&self, what: &str, mut order: Value) {
        order["do"] = what.into();
        let files = &self.double_files;
        let port = self.mosquitto.address.port().to_string();
        let mut command = Command::new(self.peers.join("bin/mosquitto_pub"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "double/do"]);
        command.args(["--cafile", text(&files.authority)]);
        command.args(["--cert", text(&files.certificate)]);
        command.args(["--key", text(&files.key)]);
        command.args(["-m", &order.to_string()]);
        let sent = command.output().await.unwrap();
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Waits for a line of the double.
    pub(super) async fn hears(&mut self, part: &str) -> String {
        self.double.line(part).await
    }

    /// The double ends; all that it said. It found no fault.
    pub(super) async fn end(mut self) -> String {
        self.orders("end", json!({})).await;
        let said = self.double.end().await.stdout;
        let faults: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("fault"))
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
        said
    }

    /// The uplink's part of a host's configuration.
    pub(super) fn uplink(&self, certificate: &Path, key: &Path) -> String {
        format!(
            "[uplinks.aws]\nendpoint = \"127.0.0.1:{}\"\nprofile = \"aws-iot-core\"\n\
             ca = {:?}\ncertificate = {certificate:?}\nkey = {key:?}\nclient_id = \"{THING}\"\n\
             [uplinks.aws.times]\nreconnect_ms_min = 50\nreconnect_ms_max = 200\n",
            self.mosquitto.address.port(),
            self.thing.authority,
        )
    }

    /// Makes a configuration that of this thing, with `cloud` in `[cloud]`.
    pub(super) fn configure(&self, config: &mut HostConfig, cloud: &str) {
        #[derive(serde::Deserialize)]
        struct Part {
            uplinks: std::collections::BTreeMap<
                selvedge::names::PartyName,
                selvedge::uplink::config::UplinkConfig,
            >,
            cloud: selvedge::cloud::config::CloudConfig,
        }
        let uplink = self.uplink(&self.thing.certificate, &self.thing.key);
        let text = format!("{uplink}[cloud]\nuplink = \"aws\"\nthing = \"{THING}\"\n{cloud}");
        let part: Part = toml::from_str(&text).unwrap();
        config.uplinks = part.uplinks;
        config.cloud = Some(part.cloud);
    }
}
