//! `selvedge install`: this program as a service of systemd, and its removal.
//!
//! Puts the binary, a unit, a user and a commented configuration in place, each
//! file whole or not at all, and says of each what became of it. Done twice it
//! changes nothing. What an operator wrote is never overwritten or removed:
//! neither the configuration nor a unit that was edited by hand.

mod layout;
mod put;
mod systemd;
#[cfg(test)]
mod tests;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use layout::{Kind, Layout};
use put::Put;

use super::failure::{Failure, Outcome};
use super::output::{json, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Install below this directory instead of into the running system: for
    /// images and packages.
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Where programs are: /usr or /usr/local.
    #[arg(long, value_name = "DIRECTORY", default_value = "/usr")]
    prefix: PathBuf,
    /// Also make the user and the directories, and start the service now and on
    /// each boot.
    #[arg(long, conflicts_with_all = ["print", "uninstall"])]
    enable: bool,
    /// Print the files and write nothing.
    #[arg(long, conflicts_with = "uninstall")]
    print: bool,
    /// Stop the service and remove what was installed. Configuration and data
    /// stay.
    #[arg(long)]
    uninstall: bool,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

/// What was done, and what is left to do.
#[derive(Debug, Serialize)]
struct Report {
    files: Vec<Done>,
    /// Commands that were run, or that are to be run.
    commands: Vec<String>,
    /// Whether they were run.
    commands_run: bool,
}

/// What became of a file.
#[derive(Debug, Serialize)]
struct Done {
    path: PathBuf,
    #[serde(flatten)]
    put: Put,
}

/// A file as `--print` shows it.
#[derive(Debug, Serialize)]
struct Shown {
    path: PathBuf,
    mode: String,
    text: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let layout = Layout::new(args.root.as_deref(), &args.prefix)?;
    if args.print {
        print(&layout, args.json)?;
    } else {
        may_write(args)?;
        let report = if args.uninstall {
            uninstall(args, &layout)?
        } else {
            install(args, &layout)?
        };
        tell(args, &layout, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn install(args: &Args, layout: &Layout) -> Outcome<Report> {
    let mut files = Vec::new();
    let binary = layout.binary();
    let put = put::binary(&binary)?;
    files.push(Done { path: binary, put });
    for file in layout.files() {
        let put = match file.kind {
            Kind::Ours => put::ours(&file.path, &file.text)?,
            Kind::Operators => put::if_absent(&file.path, &file.text)?,
        };
        let path = file.path;
        files.push(Done { path, put });
    }
    let replaced = files.iter().any(|done| done.put == Put::Replaced);
    let commands = systemd::to_enable(args.root.as_deref(), replaced);
    if args.enable {
        for command in &commands {
            command.run()?;
        }
    }
    Ok(Report {
        files,
        commands: commands.iter().map(ToString::to_string).collect(),
        commands_run: args.enable,
    })
}

fn uninstall(args: &Args, layout: &Layout) -> Outcome<Report> {
    let root = args.root.as_deref();
    let mut commands = Vec::new();
    if layout.unit().exists() {
        commands.push(systemd::to_disable(root));
    }
    for command in &commands {
        command.run()?;
    }
    let mut files = Vec::new();
    for file in layout.files() {
        let put = match file.kind {
            Kind::Ours => put::remove(&file.path)?,
            Kind::Operators => put::leave(&file.path),
        };
        let path = file.path;
        files.push(Done { path, put });
    }
    let path = layout.binary();
    let put = put::remove_binary(&path)?;
    files.push(Done { path, put });
    if root.is_none() {
        let reload = systemd::to_reload();
        reload.run()?;
        commands.push(reload);
    }
    Ok(Report {
        files,
        commands: commands.iter().map(ToString::to_string).collect(),
        commands_run: true,
    })
}

fn print(layout: &Layout, as_json: bool) -> Outcome<()> {
    if as_json {
        let shown = |file: layout::File| Shown {
            path: file.path,
            mode: format!("{:04o}", put::MODE),
            text: file.text,
        };
        return json(&layout.files().into_iter().map(shown).collect::<Vec<_>>());
    }
    for (index, file) in layout.files().into_iter().enumerate() {
        if index > 0 {
            say("")?;
        }
        say(&format!("==> {}", file.path.display()))?;
        say(file.text.trim_end())?;
    }
    Ok(())
}

fn tell(args: &Args, layout: &Layout, report: &Report) -> Outcome<()> {
    if args.json {
        return json(report);
    }
    for Done { path, put } in &report.files {
        let note = put.note();
        let note = note.map(|note| format!(": {note}")).unwrap_or_default();
        say(&format!("{:9}  {}{note}", put.name(), path.display()))?;
    }
    let heading = if report.commands_run {
        "ran"
    } else {
        "now run"
    };
    for command in &report.commands {
        say(&format!("{heading:9}  {command}"))?;
    }
    if args.uninstall {
        let (data, user) = (layout.data().display().to_string(), "the user `selvedge`");
        say(&format!("left       {data} and {user}: they may be yours"))?;
    }
    Ok(())
}

/// Only root changes the system. Below another root anybody may who can write
/// there.
fn may_write(args: &Args) -> Outcome<()> {
    let is_root = || Ok::<_, std::io::Error>(fs_err::metadata("/proc/self")?.uid() == 0);
    if args.root.is_some() || is_root()? {
        return Ok(());
    }
    #[derive(Debug, thiserror::Error)]
    #[error("only root may change the system")]
    struct NotRoot;

    let hint = "run it with `sudo`, name a `--root` to install below, or see with `--print` \
                what would be written";
    Err(Failure::new(NotRoot, Some(hint.to_owned())))
}

/// `path`, an absolute one, below `root`.
fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    let Some(root) = root else {
        return path.to_owned();
    };
    root.join(path.strip_prefix("/").unwrap_or(path))
}
