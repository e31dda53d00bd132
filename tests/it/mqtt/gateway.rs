//! The real host with a broker on a port of its own, an authority, and devices:
//! what a test of client devices begins with.
//!
//! It is killed by its id when dropped; its folder, with its data and its log,
//! outlasts [`kill`](Gateway::kill) and [`start_again`](Gateway::start_again).

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::certificates::{self, Authority, Pair};
use super::small_disk::SmallDisk;
use super::target::Target;
use crate::process::{DEADLINE, selvedge, text};

/// How often the log is looked at.
const LOOK_EACH: Duration = Duration::from_millis(10);

/// What a gateway is to be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// More lines of `[broker]`, and after them other tables.
    pub(crate) broker: String,
    /// More lines at the top of `host.toml`.
    pub(crate) host: String,
    /// A deployment to run, in development mode.
    pub(crate) deployment: Option<PathBuf>,
    /// Files and connections that it may have open.
    pub(crate) open_files_max: Option<u32>,
}

/// A gateway.
pub(crate) struct Gateway {
    child: Option<Child>,
    setup: Setup,
    /// What vouches for the gateway and for its devices.
    pub(crate) authority: Authority,
    /// Where it listens with TLS.
    pub(crate) address: SocketAddr,
    /// Where it listens without, if it does.
    pub(crate) plain: Option<SocketAddr>,
    folder: TempDir,
    /// The process whose mounts it sees, if those are not the test's.
    mounts: Option<u32>,
    /// Bytes of the log that earlier runs wrote.
    log_begin: usize,
}

impl Gateway {
    /// A gateway with these devices, each of which may do everything.
    pub(crate) async fn start(devices: &[&str]) -> Self {
        Self::start_with(Setup::default(), devices).await
    }

    pub(crate) async fn start_with(setup: Setup, devices: &[&str]) -> Self {
        let mut gateway = Self::prepare(setup, devices);
        gateway.start_again().await;
        gateway
    }

    /// One that does not run yet.
    pub(crate) fn prepare(setup: Setup, devices: &[&str]) -> Self {
        let gateway = Self {
            child: None,
            setup,
            authority: Authority::new("site"),
            address: ([127, 0, 0, 1], 0).into(),
            plain: None,
            folder: tempfile::tempdir().unwrap(),
            mounts: None,
            log_begin: 0,
        };
        gateway.serve_as(&gateway.authority.issue("gateway"));
        let authority = gateway.path("authority.pem");
        fs_err::write(authority, gateway.authority.pem()).unwrap();
        for device in devices {
            gateway.device(device, "publish = [\"#\"]\nsubscribe = [\"#\"]\n");
        }
        gateway.write_host_config("127.0.0.1:0");
        gateway
    }

    fn write_host_config(&self, listen: &str) {
        let Setup { broker, host, .. } = &self.setup;
        let config = format!(
            "data_directory = \"data\"\nlog.format = \"json\"\napi.socket = \"api.sock\"\n{host}\n\
             [broker]\nlisten = \"{listen}\"\n\
             tls.certificate = \"gateway.pem\"\ntls.key = \"gateway.key\"\n\
             tls.client_ca = \"authority.pem\"\n{broker}\n"
        );
        fs_err::write(self.path("host.toml"), config).unwrap();
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the file of a device.
    pub(crate) fn device(&self, name: &str, text: &str) {
        let folder = self.path("data/devices");
        fs_err::create_dir_all(&folder).unwrap();
        // Never half there.
        let new = folder.join(format!(".{name}.new"));
        fs_err::write(&new, text).unwrap();
        fs_err::rename(&new, folder.join(format!("{name}.toml"))).unwrap();
    }

    /// Gives the gateway another certificate.
    pub(crate) fn serve_as(&self, pair: &Pair) {
        fs_err::write(self.path("gateway.key"), &pair.key).unwrap();
        fs_err::write(self.path("gateway.pem"), &pair.certificate).unwrap();
    }

    /// From now on its data directory is on `disk`, with what is in it.
    pub(crate) fn live_on(&mut self, disk: &SmallDisk) {
        self.mounts = Some(disk.holder());
    }

    /// `selvedge run` of this gateway.
    pub(crate) fn command(&self) -> Command {
        let host = self.path("host.toml");
        let mut arguments = match &self.setup.deployment {
            Some(deployment) => vec!["dev", text(deployment)],
            None => vec!["run"],
        };
        arguments.extend(["--host-config", text(&host)]);
        if let Some(mounts) = self.mounts {
            let mut command = Command::new("nsenter");
            command.args(["--target", &mounts.to_string()]);
            command.args(["--user", "--preserve-credentials", "--mount", "--"]);
            command.arg(env!("CARGO_BIN_EXE_selvedge"));
            command.args(arguments).env_remove("SELVEDGE_LOG");
            return command;
        }
        let Some(max) = self.setup.open_files_max else {
            return selvedge(&arguments);
        };
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {max}; exec \"$0\" \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_selvedge")]);
        command.args(arguments).env_remove("SELVEDGE_LOG");
        command
    }

    /// A command of the CLI that asks this gateway.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Command {
        let socket = self.path("api.sock");
        let mut command = selvedge(arguments);
        command.args(["--host", text(&socket)]);
        command
    }

    /// As [`get`](Self::get), whatever the answer is, with its head.
    pub(crate) fn try_get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.path("api.sock"))?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: selvedge\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What the management API answers to a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = self.try_get(path).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// Waits until it ends by itself; how.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let ended = timeout(DEADLINE, child.wait()).await;
        let log = || self.log();
        let ended = ended.unwrap_or_else(|_| panic!("it does not end:\n{}", log()));
        ended.unwrap().code()
    }

    /// Starts it, after a kill at the same address, and waits until it serves.
    pub(crate) async fn start_again(&mut self) {
        self.spawn();
        if self.address.port() != 0 {
            self.listening_again().await;
        }
        self.listening().await;
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.log_begin = self.log().len();
        let log = fs_err::File::options();
        let mut log = log;
        let log = log.create(true).append(true).open(self.log_path()).unwrap();
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_parts().0)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Waits until it serves.
    pub(crate) async fn listening(&mut self) {
        // An uplink may be plain, too.
        let own = self.setup.broker.split("[uplinks").next();
        let is_plain = own.is_some_and(|own| own.contains("plain"));
        let ready = if is_plain { 2 } else { 1 };
        let lines = self
            .logged(ready, |line| line["message"] == "broker listening")
            .await;
        for line in lines {
            let address = line["address"].as_str().unwrap().parse().unwrap();
            if line["tls"] == true {
                self.address = address;
            } else {
                self.plain = Some(address);
            }
        }
        // Clients come back to the same place.
        self.write_host_config(&self.address.to_string());
    }

    /// As [`listening`](Self::listening), however often somebody else has its port
    /// as it starts: while it was away, a connection of another test may have got it.
    pub(crate) async fn listening_again(&mut self) {
        let begun = Instant::now();
        loop {
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().unwrap().is_none() {
                let mut lines = self.lines().into_iter();
                if lines.any(|line| line["message"] == "broker listening") {
                    return;
                }
            } else {
                let own = self.log().split_off(self.log_begin);
                assert!(own.contains("in use"), "it ended:\n{own}");
                self.child = None;
                self.spawn();
            }
            assert!(begun.elapsed() < DEADLINE, "not listening:\n{}", self.log());
            sleep(LOOK_EACH).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.path("gateway.log")
    }

    /// All that it logged, over all its runs.
    pub(crate) fn log(&self) -> String {
        let log = fs_err::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The fields of lines that this run has logged so far.
    pub(crate) fn lines(&self) -> Vec<Json> {
        let log = self.log();
        let lines = log.get(self.log_begin..).unwrap_or_default().lines();
        let lines = lines.filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines.map(|mut line| line["fields"].take()).collect()
    }

    /// Waits until this run has logged so many lines of this kind; their fields.
    pub(crate) async fn logged(
        &mut self,
        count: usize,
        wanted: impl Fn(&Json) -> bool,
    ) -> Vec<Json> {
        let begun = Instant::now();
        loop {
            let mut lines = self.lines();
            lines.retain(&wanted);
            if lines.len() >= count {
                return lines;
            }
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < DEADLINE, "not logged:\n{}", self.log());
            sleep(LOOK_EACH).await;
        }
    }

    /// Waits for a line with this `code`; its fields.
    pub(crate) async fn refused(&mut self, code: &str) -> Json {
        let lines = self.logged(1, |line| line["code"] == code).await;
        lines[0].clone()
    }

    /// The gateway, as a device sees it that shows the authority's certificate for
    /// it. It may use the topics that begin with its name, if its file says no more.
    pub(crate) fn target(&self, device: &str) -> Target {
        self.target_as(device, &self.authority.issue(device))
    }

    /// As [`target`](Self::target), for one that shows `pair`.
    pub(crate) fn target_as(&self, device: &str, pair: &Pair) -> Target {
        let tls = certificates::client(&self.authority.pem(), pair);
        Target {
            address: self.address,
            tls: Some(Arc::clone(&tls)),
            client: format!("{device}-"),
            root: device.to_owned(),
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        let child = self.child.as_ref().expect("it runs");
        child.id().expect("it has not been waited for")
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.unwrap();
    }

    /// Stops it in order; how it ended.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let id = child.id().expect("it has not been waited for");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s TERM {id}")])
            .status();
        assert!(sent.await.unwrap().success(), "cannot signal {id}");
        let ended = timeout(DEADLINE, child.wait()).await;
        ended.expect("it stops in time").unwrap().code()
    }
}
