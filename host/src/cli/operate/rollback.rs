//! `selvedge rollback`: back to what was committed before, as a deployment of
//! its own.

use super::follow::{self, FollowOptions};
use crate::api::wire::RollBackRequest;
use crate::cli::client::ANSWER_MAX;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::wait;
use crate::deployment::report::DeploymentId;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// To this deployment, by its number; without it, to the committed one
    /// before the active one.
    #[arg(long, value_name = "ID")]
    to: Option<u64>,
    #[command(flatten)]
    follow: FollowOptions,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let to = args.to.map(DeploymentId);
        let url = client.url(&["rollback"], &[]);
        let submitted = client.post(url, &RollBackRequest { to }, ANSWER_MAX).await;
        follow::submitted(&client, submitted, &args.follow, &args.host).await
    })
}
