//! Runs steps one after the other and says at the end how each went.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wasm_build::Workspace;

use crate::command::Failure;

/// How a step that did not fail ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// Only for what the repository does not promise to check here.
    Skipped(&'static str),
}

/// One check, or the set-up for others.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Workspace) -> Result<Outcome, Failure>,
}

/// Which steps to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    keep_going: bool,
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            match argument {
                "--keep-going" => options.keep_going = true,
                "--only" => {
                    let step = rest
                        .next()
                        .ok_or_else(|| Failure::usage("`--only` needs a step"))?;
                    options.only = Some((*step).to_owned());
                }
                other => return Err(Failure::usage(format!("unknown option `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// Runs the chosen steps.
pub(crate) fn run(steps: &[Step], options: &Options, workspace: &Workspace) -> Result<(), Failure> {
    let chosen = choose(steps, options)?;
    let mut summary = String::new();
    let mut failed = Vec::new();
    let mut skipped = 0;
    for step in &chosen {
        if !failed.is_empty() && !options.keep_going {
            line(&mut summary, "not run", None, step.name);
            continue;
        }
        println!("\n=== {}: {}", step.name, step.what);
        let begun = Instant::now();
        let outcome = (step.run)(workspace);
        let took = Some(begun.elapsed());
        match outcome {
            Ok(Outcome::Passed) => line(&mut summary, "ok", took, step.name),
            Ok(Outcome::Skipped(why)) => {
                println!("skipped: {why}");
                skipped += 1;
                line(
                    &mut summary,
                    "skipped",
                    took,
                    &format!("{} ({why})", step.name),
                );
            }
            Err(failure) => {
                eprintln!("\n{}: {failure}", step.name);
                line(&mut summary, "FAILED", took, step.name);
                failed.push(step.name);
            }
        }
    }
    println!("\n=== summary\n{summary}");
    if failed.is_empty() {
        println!("{} steps passed, {skipped} skipped", chosen.len() - skipped);
        return Ok(());
    }
    let failed = failed.join(", ");
    Err(Failure::new(format!("failed: {failed}")))
}

fn choose<'a>(steps: &'a [Step], options: &Options) -> Result<Vec<&'a Step>, Failure> {
    let Some(only) = &options.only else {
        return Ok(steps.iter().collect());
    };
    let chosen: Vec<_> = steps.iter().filter(|step| step.name == only).collect();
    if chosen.is_empty() {
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        let names = names.join(", ");
        return Err(Failure::usage(format!(
            "no step `{only}`; there are: {names}"
        )));
    }
    Ok(chosen)
}

fn line(summary: &mut String, outcome: &str, took: Option<Duration>, step: &str) {
    let took = took.map_or_else(String::new, |took| format!("{:.1} s", took.as_secs_f64()));
    writeln!(summary, "{outcome:>8} {took:>9}  {step}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static RAN: Mutex<Vec<&str>> = Mutex::new(Vec::new());

    fn note(name: &'static str) {
        RAN.lock().unwrap().push(name);
    }

    const STEPS: &[Step] = &[
        Step {
            name: "first",
            what: "",
            run: |_| {
                note("first");
                Ok(Outcome::Passed)
            },
        },
        Step {
            name: "second",
            what: "",
            run: |_| {
                note("second");
                Err(Failure::new("no"))
            },
        },
        Step {
            name: "third",
            what: "",
            run: |_| {
                note("third");
                Ok(Outcome::Skipped("why"))
            },
        },
    ];

    fn check(arguments: &[&str], ran: &[&str], outcome: Result<(), &str>) {
        RAN.lock().unwrap().clear();
        let options = Options::parse(arguments).unwrap();
        let result = run(STEPS, &options, &Workspace::here());
        assert_eq!(*RAN.lock().unwrap(), ran);
        let result = result.map_err(|failure| failure.to_string());
        assert_eq!(result, outcome.map_err(str::to_owned));
    }

    #[test]
    fn steps_run_in_order_until_one_fails_unless_told_to_go_on() {
        check(&[], &["first", "second"], Err("failed: second"));
        check(
            &["--keep-going"],
            &["first", "second", "third"],
            Err("failed: second"),
        );
        check(&["--only", "third"], &["third"], Ok(()));
        let unknown = "no step `forth`; there are: first, second, third";
        check(&["--only", "forth"], &[], Err(unknown));
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(Options::parse(&["--fast"]).is_err());
        assert!(Options::parse(&["--only"]).is_err());
    }
}
