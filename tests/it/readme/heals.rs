//! The upgrade in README.md that goes wrong heals itself as README shows it.
//!
//! The blocks of the section are taken in their order, in one folder, beside the
//! host that the section before it starts:
//!
//! - `toml`: put at the end of `hot.toml`;
//! - `rust`: takes the place of the line of the twelve that begins as it does, and
//!   the plugin is built again; the one with a state is built, and that is all;
//! - without a language: typed as soon as the next deployment is in its probation;
//! - `console` that begins with `tap`: runs in a window of its own to the end;
//! - `console`: typed, one after the other, once nothing is ill any more after a
//!   failure. What they print is what README shows.
//!
//! README leaves out `--host`. [`masks`] says what may be another each time;
//! `UPDATE_EXPECT=1` writes what is printed into README.

mod masks;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use wasm_build::Workspace;

use super::{Pasted, component};
use crate::process::{DEADLINE, Process, run, selvedge, text};
use masks::{is_progress, masked, printable};

const HEADING: &str = "## Deployments that heal themselves";

/// How the window begins in which messages are seen all the time.
const TAP: &str = "selvedge tap ";
/// Passed on by the plugin; typed once the window is there.
const FIRST: &str = r#"selvedge pub telemetry/oven '[{"n": "temperature", "v": 95.5}]'"#;
/// What it shows at the end.
const LAST: &str = "97.5";
/// How the lines begin that give a plugin a state.
const STATEFUL: &str = "use selvedge_plugin::{Stateful";
/// Where the host of the section before listens.
const SOCKET: &str = "data/selvedge.sock";
/// How long a plugin that failed counts as ill is a few of these.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A block between fences, and where in README.
struct Block {
    language: String,
    lines: Vec<String>,
    /// The lines of README between the fences.
    from: usize,
}

/// Someone who does what README shows, beside a host.
struct Reader {
    folder: TempDir,
    pasted: Pasted,
    /// Typed in the next probation.
    meanwhile: Vec<String>,
    /// How the last command ended.
    code: i32,
}

fn blocks(readme: &str) -> Vec<Block> {
    let lines: Vec<_> = readme.lines().collect();
    let begin = lines.iter().position(|line| *line == HEADING);
    let mut at = begin.expect("README heals") + 1;
    let mut blocks = Vec::new();
    while at < lines.len() && !lines[at].starts_with("## ") {
        if let Some(language) = lines[at].strip_prefix("```") {
            let from = at + 1;
            let length = lines[from..].iter().position(|line| *line == "```");
            let to = from + length.expect("each block has an end");
            blocks.push(Block {
                language: language.to_owned(),
                lines: lines[from..to]
                    .iter()
                    .map(|&line| line.to_owned())
                    .collect(),
                from,
            });
            at = to;
        }
        at += 1;
    }
    blocks
}

impl Reader {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shell(&self, command: &str) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_selvedge"));
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", binary.parent().unwrap().display());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec {command}")])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env_remove("SELVEDGE_LOG");
        shell
    }

    /// A command of README, which leaves out where the host is.
    fn command(&self, command: &str) -> Command {
        if !command.starts_with("selvedge") {
            return self.shell(command);
        }
        let (command, output) = command.split_at(command.find(" 2> ").unwrap_or(command.len()));
        self.shell(&format!("{command} --host {SOCKET}{output}"))
    }

    /// `hot.toml` with these lines at its end.
    fn configure(&self, lines: &[String]) {
        let path = self.path("hot.toml");
        let before = fs_err::read_to_string(&path).unwrap();
        fs_err::write(path, format!("{before}\n{}\n", lines.join("\n"))).unwrap();
    }

    /// The plugin with these lines instead of the one that begins like the first.
    async fn rewrite(&mut self, workspace: &Workspace, lines: &[String]) {
        let key = lines[0].trim_start().split('=').next().unwrap();
        let source = self.pasted.source.clone();
        let line = source
            .lines()
            .find(|line| line.trim_start().starts_with(key));
        let source = source.replacen(line.expect("one of the twelve"), &lines.join("\n"), 1);
        let changed = Pasted {
            source,
            ..self.pasted.clone()
        };
        let folder = tempfile::tempdir().unwrap();
        let built = changed.build(workspace, folder.path()).await;
        fs_err::write(self.path("hot.wasm"), built).unwrap();
    }

    /// Waits until no plugin counts as ill.
    async fn well(&self) {
        let deadline = Instant::now() + DEADLINE;
        while run(&mut self.command("selvedge health")).await.code != Some(0) {
            assert!(Instant::now() < deadline, "it does not get well");
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Types a command; what it prints, first of all what is wrong.
    async fn enter(&mut self, command: &str) -> String {
        if command == "echo $?" {
            return format!("{}\n", self.code);
        }
        let mut process = Process::start(&mut self.command(command));
        if command.starts_with("selvedge deploy") {
            let meanwhile = std::mem::take(&mut self.meanwhile);
            if !meanwhile.is_empty() {
                process.line(": probation").await;
            }
            for command in meanwhile {
                let typed = run(&mut self.command(&command)).await;
                assert_eq!(typed.code, Some(0), "{command}: {typed:?}");
            }
        }
        let ended = process.end().await;
        self.code = ended.code.expect("no signal ends it");
        format!("{}{}", ended.stderr, ended.stdout)
    }

    /// Types what a block shows; the block as it is printed now.
    async fn console(&mut self, shown: &[String]) -> Vec<String> {
        let mut now = Vec::new();
        for command in shown.iter().filter_map(|line| line.strip_prefix("$ ")) {
            if command.starts_with("selvedge") {
                self.well().await;
            }
            let printed = self.enter(command).await;
            now.push(format!("$ {command}"));
            now.extend(printed.lines().map(printable));
        }
        now
    }

    /// The window in which messages are seen, once it shows the first.
    async fn window(&self, command: &str) -> Process {
        let mut tap = Process::start(&mut self.command(command));
        tap.line("listening").await;
        let published = run(&mut self.command(FIRST)).await;
        assert_eq!(published.code, Some(0), "{published:?}");
        tap.line("95.5").await;
        tap
    }
}

/// The twelve lines with a field, and a state for the last of them: exports it.
async fn remembers(workspace: &Workspace, pasted: &Pasted, lines: &[String]) {
    const EXPORT: &str = "export!(Hot: Filter);";
    assert!(pasted.source.contains("struct Hot;") && pasted.source.contains(EXPORT));
    let source = pasted
        .source
        .replace("struct Hot;", "struct Hot { seen: u64 }");
    let source = source.replace(EXPORT, &lines.join("\n"));
    let pasted = Pasted {
        source,
        ..pasted.clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let built = pasted.build(workspace, folder.path()).await;
    let path = folder.path().join("hot.wasm");
    fs_err::write(&path, built).unwrap();
    let inspected = run(&mut selvedge(&["inspect", text(&path)])).await;
    assert!(
        inspected.stdout.contains("selvedge:plugin/stateful"),
        "{inspected:?}"
    );
}

/// What the window showed: what is the same but for its time is shown once.
async fn seen(mut tap: Process, command: &str) -> Vec<String> {
    tap.line(LAST).await;
    tap.signal("INT").await;
    let ended = tap.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut lines = vec![command.to_owned()];
    let printed = ended.stderr.lines().chain(ended.stdout.lines());
    lines.extend(printed.map(printable));
    lines.dedup_by_key(|line| masked(line));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upgrade_in_the_readme_goes_wrong_and_heals_itself() {
    let workspace = Workspace::here();
    let path = workspace.root().join("README.md");
    let readme = fs_err::read_to_string(&path).unwrap();
    let pasted = Pasted::read(&workspace);
    let mut reader = Reader {
        folder: tempfile::tempdir().unwrap(),
        meanwhile: Vec::new(),
        code: 0,
        pasted,
    };
    fs_err::write(reader.path("hot.toml"), &reader.pasted.deployment).unwrap();
    let first = component(&workspace, &reader.pasted).await;
    fs_err::write(reader.path("hot.wasm"), first).unwrap();

    let (mut host, mut tap) = (None, None);
    let mut now = Vec::new();
    for block in blocks(&readme) {
        match (block.language.as_str(), block.lines[0].strip_prefix("$ ")) {
            ("toml", _) => reader.configure(&block.lines),
            ("rust", _) if block.lines[0].starts_with(STATEFUL) => {
                remembers(&workspace, &reader.pasted, &block.lines).await;
            }
            ("rust", _) => reader.rewrite(&workspace, &block.lines).await,
            ("", _) => reader.meanwhile.clone_from(&block.lines),
            ("console", Some(command)) if command.starts_with(TAP) => {
                tap = Some((reader.window(command).await, block));
            }
            ("console", _) => {
                let lines = reader.console(&block.lines).await;
                now.push((block, lines));
            }
            (other, _) => panic!("nobody knows what to do with `{other}`"),
        }
        // It runs with what the first block adds.
        if host.is_none() {
            let command = "selvedge dev hot.toml --data-directory ./data";
            let mut process = Process::start(&mut reader.shell(command));
            process.line("deployment committed").await;
            host = Some(process);
        }
    }
    let (tap, block) = tap.expect("README shows that messages flow");
    let lines = seen(tap, &block.lines[0]).await;
    now.push((block, lines));
    let mut host = host.expect("README has a host");
    host.signal("INT").await;
    assert_eq!(host.end().await.code, Some(0));
    compare(&path, &readme, now);
}

/// README shows what was printed, or will.
fn compare(path: &std::path::Path, readme: &str, mut now: Vec<(Block, Vec<String>)>) {
    let lasting = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().filter(|line| !is_progress(line));
        lines.map(|line| masked(line)).collect()
    };
    let same = |(block, lines): &(Block, Vec<String>)| lasting(&block.lines) == lasting(lines);
    if now.iter().all(same) {
        return;
    }
    if std::env::var_os("UPDATE_EXPECT").is_none() {
        let other: Vec<_> = now.iter().filter(|it| !same(it)).map(|it| &it.1).collect();
        panic!("README shows other lines than these; UPDATE_EXPECT=1 rewrites it: {other:#?}");
    }
    let mut all: Vec<_> = readme.lines().map(str::to_owned).collect();
    now.sort_by_key(|(block, _)| std::cmp::Reverse(block.from));
    for (block, lines) in now {
        all.splice(block.from..block.from + block.lines.len(), lines);
    }
    fs_err::write(path, all.join("\n") + "\n").unwrap();
}
