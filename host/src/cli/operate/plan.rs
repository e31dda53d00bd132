//! `selvedge plan`: what a deployment would change, before it does.

mod render;

use std::path::PathBuf;
use std::process::ExitCode;

use super::deploy::package::Package;
use super::deploy::upload;
use super::follow;
use crate::cli::client::PLAN_MAX;
use crate::cli::failure::Outcome;
use crate::cli::files::complain;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, say};
use crate::cli::{EXIT_CONFIG, EXIT_FAILURE, wait};
use crate::deployment::plan::Plan;
use crate::deployment::submission::WhenBusy;

pub(super) use render::{change_tone, sign};

pub(super) const AFTER_HELP: &str = "\
+ added, ~ replaced, * configured otherwise, - removed, = untouched.
A right that is wanted and not granted refuses the deployment: grant it in the
document, or stay with the version that runs.

Exit codes: 0 nothing is refused, 1 a right is refused or failure, 64 usage,
78 the document was refused.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The deployment document.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    let package = match Package::read(&args.file) {
        Ok(package) => package,
        Err(faults) => {
            complain(&faults);
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    wait(async {
        let request = upload::hand_in(&client, &package, WhenBusy::default()).await?;
        let url = client.url(&["plans"], &[]);
        let answer = match client.post(url, &request, PLAN_MAX).await {
            Ok(answer) => answer,
            Err(error) => return follow::refused(error),
        };
        let plan: Plan = answer.read()?;
        if args.host.json {
            answer.print()?;
        } else {
            let lines = render::lines(&plan, Paint::stdout());
            lines.iter().try_for_each(|line| say(line))?;
        }
        let refused = render::refused(&plan) > 0;
        Ok(ExitCode::from(if refused { EXIT_FAILURE } else { 0 }))
    })
}
