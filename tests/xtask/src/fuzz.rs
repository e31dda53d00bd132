//! Throws hostile bytes at what parses foreign bytes (`tests/fuzz`): all targets,
//! or one, for a bounded time.
//!
//! What a target has learnt stays in `target/fuzz/corpus` for the next run, what
//! made one fail goes to `target/fuzz/artifacts`.

mod fuzzer;
mod outcome;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use wasm_build::Workspace;

use self::fuzzer::Fuzzer;
use self::outcome::{Ran, read};
use crate::command::{Cargo, Failure, is_ci, run, succeeds};
use crate::run::Outcome;

/// Seconds of each target in `cargo xtask test`.
const TEST_SECONDS: u32 = 10;
/// Seconds of each target otherwise, unless said.
const SECONDS: u32 = 60;
/// Where the names of the targets are written down.
const TARGETS: &str = "tests/fuzz/src/targets.rs";

/// What to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    target: Option<String>,
    seconds: Option<u32>,
    input: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let mut value = || {
                let value = rest.next().copied();
                value.ok_or_else(|| Failure::usage(format!("`{argument}` needs a value")))
            };
            match argument {
                "--seconds" => {
                    let seconds = value()?.parse().ok().filter(|seconds| *seconds > 0);
                    let wrong = || Failure::usage("`--seconds` is a number from 1 on");
                    options.seconds = Some(seconds.ok_or_else(wrong)?);
                }
                "--input" => options.input = Some(PathBuf::from(value()?)),
                name if options.target.is_none() && !name.starts_with('-') => {
                    options.target = Some(name.to_owned());
                }
                other => return Err(Failure::usage(format!("unknown option `{other}`"))),
            }
        }
        if options.input.is_some() && options.target.is_none() {
            return Err(Failure::usage("`--input` is for one target"));
        }
        Ok(options)
    }
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(arguments: &[&str], workspace: &Workspace) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    let targets = chosen(&targets(workspace)?, options.target.as_deref())?;
    if let Some(why) = missing() {
        return Err(Failure::new(why));
    }
    let fuzzer = Fuzzer::build(workspace)?;
    if let (Some(input), [target]) = (&options.input, targets.as_slice()) {
        let mut command = fuzzer.command(target)?;
        command.arg(std::path::absolute(input)?);
        return run(command);
    }
    fuzzer.run_all(&targets, options.seconds.unwrap_or(SECONDS))
}

/// The step of `cargo xtask test`. Without a C++ compiler, which nothing else
/// here needs, it is skipped; not by the machines that guard the repository.
pub(crate) fn step(workspace: &Workspace) -> Result<Outcome, Failure> {
    if let Some(why) = missing() {
        return match is_ci() {
            true => Err(Failure::new(why)),
            false => Ok(Outcome::Skipped(why)),
        };
    }
    let fuzzer = Fuzzer::build(workspace)?;
    fuzzer.run_all(&targets(workspace)?, TEST_SECONDS)?;
    Ok(Outcome::Passed)
}

/// The sources of the targets are formatted.
pub(crate) fn fmt(workspace: &Workspace) -> Result<(), Failure> {
    let manifest = "--manifest-path=tests/fuzz/Cargo.toml";
    Cargo::new(workspace, &["fmt", manifest, "--check"]).run()
}

fn missing() -> Option<&'static str> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let there = succeeds(Command::new(compiler).arg("--version"));
    (!there).then_some("libFuzzer needs a C++ compiler: `apt install g++`")
}

fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let source = fs_err::read_to_string(workspace.root().join(TARGETS))?;
    let names = target_names(&source);
    if names.is_empty() {
        return Err(Failure::new(format!("{TARGETS} names no target")));
    }
    Ok(names)
}

/// The names in lines such as `("trust", trust::check),`.
fn target_names(source: &str) -> Vec<String> {
    let name = |line: &str| {
        let (name, rest) = line.trim().strip_prefix("(\"")?.split_once("\", ")?;
        rest.ends_with("::check),").then(|| name.to_owned())
    };
    source.lines().filter_map(name).collect()
}

fn chosen(targets: &[String], only: Option<&str>) -> Result<Vec<String>, Failure> {
    let Some(only) = only else {
        return Ok(targets.to_vec());
    };
    if targets.iter().any(|target| target == only) {
        return Ok(vec![only.to_owned()]);
    }
    let targets = targets.join(", ");
    Err(Failure::usage(format!(
        "no target `{only}`; there are: {targets}"
    )))
}

impl Fuzzer {
    /// Runs `targets` for `seconds` each, as many at once as there are cores.
    fn run_all(&self, targets: &[String], seconds: u32) -> Result<(), Failure> {
        let cores = thread::available_parallelism()?.get().min(targets.len());
        let waiting = Mutex::new(targets.iter());
        let next = || waiting.lock().ok().and_then(|mut targets| targets.next());
        let failed = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    while let Some(target) = next() {
                        let told = self.run(target, seconds).and_then(|ran| ran.tell(target));
                        if let (Err(failure), Ok(mut failed)) = (told, failed.lock()) {
                            failed.push(failure.to_string());
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().unwrap_or_default();
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(failed.join("\n")))
    }

    fn run(&self, target: &str, seconds: u32) -> Result<Ran, Failure> {
        let corpus = self.home.join("corpus").join(target);
        fs_err::create_dir_all(&corpus)?;
        let log = self.home.join("logs").join(format!("{target}.txt"));
        fs_err::create_dir_all(self.home.join("logs"))?;
        let mut command = self.command(target)?;
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(corpus)
            .args(self.seeds(target))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs_err::File::create(&log)?.into_parts().0);
        let status = command.spawn().and_then(|mut child| child.wait());
        let status = status.map_err(|error| {
            Failure::new(format!("cannot run {}: {error}", self.program.display()))
        })?;
        // What it prints of an input need not be text.
        let text = fs_err::read(&log)?;
        Ok(read(
            &String::from_utf8_lossy(&text),
            status.success(),
            &log,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn options_are_read() {
        let all = Options::parse(&["trust", "--seconds", "5"]).unwrap();
        let target = Some("trust".to_owned());
        let seconds = Some(5);
        let input = None;
        assert_eq!(
            all,
            Options {
                target,
                seconds,
                input
            }
        );
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        for wrong in [
            &["--seconds"][..],
            &["--seconds", "0"],
            &["--fast"],
            &["trust", "stored"],
            &["--input", "file"],
        ] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_target_is_known_by_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let source = fs_err::read_to_string(root.join(TARGETS)).unwrap();
        let names = target_names(&source);
        let modules = source.lines().filter(|line| line.starts_with("mod "));
        assert_eq!(names.len(), modules.count());
        assert_eq!(chosen(&names, Some("trust")).unwrap(), ["trust"]);
        assert!(chosen(&names, Some("no-such-target")).is_err());
        for folder in fs_err::read_dir(root.join("tests/fuzz/seeds")).unwrap() {
            let name = folder.unwrap().file_name();
            assert!(names.iter().any(|known| name == known.as_str()), "{name:?}");
        }
    }
}
