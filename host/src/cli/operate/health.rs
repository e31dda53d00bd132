//! `selvedge health`: one bit, for scripts and service managers.

use std::process::ExitCode;

use crate::api::wire::Health;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::say;
use crate::cli::{EXIT_FAILURE, wait};
use crate::deployment::document::fault::plain;

pub(super) const AFTER_HELP: &str = "\
Exit codes: 0 everything runs that should, 1 it does not or no host answers,
64 usage.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Ask only whether the host works at all: plugins may be down.
    #[arg(long)]
    alive: bool,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let probe = if args.alive { "healthz" } else { "readyz" };
        let answer = client.state(client.probe(probe)).await?;
        let health: Health = answer.read()?;
        if args.host.json {
            answer.print()?;
        } else {
            say(if health.ok { "ok" } else { "not ok" })?;
            for reason in &health.reasons {
                say(&format!(
                    "  {}: {}",
                    plain(&reason.what),
                    plain(&reason.reason)
                ))?;
            }
        }
        Ok(ExitCode::from(if health.ok { 0 } else { EXIT_FAILURE }))
    })
}
