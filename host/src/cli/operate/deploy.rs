//! `selvedge deploy`: a document and the files that it names go to a host, and
//! what becomes of them is shown.
//!
//! What is wrong with the document by itself is said before anything is sent;
//! what only the host can know, the host says.

pub(super) mod package;
pub(super) mod upload;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use super::follow::{self, FollowOptions};
use crate::cli::client::{ANSWER_MAX, Answer, Client};
use crate::cli::failure::Outcome;
use crate::cli::files::complain;
use crate::cli::host_options::HostOptions;
use crate::cli::{EXIT_CONFIG, wait};
use crate::deployment::submission::WhenBusy;
use package::Package;

pub(super) const AFTER_HELP: &str = "\
The deployment goes on if this command ends before it does; `selvedge history`
shows what became of it.

Exit codes: 0 committed, 1 failed, rolled back or superseded, 64 usage,
78 the document was refused, 130 interrupted while the deployment goes on.
With --watch: 0 interrupted.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The deployment document.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// While another deployment is under way: wait in line. The default.
    #[arg(long, conflicts_with_all = ["supersede", "refuse"])]
    queue: bool,
    /// While another deployment is under way: end it and those in line, and
    /// take their place.
    #[arg(long, conflicts_with = "refuse")]
    supersede: bool,
    /// While another deployment is under way: change nothing.
    #[arg(long)]
    refuse: bool,
    /// Deploy again whenever the document or a file that it names changes,
    /// superseding what is under way, until interrupted.
    #[arg(long, conflicts_with_all = ["detach", "queue", "refuse"])]
    watch: bool,
    #[command(flatten)]
    follow: FollowOptions,
    #[command(flatten)]
    host: HostOptions,
}

impl Args {
    fn when_busy(&self) -> WhenBusy {
        if self.refuse {
            WhenBusy::Refuse
        } else if self.supersede || self.watch {
            WhenBusy::Supersede
        } else {
            WhenBusy::Queue
        }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    if args.watch {
        return wait(watch::run(&client, args));
    }
    let package = match Package::read(&args.file) {
        Ok(package) => package,
        Err(faults) => {
            complain(&faults);
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    package.warn();
    wait(async {
        let request = upload::hand_in(&client, &package, args.when_busy()).await?;
        let submitted = submit(&client, &request).await;
        follow::submitted(&client, submitted, &args.follow, &args.host).await
    })
}

async fn submit(
    client: &Client,
    request: &crate::api::wire::SubmitRequest,
) -> Result<Answer, crate::cli::client::HostError> {
    let url = client.url(&["deployments"], &[]);
    client.post(url, request, ANSWER_MAX).await
}
