//! The commands of systemd that make a service of what was installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command as Process;

const UNIT: &str = "selvedge.service";

/// Why a command of systemd did not do its part.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("cannot run `{command}`")]
    Start {
        command: String,
        source: std::io::Error,
    },
    #[error("`{command}` failed: {status}")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
    },
}

/// A command and its arguments.
#[derive(Debug)]
pub(super) struct Command(Vec<OsString>);

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            write!(f, "{space}{}", word.to_string_lossy())?;
        }
        Ok(())
    }
}

impl Command {
    fn new(words: &[&str], root: Option<&Path>) -> Self {
        let mut words: Vec<OsString> = words.iter().map(Into::into).collect();
        if let Some(root) = root {
            let mut option = OsString::from("--root=");
            option.push(root);
            words.insert(1, option);
        }
        Self(words)
    }

    /// Runs it to its end; what it prints is for the operator.
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let (program, arguments) = self.0.split_first().unzip();
        let mut process = Process::new(program.cloned().unwrap_or_default());
        process.args(arguments.into_iter().flatten());
        // Standard output is for the report.
        process.stdout(std::io::stderr());
        let status = process.status().map_err(|source| CommandError::Start {
            command: self.to_string(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        Err(CommandError::Failed {
            command: self.to_string(),
            status,
        })
    }
}

/// What makes the service run, in this order: afresh if it may run what was
/// `replaced`. Below another root nothing runs: it is only enabled.
pub(super) fn to_enable(root: Option<&Path>, replaced: bool) -> Vec<Command> {
    let mut commands = vec![
        Command::new(&["systemd-sysusers", "selvedge.conf"], root),
        Command::new(&["systemd-tmpfiles", "--create", "selvedge.conf"], root),
    ];
    if root.is_none() {
        commands.push(to_reload());
    }
    let service: &[&[&str]] = match root {
        Some(_) => &[&["systemctl", "enable", UNIT]],
        None if replaced => &[
            &["systemctl", "enable", UNIT],
            &["systemctl", "restart", UNIT],
        ],
        None => &[&["systemctl", "enable", "--now", UNIT]],
    };
    commands.extend(service.iter().map(|words| Command::new(words, root)));
    commands
}

pub(super) fn to_disable(root: Option<&Path>) -> Command {
    let now: &[&str] = match root {
        None => &["systemctl", "disable", "--now", UNIT],
        Some(_) => &["systemctl", "disable", UNIT],
    };
    Command::new(now, root)
}

pub(super) fn to_reload() -> Command {
    Command::new(&["systemctl", "daemon-reload"], None)
}
