//! Other people's Modbus programs: pymodbus, libmodbus and mbpoll, as
//! `cargo xtask peers` set them up.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::peers;
use crate::process::{Process, run};

/// Where everything is.
pub(super) struct Peers {
    installed: PathBuf,
    sources: PathBuf,
}

/// A server, listening on loopback.
pub(super) struct Server {
    pub(super) process: Process,
    /// `127.0.0.1:<port>`.
    pub(super) address: String,
}

impl Peers {
    /// The peers; none, said aloud, if nobody promised that they are there.
    pub(super) fn find() -> Option<Self> {
        let parts = ["bin/python", "bin/mbpoll", "deb/usr/include/modbus"];
        Some(Self {
            installed: peers::installed(&parts)?,
            sources: peers::scripts().join("modbus"),
        })
    }

    /// pymodbus with the values that `server.py` documents.
    pub(super) async fn pymodbus(&self) -> Server {
        self.python("server.py", &["--port", "0"]).await
    }

    /// A server that misbehaves until it gets `SIGUSR1`.
    pub(super) async fn hostile(&self, arguments: &[&str]) -> Server {
        self.python("hostile.py", arguments).await
    }

    async fn python(&self, script: &str, arguments: &[&str]) -> Server {
        let mut command = Command::new(self.installed.join("bin/python"));
        command.arg(self.sources.join(script)).args(arguments);
        Server::start(&mut command).await
    }

    /// libmodbus with the same values, compiled into `folder`.
    pub(super) async fn libmodbus(&self, folder: &Path) -> Server {
        let library = self.library();
        let binary = folder.join("libmodbus-server");
        let mut compile = Command::new("cc");
        compile
            .arg("-I")
            .arg(self.installed.join("deb/usr/include/modbus"))
            .arg("-o")
            .arg(&binary)
            .arg(self.sources.join("server.c"))
            .arg("-L")
            .arg(&library)
            .arg(format!("-Wl,-rpath,{}", library.display()))
            .arg("-lmodbus");
        let compiled = run(&mut compile).await;
        assert_eq!(compiled.code, Some(0), "{}", compiled.stderr);
        Server::start(&mut Command::new(binary)).await
    }

    /// The folder of libmodbus, which is named for the machine's architecture.
    fn library(&self) -> PathBuf {
        let folders = fs_err::read_dir(self.installed.join("deb/usr/lib")).unwrap();
        let mut folders = folders.map(|entry| entry.unwrap().path());
        let found = folders.find(|folder| folder.join("libmodbus.so").exists());
        fs_err::canonicalize(found.expect("libmodbus-dev has it")).unwrap()
    }

    /// What mbpoll prints of `server` with these arguments.
    pub(super) async fn mbpoll(&self, server: &Server, arguments: &[&str]) -> String {
        let (host, port) = server.address.split_once(':').unwrap();
        let mut command = Command::new(self.installed.join("bin/mbpoll"));
        // Once, addresses from 0, ten seconds for an answer.
        command.args(["-1", "-0", "-m", "tcp", "-a", "1", "-o", "10", "-p", port]);
        let split = arguments.iter().position(|argument| *argument == "--");
        let (options, values) = arguments.split_at(split.unwrap_or(arguments.len()));
        command.args(options).arg(host).args(values);
        let ended = run(&mut command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Holding registers, as mbpoll reads them.
    pub(super) async fn registers(&self, server: &Server, address: u16, count: u16) -> Vec<u16> {
        let (address, count) = (address.to_string(), count.to_string());
        let options = ["-t", "4:hex", "-r", &address, "-c", &count];
        let printed = self.mbpoll(server, &options).await;
        let hex = |value: &str| u16::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
        values(&printed).map(hex).collect()
    }

    /// One coil, as mbpoll reads it.
    pub(super) async fn coil(&self, server: &Server, address: u16) -> bool {
        let options = ["-t", "0", "-r", &address.to_string()];
        let printed = self.mbpoll(server, &options).await;
        values(&printed).next() == Some("1")
    }
}

/// What stands behind `[address]:`.
fn values(printed: &str) -> impl Iterator<Item = &str> {
    let lines = printed.lines().filter(|line| line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(':')?.1.trim()))
}

impl Server {
    async fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line("listening ").await;
        let address = line.trim_start_matches("listening ").to_owned();
        Self { process, address }
    }
}
