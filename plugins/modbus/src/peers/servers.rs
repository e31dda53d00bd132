//! Starts the servers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server process, ended with this value.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("listening ")
            .unwrap_or_else(|| panic!("the server said {line:?}"));
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source(name: &str) -> PathBuf {
    root().join("tests/peers/modbus").join(name)
}

fn skipped(what: &str, missing: &Path) {
    println!(
        "skipped: no {what} at {}; `cargo xtask peers` installs it",
        missing.display()
    );
}

fn python() -> Option<PathBuf> {
    let python = root().join("target/peers/bin/python");
    if python.exists() {
        return Some(python);
    }
    skipped("Python with pymodbus", &python);
    None
}

/// pymodbus with the values of `server.py`.
pub(super) fn pymodbus() -> Option<Server> {
    Some(Server::start(
        Command::new(python()?).arg(source("server.py")),
    ))
}

/// A server that misbehaves.
pub(super) fn hostile(arguments: &[&str]) -> Option<Server> {
    let mut command = Command::new(python()?);
    Some(Server::start(
        command.arg(source("hostile.py")).args(arguments),
    ))
}

/// The folder of libmodbus, which is named for the machine's architecture.
fn library(folder: &Path) -> Option<PathBuf> {
    let folders = fs_err::read_dir(folder).ok()?.flatten();
    let found = folders
        .map(|entry| entry.path())
        .find(|path| path.join("libmodbus.so").exists())?;
    Some(fs_err::canonicalize(found).unwrap())
}

/// libmodbus with the values of `server.c`, compiled here.
pub(super) fn libmodbus(directory: &Path) -> Option<Server> {
    let installed = root().join("target/peers/deb/usr");
    let Some(library) = library(&installed.join("lib")) else {
        skipped("libmodbus", &installed);
        return None;
    };
    let binary = directory.join("server");
    let compiled = Command::new("cc")
        .arg("-I")
        .arg(installed.join("include/modbus"))
        .arg(source("server.c"))
        .arg("-o")
        .arg(&binary)
        .arg("-L")
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .arg("-lmodbus")
        .status()
        .unwrap();
    assert!(compiled.success());
    Some(Server::start(&mut Command::new(binary)))
}
