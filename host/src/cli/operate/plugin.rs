//! `selvedge stop`, `start`, `restart` and `swap`: one plugin at a time.

use std::process::ExitCode;

use serde_json::json;

use super::follow::{self, FollowOptions};
use crate::api::wire::SwapRequest;
use crate::cli::client::ANSWER_MAX;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::say;
use crate::cli::wait;
use crate::names::PluginName;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The plugin.
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    #[command(flatten)]
    host: HostOptions,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SwapArgs {
    /// The plugin.
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The component: an artifact by its reference with its digest, or
    /// `shipped:<name>`.
    #[arg(value_name = "REF")]
    component: String,
    #[command(flatten)]
    follow: FollowOptions,
    #[command(flatten)]
    host: HostOptions,
}

/// What is done to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Stop,
    Start,
    Restart,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Stop => {
                "is stopped; what waits for it stays, and what comes from now on passes it by"
            }
            Self::Start => "is started",
            Self::Restart => "is started afresh",
        }
    }
}

pub(super) fn run(args: &Args, action: Action) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let url = client.url(&["plugins", args.plugin.as_str(), action.name()], &[]);
        let answer = client.post(url, &json!({}), ANSWER_MAX).await?;
        if args.host.json {
            answer.print()?;
        } else {
            say(&format!("plugin `{}` {}", args.plugin, action.done()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn swap(args: &SwapArgs) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let url = client.url(&["plugins", args.plugin.as_str(), "swap"], &[]);
        let component = args.component.clone();
        let submitted = client
            .post(url, &SwapRequest { component }, ANSWER_MAX)
            .await;
        follow::submitted(&client, submitted, &args.follow, &args.host).await
    })
}
