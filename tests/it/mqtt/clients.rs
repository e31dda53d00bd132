//! Other people's clients, with exactly the files that `selvedge device add` wrote:
//! mosquitto's, Eclipse Paho and the AWS IoT Device SDK, both versions.
//!
//! Each does what a device does against the real host, and against mosquitto,
//! which says that the files are good wherever the site's authority is trusted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::sleep;

use super::certificates::Files;
use super::mosquitto::{Mosquitto, mutual_tls};
use crate::discovery::site::{ECHOES, Site};
use crate::peers;
use crate::process::{Process, run};
use crate::support::within;

const PARTS: [&str; 4] = [
    "bin/mosquitto",
    "bin/mosquitto_pub",
    "bin/mosquitto_sub",
    "bin/python",
];
const VERSIONS: [&str; 2] = ["3.1.1", "5"];

/// A device and somebody who commands it, at some broker.
struct Line {
    peers: PathBuf,
    site: Site,
    device: PathBuf,
    boss: PathBuf,
    _foreign: Option<Mosquitto>,
}

impl Line {
    /// At the real host.
    async fn ours() -> Option<Self> {
        let peers = peers::installed(&PARTS)?;
        let site = Site::start("[discovery]\nlisten = '127.0.0.1:0'").await;
        Some(Self::at(peers, site, None).await)
    }

    /// At a mosquitto that trusts the site's authority.
    async fn foreign() -> Option<Self> {
        let peers = peers::installed(&PARTS)?;
        let mut site = Site::new("").await;
        let files = Files {
            authority: site.path("data/ca/ca.crt"),
            certificate: site.path("data/ca/server.crt"),
            key: site.path("data/ca/server.key"),
        };
        let broker = Mosquitto::start(&peers.join("bin/mosquitto"), &mutual_tls(&files));
        site.broker = broker.address;
        Some(Self::at(peers, site, Some(broker)).await)
    }

    async fn at(peers: PathBuf, site: Site, foreign: Option<Mosquitto>) -> Self {
        let device = site.add("oven", &ECHOES).await;
        let boss = site.add("boss", &["--publish", "command/#"]).await;
        let line = Self {
            peers,
            site,
            device,
            boss,
            _foreign: foreign,
        };
        line.is_known().await;
        line
    }

    /// Waits until the broker knows both devices: it looks each second.
    async fn is_known(&self) {
        for folder in [&self.device, &self.boss] {
            let known = async {
                while self.publish(folder, "5", &[]).await != Some(0) {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            within("the broker to let its devices in", known).await;
        }
    }

    /// A mosquitto client as the README of the folder says.
    fn mosquitto(&self, program: &str, folder: &Path, version: &str) -> Command {
        let mut command = Command::new(self.peers.join("bin").join(program));
        let version = if version == "5" { "mqttv5" } else { "mqttv311" };
        command
            .args(["-V", version])
            .env("XDG_CONFIG_HOME", ".")
            .current_dir(folder);
        command
    }

    /// How `mosquitto_pub` ended; without arguments it says nothing of interest.
    async fn publish(&self, folder: &Path, version: &str, more: &[&str]) -> Option<i32> {
        let mut command = self.mosquitto("mosquitto_pub", folder, version);
        let own = folder.file_name().unwrap().to_str().unwrap();
        let topic = match own {
            "boss" => "command/here",
            _ => "state/oven/here",
        };
        match more {
            [] => command.args(["-t", topic, "-m", "here"]),
            more => command.args(more),
        };
        run(&mut command).await.code
    }

    fn python(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.peers.join("bin/python"));
        command.arg(script).args(arguments);
        command
    }

    /// One of the test's own devices, which does all that devices do.
    async fn works(&self, script: &str, version: &str) {
        let script = peers::scripts().join("mqtt").join(script);
        let folder = self.device.to_str().unwrap();
        let mut device = Process::start(&mut self.python(&script, &[folder, version, "work"]));
        for step in ["connected present=False", "echoed", "retained"] {
            device.line(step).await;
        }
        device.line("waits for a command").await;
        let command = ["-t", "command/line/oven/do", "-m", version];
        assert_eq!(self.publish(&self.boss, version, &command).await, Some(0));
        device.line(&format!("command {version}")).await;
        device.line("kept").await;
        assert_eq!(device.end().await.code, Some(0));
    }

    /// The scripts that come with the files.
    async fn connects(&self, script: &str, version: &str) {
        let script = self.device.join(script);
        let echo = ["--publish", "state/oven/up", "hello"];
        let subscribe = ["--subscribe", "state/oven/up", "--count", "1"];
        for arguments in [&echo[..], &[&echo[..], &subscribe].concat()] {
            let arguments = [&["--protocol", version], arguments].concat();
            let ended = run(&mut self.python(&script, &arguments)).await;
            assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
            assert!(ended.stdout.contains("connected"));
            let is_echo = arguments.contains(&"--subscribe");
            let has_echo = ended.stdout.contains("state/oven/up hello\n");
            assert_eq!(
                has_echo,
                is_echo,
                "{arguments:?}: {ended:?}\n{}",
                self.site.log()
            );
        }
    }

    /// mosquitto's own clients.
    async fn mosquitto_works(&self, version: &str) {
        let kept = ["-t", "state/oven/kept", "-m", "stays", "-r"];
        assert_eq!(self.publish(&self.device, version, &kept).await, Some(0));
        let mut subscriber = self.mosquitto("mosquitto_sub", &self.device, version);
        subscriber.args(["-t", "state/oven/kept", "-C", "1", "-F", "%r %q %p"]);
        assert_eq!(run(&mut subscriber).await.stdout, "1 1 stays\n");

        let session: &[&str] = match version {
            "5" => &["-c", "-x", "3600"],
            _ => &["-c"],
        };
        let mut leaves = self.mosquitto("mosquitto_sub", &self.device, version);
        leaves.args(["-t", "command/+/oven/#", "-E"]).args(session);
        assert_eq!(run(&mut leaves).await.code, Some(0));
        for number in ["1", "2", "3"] {
            let command = ["-t", "command/line/oven/do", "-m", number];
            assert_eq!(self.publish(&self.boss, version, &command).await, Some(0));
        }
        let mut comes = self.mosquitto("mosquitto_sub", &self.device, version);
        comes
            .args(["-t", "command/+/oven/#", "-C", "3"])
            .args(session);
        assert_eq!(run(&mut comes).await.stdout, "1\n2\n3\n");
        // Whatever is left of the session goes.
        let mut ends = self.mosquitto("mosquitto_sub", &self.device, version);
        ends.args(["-t", "command/+/oven/#", "-E"]);
        assert_eq!(run(&mut ends).await.code, Some(0));
    }
}

/// All of them, at one broker. Sessions that are kept are another's business in
/// the next version: each has devices of its own.
async fn every_client_works(line: &Line, version: &str) {
    line.mosquitto_works(version).await;
    line.connects("connect-paho.py", version).await;
    line.connects("connect-aws-sdk.py", version).await;
}

#[tokio::test]
async fn the_files_of_a_device_are_good_at_any_broker() {
    for version in VERSIONS {
        let Some(line) = Line::foreign().await else {
            return;
        };
        every_client_works(&line, version).await;
        line.works("paho_device.py", version).await;
        let Some(line) = Line::foreign().await else {
            return;
        };
        line.works("aws_device.py", version).await;
    }
}

#[tokio::test]
async fn clients_of_mosquitto_and_the_ready_scripts_work() {
    for version in VERSIONS {
        let Some(line) = Line::ours().await else {
            return;
        };
        every_client_works(&line, version).await;
    }
}

#[tokio::test]
async fn a_device_with_paho_works() {
    for version in VERSIONS {
        let Some(line) = Line::ours().await else {
            return;
        };
        line.works("paho_device.py", version).await;
    }
}

#[tokio::test]
async fn a_device_with_the_aws_sdk_works() {
    for version in VERSIONS {
        let Some(line) = Line::ours().await else {
            return;
        };
        line.works("aws_device.py", version).await;
    }
}

#[tokio::test]
async fn the_aws_sdk_finds_its_gateway_by_itself() {
    let Some(line) = Line::ours().await else {
        return;
    };
    let script = peers::scripts().join("mqtt/aws_device.py");
    let port = line.site.https.unwrap().port().to_string();
    let folder = line.device.to_str().unwrap();
    for version in VERSIONS {
        let arguments = [folder, version, "discover", "localhost", &port, "oven"];
        let ended = run(&mut line.python(&script, &arguments)).await;
        let found = format!("found 127.0.0.1:{}\nconnected\n", line.site.broker.port());
        assert_eq!(ended.stdout, found, "{}", ended.stderr);
    }
    let arguments = [folder, "5", "discover", "localhost", &port, "boss"];
    let ended = run(&mut line.python(&script, &arguments)).await;
    assert_eq!(ended.stdout, "refused 403\n", "{}", ended.stderr);
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_and_does_not_come_again() {
    let Some(line) = Line::ours().await else {
        return;
    };
    let script = peers::scripts().join("mqtt/paho_device.py");
    let folder = line.device.to_str().unwrap();
    let mut device = Process::start(&mut line.python(&script, &[folder, "5", "stay"]));
    device.line("connected").await;
    line.site
        .succeeds(&["device", "revoke", "oven", "--reason", "stolen"])
        .await;
    device.line("cut off").await;
    device.line("refused").await;
    assert_eq!(device.end().await.code, Some(0));
    let status = line.publish(&line.boss, "5", &[]).await;
    assert_eq!(status, Some(0), "others go on");
}

#[tokio::test]
async fn a_new_certificate_takes_over_while_the_old_one_is_good() {
    let Some(line) = Line::ours().await else {
        return;
    };
    let old = line.site.path("old");
    fs_err::create_dir(&old).unwrap();
    for file in fs_err::read_dir(&line.device).unwrap() {
        let file = file.unwrap();
        fs_err::copy(file.path(), old.join(file.file_name())).unwrap();
    }
    let script = peers::scripts().join("mqtt/paho_device.py");
    let arguments = [old.to_str().unwrap(), "5", "stay"];
    let mut device = Process::start(&mut line.python(&script, &arguments));
    device.line("connected").await;
    let endpoint = format!("localhost:{}", line.site.broker.port());
    let rotate = ["device", "rotate", "oven", "--endpoint", &endpoint];
    line.site.succeeds(&rotate).await;
    line.is_known().await;
    let here = ["-t", "state/oven/here", "-m", "here"];
    assert_eq!(line.publish(&old, "5", &here).await, Some(0), "still good");
    // At once: both that are out are good no longer.
    line.site
        .succeeds(&[&rotate[..], &["--overlap", "0"]].concat())
        .await;
    let cut = device.line("cut off").await;
    assert_eq!(cut, "cut off: Not authorized", "and not before");
    device.line("refused").await;
    assert_eq!(device.end().await.code, Some(0));
    line.is_known().await;
}
