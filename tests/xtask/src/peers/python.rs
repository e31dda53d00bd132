//! Peers written in Python, in a virtual environment of their own.

use std::path::Path;
use std::process::Command;

use super::{debian, write_script};
use crate::command::{Failure, run, succeeds};

/// Installs `requirements` to a new virtual environment in `folder`.
pub(super) fn install(requirements: &Path, folder: &Path) -> Result<(), Failure> {
    need_venv()?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(venv)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args([
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
    ])
    .arg(requirements);
    run(pip)
}

/// `bin/python` runs in the environment.
pub(super) fn link(peers: &Path) -> Result<(), Failure> {
    let python = peers.join("python/bin/python");
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display());
    write_script(&peers.join("bin/python"), &script)
}

/// Debian ships Python without the part that makes virtual environments.
fn need_venv() -> Result<(), Failure> {
    let is_there = || succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if is_there() {
        return Ok(());
    }
    println!("python3 cannot make virtual environments: Debian's `python3-venv` is missing");
    debian::install("python3-venv")?;
    if is_there() {
        return Ok(());
    }
    Err(Failure::new(
        "`python3 -c 'import ensurepip, venv'` fails although `python3-venv` is installed: \
         is another `python3` first in PATH?",
    ))
}
