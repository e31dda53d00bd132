//! `selvedge model flow`: train, compile, package, publish and deploy a model, as a
//! file says, and each step only if something that it depends on has changed.
//!
//! A step is a command: one's own for training, this program's for all else. What
//! it was given and what it made are recorded by digest, on the disk before the
//! next begins, so that a flow that was cut off goes on where it was. What a step
//! makes is put in its place once it has ended well.

mod document;
mod files;
mod patch;
mod state;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use jiff::Timestamp;

use self::document::Flow;
use self::state::{Ended, State, Step};
use self::steps::Work;
use super::super::failure::{Failure, Outcome};
use super::super::output::{json, say};

pub(super) use files::last_line;

const EXAMPLE: &str = "\
Example:
  selvedge model flow flow.toml --dry-run

What became of each step is in flow.state.json beside flow.toml, and what it said
in the log that is named there.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    /// What to do.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do this step and those after it, whether anything has changed or not.
    #[arg(long, value_name = "STEP")]
    from: Option<Step>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print what became of each step as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let flow = Flow::read(&args.file)?;
    let steps = flow.steps();
    if let Some(from) = args.from.filter(|from| !steps.contains(from)) {
        return Err(Failure::usage(format!("the file has no `[{from}]`")));
    }
    let path = args.file.with_extension("state.json");
    // Two at once would take each other's results away.
    let lock = state::lock(&args.file)?;
    let mut state = State::read(&path)?;
    let work = Work {
        flow: &flow,
        lock: &lock,
    };
    let mut changed = false;
    for step in steps {
        let forced = args.from.is_some_and(|from| step >= from);
        let plan = work.plan(step, &state);
        let fresh =
            !forced && !changed && plan.as_ref().is_ok_and(|plan| work.is_done(plan, &state));
        if fresh {
            tell(args, step, "unchanged")?;
            continue;
        }
        changed = true;
        if args.dry_run {
            let command = work.command_text(step);
            tell(args, step, &format!("would run {command}"))?;
            continue;
        }
        let plan = plan?;
        let (began, started) = (Timestamp::now(), Instant::now());
        state.begin(step, &plan, began);
        state.write(&path)?;
        tell(args, step, "…")?;
        let outcome = work.run(&plan);
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ended = match &outcome {
            Ok(made) => Ended::done(made.clone(), took_ms),
            Err(failed) => Ended::failed(failed.to_string(), took_ms),
        };
        state.end(step, ended);
        state.write(&path)?;
        match outcome {
            Ok(made) => tell(
                args,
                step,
                &format!("done in {:.1} s: {}", seconds(took_ms), made.said),
            )?,
            Err(failed) => {
                let again = format!(
                    "what it said is in {}; then `selvedge model flow {}` goes on from there",
                    plan.log.display(),
                    args.file.display()
                );
                return Err(Failure::new(failed, None).with_hint(again));
            }
        }
    }
    if args.json {
        json(&state)?;
    } else if !args.dry_run
        && flow
            .deploy
            .as_ref()
            .is_some_and(|deploy| deploy.host.is_none())
    {
        say(&work.what_to_do())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line about a step, unless the answer is for a program.
fn tell(args: &Args, step: Step, what: &str) -> Outcome<()> {
    if args.json {
        return Ok(());
    }
    say(&format!("{:<8} {what}", step.to_string()))
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

#[cfg(test)]
mod tests;
