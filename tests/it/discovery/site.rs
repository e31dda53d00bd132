//! A site as an operator sets it up: `selvedge ca init`, `selvedge device add`,
//! and a host that needs nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::process::{DEADLINE, Ended, run, selvedge, text};

/// How often the log is looked at.
const LOOK_EACH: Duration = Duration::from_millis(10);

/// What a device may do that echoes: publish what it may subscribe.
pub(crate) const ECHOES: [&str; 8] = [
    "--publish",
    "state/{device}/#",
    "--publish",
    "command/+/{device}/#",
    "--subscribe",
    "state/{device}/#",
    "--subscribe",
    "command/+/{device}/#",
];

/// A site. Dropped, its host is killed.
pub(crate) struct Site {
    folder: TempDir,
    child: Option<Child>,
    /// Where the broker listens.
    pub(crate) broker: SocketAddr,
    /// Where discovery is answered, if it is.
    pub(crate) https: Option<SocketAddr>,
}

impl Site {
    /// A site with an authority, whose host does not run; `settings` are more lines
    /// of `host.toml`, after those of `[broker]`.
    pub(crate) async fn new(settings: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
            broker: ([127, 0, 0, 1], 0).into(),
            https: None,
        };
        let config = format!(
            "data_directory = 'data'\nlog.format = 'json'\napi.socket = 'api.sock'\n\
             [broker]\nlisten = '127.0.0.1:0'\n{settings}\n"
        );
        fs_err::write(site.path("host.toml"), config).unwrap();
        site.succeeds(&["ca", "init"]).await;
        site
    }

    /// The same, and its host runs.
    pub(crate) async fn start(settings: &str) -> Self {
        let mut site = Self::new(settings).await;
        site.run().await;
        site
    }

    /// Runs its host, and waits until it serves.
    pub(crate) async fn run(&mut self) {
        let log = fs_err::File::create(self.path("log")).unwrap();
        let host = self.path("host.toml");
        let child = selvedge(&["run", "--host-config", text(&host)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
        self.broker = self.address("broker listening").await;
        let config = fs_err::read_to_string(host).unwrap();
        if config.contains("[discovery]\nlisten") {
            self.https = Some(self.address("discovery serving").await);
        }
    }

    async fn address(&self, message: &str) -> SocketAddr {
        let line = self.logged(message).await;
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// The fields of the first log line with this message, once there is one.
    pub(crate) async fn logged(&self, message: &str) -> Json {
        let begun = Instant::now();
        loop {
            let log = self.log();
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Json>(line).ok());
            let mut fields = lines.map(|mut line| line["fields"].take());
            if let Some(found) = fields.find(|fields| fields["message"] == message) {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "no `{message}`:\n{log}");
            sleep(LOOK_EACH).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command about this site, in its folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = selvedge(arguments);
        command
            .args(["--host-config", text(&self.path("host.toml"))])
            .current_dir(self.folder.path());
        command
    }

    /// Runs such a command.
    pub(crate) async fn ends(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments)).await
    }

    /// The same, which must succeed; what it printed.
    pub(crate) async fn succeeds(&self, arguments: &[&str]) -> String {
        let ended = self.ends(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    /// Adds a device, and says where its folder is.
    pub(crate) async fn add(&self, name: &str, more: &[&str]) -> PathBuf {
        let endpoint = match self.broker.port() {
            0 => "localhost".to_owned(),
            port => format!("localhost:{port}"),
        };
        let arguments = ["device", "add", name, "--endpoint", &endpoint];
        self.succeeds(&[&arguments[..], more].concat()).await;
        self.path(name)
    }

    /// Asks the running host.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> String {
        let mut command = selvedge(arguments);
        let ended = run(command.args(["--host", text(&self.path("api.sock"))])).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> String {
    fs_err::read_to_string(path).unwrap()
}
