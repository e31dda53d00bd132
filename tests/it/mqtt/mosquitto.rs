//! mosquitto, started by a test on a port of its own: a broker that others trust,
//! and the cloud end of uplinks.
//!
//! It is killed by its id when dropped; its folder, with what it persists and its
//! log, outlasts [`kill`](Mosquitto::kill) and [`restart`](Mosquitto::restart).

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::certificates::Files;
use super::raw::DEADLINE;
use crate::peers;

/// A port that is free may be taken by somebody else before mosquitto has it.
const STARTS_MAX: usize = 5;

/// A running mosquitto.
pub(crate) struct Mosquitto {
    child: Option<Child>,
    program: PathBuf,
    folder: TempDir,
    settings: String,
    pub(crate) address: SocketAddr,
}

/// Where mosquitto is; none, said aloud, if nobody promised that it is there.
pub(crate) fn find() -> Option<PathBuf> {
    Some(peers::installed(&["bin/mosquitto"])?.join("bin/mosquitto"))
}

/// Lines for a listener with TLS that lets in whom the authority of `files` vouches
/// for; its user name is the common name of its certificate.
pub(crate) fn mutual_tls(files: &Files) -> String {
    let Files {
        authority,
        certificate,
        key,
    } = files;
    format!(
        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n",
        authority.display(),
        certificate.display(),
        key.display()
    )
}

impl Mosquitto {
    /// Starts it with one listener on loopback and these lines of configuration
    /// besides; lets everybody do everything unless they say otherwise.
    pub(crate) fn start(program: &Path, settings: &str) -> Self {
        let mut mosquitto = Self {
            child: None,
            program: program.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            settings: settings.to_owned(),
            address: free(),
        };
        for _ in 0..STARTS_MAX {
            if mosquitto.try_restart() {
                return mosquitto;
            }
            mosquitto.address = free();
        }
        panic!("mosquitto does not start:\n{}", mosquitto.log());
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where it keeps what it persists: `persistence_location`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        let log = fs_err::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again after [`kill`](Self::kill), on the same port, which a connection
    /// of another test may have for a while.
    pub(crate) fn restart(&mut self) {
        self.kill();
        for _ in 0..STARTS_MAX {
            if self.try_restart() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("it does not start:\n{}", self.log());
    }

    /// Starts it, unless it ends at once; whether it listens.
    fn try_restart(&mut self) -> bool {
        let folder = self.folder.path();
        let (port, settings) = (self.address.port(), &self.settings);
        let config = format!(
            "user root\npersistence_location {}/\nlog_type all\nlog_dest stderr\n\
             listener {port} 127.0.0.1\nallow_anonymous true\n{settings}",
            folder.display()
        );
        fs_err::write(folder.join("mosquitto.conf"), config).unwrap();
        let mut options = fs_err::OpenOptions::new();
        let log = options.create(true).append(true).open(folder.join("log"));
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap().into_file());
        let said = self.log().len();
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            // Asked itself: whoever answers at the port may be another.
            if self
                .log()
                .get(said..)
                .is_some_and(|log| log.contains(" running"))
            {
                return true;
            }
            let ended = self.child.as_mut().map(Child::try_wait);
            if ended.is_some_and(|ended| ended.unwrap().is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port on loopback that nobody has.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn what_mosquitto_persists_outlasts_a_kill() {
    use super::raw::{Client, Connect, Publish, Version};
    use super::target::Target;

    let Some(program) = find() else {
        return;
    };
    let settings = "persistence true\nautosave_on_changes true\nautosave_interval 1\n";
    let mut mosquitto = Mosquitto::start(&program, settings);
    let target = Target::open(mosquitto.address);
    let connect = Connect::new(Version::V4, "publisher");
    let mut publisher = Client::connect(&target, &connect).await;
    for text in ["1", "2", "3"] {
        let publish = Publish::new("kept", text, 1).with(|publish| publish.retain = true);
        publisher.publish_this(publish).await;
    }
    // Written after the answer.
    let saved = mosquitto.folder().join("mosquitto.db");
    let begun = Instant::now();
    let is_saved = |bytes: Vec<u8>| bytes.windows(5).any(|part| part == b"kept3");
    while !fs_err::read(&saved).is_ok_and(is_saved) {
        assert!(begun.elapsed() < DEADLINE, "nothing is persisted");
        tokio::time::sleep(Duration::from_millis(5)).await;
        publisher.ping().await;
    }
    mosquitto.restart();
    let mut client = Client::connect(&target, &connect).await;
    client.subscribe("kept", 1).await;
    assert_eq!(client.message().await.text(), "3");
}
