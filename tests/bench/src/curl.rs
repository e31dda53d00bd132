//! `curl`, the raw thing that a pull is measured against.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Outcome;

/// Whether it is installed.
pub(crate) fn is_there() -> bool {
    let asked = Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Brings what is at `url` to `file`, and waits for no disk.
pub(crate) fn fetch(url: &str, file: &Path) -> Outcome<()> {
    curl(Command::new("curl").arg("--output").arg(file).arg(url)).map(drop)
}

/// What is at `url`; `body` is sent to it, if there is one.
pub(crate) fn ask(url: &str, body: Option<&str>) -> Outcome<Vec<u8>> {
    let mut command = Command::new("curl");
    if let Some(body) = body {
        command.args(["--data-raw", body]);
    }
    curl(command.arg(url))
}

fn curl(command: &mut Command) -> Outcome<Vec<u8>> {
    // Nobody's configuration, no proxy: what is asked is on this machine.
    let quiet = ["--silent", "--show-error", "--fail", "--noproxy", "*"];
    let output = command.args(quiet).env("CURL_HOME", "/").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(output.stdout)
}
