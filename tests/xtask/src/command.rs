//! Starting other programs, and why a task failed.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};

use wasm_build::{BuildError, Workspace};

/// Why a task failed, for the person who started it.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    usage: bool,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, usage: false }
    }

    /// The command line was wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, usage: true }
    }

    /// 1, or 64 for a wrong command line (sysexits.h).
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.usage { 64 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(error.report())
    }
}

impl From<std::io::Error> for Failure {
    /// For `fs_err`, whose errors name the file.
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// A cargo command in the workspace, as if it were typed by the user.
#[derive(Debug)]
pub(crate) struct Cargo(Command);

impl Cargo {
    pub(crate) fn new(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut command = Command::new("cargo");
        command.current_dir(workspace.root()).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_set_by_cargo_run) {
                command.env_remove(name);
            }
        }
        Self(command)
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    /// Runs it in `folder`, whose `.cargo/config.toml` counts: flags of the
    /// environment would come before those in it.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder).env_remove("RUSTFLAGS");
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        run(self.0)
    }
}

/// `cargo run` describes xtask to xtask; a build script that looks at such a
/// variable would run again in every other cargo command.
fn is_set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || [
            "CARGO",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
            "CARGO_PRIMARY_PACKAGE",
        ]
        .contains(&name)
}

/// Whether this is a machine that guards the repository: what people may do
/// without, it may not.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// Runs a command whose output the user sees.
pub(crate) fn run(mut command: Command) -> Result<(), Failure> {
    let shown = show(&command);
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot run `{shown}`: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{shown}` failed: {status}")))
}

/// Runs a command quietly: did it succeed? A program that is not there did not.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_reported_as_it_was_called() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let failure = run(command).unwrap_err();
        assert_eq!(failure.to_string(), "`sh -c exit 3` failed: exit status: 3");
        let failure = run(Command::new("no-such-program")).unwrap_err();
        assert!(
            failure
                .to_string()
                .starts_with("cannot run `no-such-program`: ")
        );
        assert!(!succeeds(&mut Command::new("no-such-program")));
    }

    #[test]
    fn the_users_own_settings_reach_the_inner_cargo() {
        assert!(is_set_by_cargo_run("CARGO_PKG_VERSION"));
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "RUSTFLAGS",
        ] {
            assert!(!is_set_by_cargo_run(name), "{name}");
        }
    }
}
