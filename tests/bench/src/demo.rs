//! The demo, as anyone would start it: how soon it is at work, what it holds.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::resident_bytes;
use crate::report::{Bar, Figure, Row};

const STARTS: u32 = 3;
/// How long the line may take to be at work.
const READY_MAX: Duration = Duration::from_secs(30);
/// How long it is watched, and how often.
const WATCHED: Duration = Duration::from_secs(15);
const SAMPLED: Duration = Duration::from_millis(250);
/// Its memory is steady when it has grown by less than this in the second half.
const STEADY: f64 = 0.05;

pub(crate) fn measure(_: &Guests) -> Outcome<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    // Compiles the plugins.
    let (cold, demo) = start(directory.path())?;
    demo.end()?;
    let mut ready = Duration::MAX;
    let mut resident = (0.0, 0.0);
    for round in 1..=STARTS {
        let (took, demo) = start(directory.path())?;
        ready = ready.min(took);
        if round == STARTS {
            resident = demo.watch()?;
        }
        demo.end()?;
    }
    let (half, most) = resident;
    if most > half * (1.0 + STEADY) {
        eprintln!("the demo's memory still grows: {half:.0} bytes half-way, then {most:.0}");
    }
    let nanos = |time: Duration| Figure::Nanos(time.as_secs_f64() * 1e9);
    Ok(vec![
        Row::new("demo: resident", Figure::Bytes(most))
            .bar(Bar::Figure(Figure::Bytes(60.0 * 1024.0 * 1024.0))),
        Row::new("demo: all plugins at work, cached", nanos(ready))
            .bar(Bar::Figure(Figure::Nanos(300e6))),
        Row::new("demo: all plugins at work, compiled", nanos(cold)),
    ])
}

/// A demo at work. Killed when dropped.
struct Demo {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// Starts a demo; how long until every plugin was at work.
fn start(directory: &Path) -> Outcome<(Duration, Demo)> {
    let begun = Instant::now();
    let mut child = Command::new(binary()?)
        .args(["demo", "--json", "--data-directory"])
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut demo = Demo {
        child,
        output: BufReader::new(output),
    };
    let (mut seen, mut at_work) = (BTreeSet::new(), BTreeSet::new());
    while begun.elapsed() < READY_MAX {
        let mut line = String::new();
        if demo.output.read_line(&mut line)? == 0 {
            return Err("the demo ended".into());
        }
        let event: Value = serde_json::from_str(&line)?;
        let text = |key: &str| event.get(key).and_then(Value::as_str);
        let unit = text("topic").and_then(|topic| topic.strip_prefix("$selvedge/state/plugin/"));
        if let (Some(unit), Some(state)) = (unit, text("text")) {
            seen.insert(unit.to_owned());
            if state.contains("running") {
                at_work.insert(unit.to_owned());
            }
            // They are all announced before the first is at work.
            if at_work.len() >= plugins(directory)? {
                return Ok((begun.elapsed(), demo));
            }
        }
    }
    Err(format!("only {at_work:?} of {seen:?} are at work").into())
}

/// How many plugins the demo's deployment names.
fn plugins(directory: &Path) -> Outcome<usize> {
    let text = fs_err::read_to_string(directory.join("demo/demo.toml"))?;
    let is_plugin = |line: &&str| {
        let name = line
            .strip_prefix("[plugins.")
            .and_then(|line| line.strip_suffix(']'));
        name.is_some_and(|name| !name.contains('.'))
    };
    Ok(text.lines().filter(is_plugin).count())
}

/// Beside this one: `cargo xtask bench` builds both.
pub(crate) fn binary() -> Outcome<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("selvedge");
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not there: `cargo xtask bench`", path.display()).into())
}

impl Demo {
    /// The most it held in the first and in the second half of a while.
    fn watch(&self) -> Outcome<(f64, f64)> {
        let begun = Instant::now();
        let (mut first, mut second) = (0.0_f64, 0.0_f64);
        while begun.elapsed() < WATCHED {
            std::thread::sleep(SAMPLED);
            let bytes = resident_bytes(&self.child.id().to_string())?;
            if begun.elapsed() < WATCHED / 2 {
                first = first.max(bytes);
            } else {
                second = second.max(bytes);
            }
        }
        Ok((first, first.max(second)))
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) -> Outcome<()> {
        let process = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &process]).status()?;
        if !told.success() {
            return Err("the demo cannot be interrupted".into());
        }
        // What it still says must be read, or it could not end.
        std::io::copy(&mut self.output, &mut std::io::sink())?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
