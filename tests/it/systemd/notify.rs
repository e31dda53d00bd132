//! What the real binary tells a service manager; the test is one, with a real
//! datagram socket.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::{timeout, timeout_at};

use crate::process::{DEADLINE, Process, selvedge, text};

/// One shipped plugin.
const DEPLOYMENT: &str = r##"name = "edge"
version = "1.0.0"

[plugins.window]
component = "shipped:window"

[plugins.window.config]
step_ms = 100
length = 64
hop = 16
max_gap_ms = 500
series = [{ record = "vibration", features = ["rms"] }]

[plugins.window.grants]
subscribe = ["telemetry/#"]
publish = ["feature/#"]
"##;

/// How long the service manager of these tests waits for a sign of life.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service manager, and the folder of the host that it starts.
struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("edge.toml"), DEPLOYMENT).unwrap();
        let host = "data_directory = \"data\"\n[log]\nlevel = \"info\"\n";
        fs_err::write(folder.path().join("host.toml"), host).unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        Self { folder, socket }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = selvedge(&["run", "edge.toml", "--host-config", "host.toml"]);
        self.told(command.current_dir(self.folder.path()));
        command
    }

    /// Tells a process whom to notify, as systemd does.
    fn told(&self, command: &mut Command) {
        command
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("WATCHDOG_USEC", PATIENCE.as_micros().to_string());
    }

    async fn heard(&self) -> String {
        heard(&self.socket).await
    }

    /// The next message that is no sign of life.
    async fn news(&self) -> String {
        loop {
            let message = self.heard().await;
            if !message.contains("WATCHDOG=1\n") {
                return message;
            }
        }
    }
}

async fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let received = timeout(DEADLINE, socket.recv(&mut buffer)).await;
    let length = received.expect("the host says nothing").unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Microseconds of the monotonic clock: since the machine was started.
fn monotonic_us() -> u128 {
    let uptime = fs_err::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    Duration::from_secs_f64(seconds).as_micros()
}

#[tokio::test]
async fn a_service_manager_is_told_of_start_life_reload_and_end() {
    let manager = Manager::new();
    let mut host = Process::start(&mut manager.command());
    let ready = manager.news().await;
    assert!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
    assert!(ready.contains("1 of 1 plugin running\n"), "{ready}");

    // Within the time that the service manager waits there are two signs of life;
    // one alone would leave no room for a slow disk.
    for _ in 0..3 {
        let start = Instant::now();
        while !manager.heard().await.contains("WATCHDOG=1\n") {}
        assert!(start.elapsed() < PATIENCE * 3 / 4, "{:?}", start.elapsed());
    }

    let before = monotonic_us();
    host.signal("HUP").await;
    let reloading = manager.news().await;
    assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
    let (_, time) = reloading.split_once("MONOTONIC_USEC=").expect("a time");
    let time: u128 = time.trim_end().parse().unwrap();
    // The uptime has two digits.
    assert!(time + 10_000 >= before, "{time} is before {before}");
    assert!(time <= monotonic_us() + 10_000, "{time} is to come");
    let ready = manager.news().await;
    assert!(ready.starts_with("READY=1\n"), "{ready}");

    host.signal("TERM").await;
    let stopping = manager.news().await;
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert_eq!(host.end().await.code, Some(0));
}

#[tokio::test]
async fn a_reload_takes_the_log_level_of_the_configuration_and_says_what_it_cannot() {
    let manager = Manager::new();
    let mut host = Process::start(&mut manager.command());
    assert!(manager.news().await.starts_with("READY=1\n"));
    let config = fs_err::read_to_string(manager.path("host.toml")).unwrap();
    let reload = async |host: &Process, text: &str| {
        fs_err::write(manager.path("host.toml"), text).unwrap();
        host.signal("HUP").await;
        assert!(manager.news().await.starts_with("RELOADING=1\n"));
        manager.news().await
    };

    reload(&host, &config).await;
    host.line("reloaded").await;
    let ready = reload(&host, &config.replace("level", "levle")).await;
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(ready.contains("; not reloaded: "), "{ready}");
    host.line("not reloaded: what was in force stays").await;
    let quiet = reload(&host, &config.replace("info", "error")).await;
    assert!(!quiet.contains("not reloaded"), "{quiet}");
    host.signal("TERM").await;
    let ended = host.end().await;
    assert_eq!(ended.code, Some(0));
    // From here on nothing below an error is logged.
    let (_, after) = ended.stderr.split_once("what was in force stays").unwrap();
    assert!(!after.contains("unit stopped"), "{after}");
}

#[tokio::test]
async fn an_abstract_socket_of_the_service_manager_is_found() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

    let manager = Manager::new();
    let name = format!("selvedge-it-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let socket = StdDatagram::bind_addr(&address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = UnixDatagram::from_std(socket).unwrap();
    let mut command = manager.command();
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    command.env_remove("WATCHDOG_USEC");
    let mut host = Process::start(&mut command);
    assert!(heard(&socket).await.starts_with("READY=1\n"));
    host.signal("TERM").await;
    // Without a time to wait nobody is told of life.
    assert!(heard(&socket).await.starts_with("STOPPING=1\n"));
    assert_eq!(host.end().await.code, Some(0));
}

#[tokio::test]
async fn a_deployment_that_does_not_start_is_never_ready() {
    let manager = Manager::new();
    let faulty = DEPLOYMENT.replace("max_gap_ms = 500\n", "");
    fs_err::write(manager.path("edge.toml"), faulty).unwrap();
    let mut host = Process::start(&mut manager.command());
    assert_eq!(host.end().await.code, Some(78));
    let mut buffer = [0; 4096];
    while let Ok(length) = manager.socket.try_recv(&mut buffer) {
        let message = String::from_utf8_lossy(&buffer[..length]);
        assert!(!message.contains("READY=1"), "{message}");
    }
}

/// Whether this user may make namespaces, which a small disk of one's own needs.
async fn may_unshare() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-rm", "true"]).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Mounts a small disk for the data directory, says so, and becomes the host.
const ON_A_SMALL_DISK: &str = r#"set -e
mkdir data
mount -t tmpfs -o size=96m,mode=0700 tmpfs data
echo $$ > pid
exec "$0" run edge.toml --host-config host.toml
"#;

#[tokio::test]
async fn a_host_whose_store_takes_no_writes_gives_no_sign_of_life() {
    if !may_unshare().await {
        println!("skipped: this user may not make namespaces (`unshare -rm`)");
        return;
    }
    let manager = Manager::new();
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "sh", "-c", ON_A_SMALL_DISK])
        .arg(env!("CARGO_BIN_EXE_selvedge"))
        .env_remove("SELVEDGE_LOG")
        .current_dir(manager.folder.path());
    manager.told(&mut command);
    let mut host = Process::start(&mut command);
    assert!(manager.news().await.starts_with("READY=1\n"));
    while !manager.heard().await.contains("WATCHDOG=1\n") {}

    let pid = fs_err::read_to_string(manager.path("pid")).unwrap();
    fill(Path::new(&format!("/proc/{}/cwd/data/ballast", pid.trim())));
    host.line("the host is not well: no sign of life").await;
    // One sign may have been on its way. Then there is silence for as long as the
    // service manager waits, and it would end the host.
    while manager.socket.try_recv(&mut [0; 4096]).is_ok() {}
    let silence = tokio::time::Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    while let Ok(received) = timeout_at(silence, manager.socket.recv(&mut buffer)).await {
        let message = String::from_utf8_lossy(&buffer[..received.unwrap()]);
        assert!(!message.contains("WATCHDOG=1"), "{message}");
    }
    host.signal("TERM").await;
    host.end().await;
}

/// Writes until the disk below `path` is full.
fn fill(path: &Path) {
    use std::io::Write as _;

    let mut ballast = fs_err::File::create(path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if ballast.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
    assert_eq!(text(path), text(ballast.path()));
}
