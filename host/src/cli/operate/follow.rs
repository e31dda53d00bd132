//! Follows a deployment to its end, and ends as it did.
//!
//! The host goes on by itself whether or not anyone follows: a connection that
//! breaks, or a host that is started anew, is waited for within bounds.

mod progress;

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::outcome;
use crate::api::wire::Submitted;
use crate::cli::client::{Answer, Client, HostError};
use crate::cli::failure::Outcome;
use crate::cli::files::complain;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, say};
use crate::cli::{EXIT_CONFIG, EXIT_FAILURE, EXIT_INTERRUPTED, Interrupts};
use crate::deployment::report::{DeploymentId, DeploymentReport, Event};

pub(super) use progress::Progress;

/// How long a host may be away in the middle of a deployment.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// How long until it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What the host answers to a document that it does not take.
const DOCUMENT_REFUSED: &str = "document-refused";

/// Whether to follow at all.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(in crate::cli) struct FollowOptions {
    /// End once the deployment is taken in, instead of following it.
    #[arg(long)]
    pub(in crate::cli) detach: bool,
}

/// Follows what was handed in, if it was taken.
pub(super) async fn submitted(
    client: &Client,
    submitted: Result<Answer, HostError>,
    follow: &FollowOptions,
    host: &HostOptions,
) -> Outcome {
    let answer = match submitted {
        Ok(answer) => answer,
        Err(error) => return refused(error),
    };
    let Submitted { deployment } = answer.read()?;
    if !follow.detach {
        return interruptible(client, deployment, host).await;
    }
    if host.json {
        answer.print()?;
    } else {
        say(&format!("deployment {deployment} is taken in"))?;
        complain(&hint(deployment));
    }
    Ok(ExitCode::SUCCESS)
}

/// Follows it until it has ended or someone interrupts.
pub(super) async fn interruptible(
    client: &Client,
    id: DeploymentId,
    host: &HostOptions,
) -> Outcome {
    let mut interrupts = Interrupts::listen();
    let ended = tokio::select! {
        ended = to_its_end(client, id, host.json) => ended?,
        () = interrupts.next() => {
            complain(&format_args!("deployment {id} goes on without you"));
            complain(&hint(id));
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    };
    report(&ended, host.json)
}

fn hint(id: DeploymentId) -> String {
    format!("  help: `selvedge history {id} --follow` follows it")
}

/// Why it was not taken in, fault by fault if it is the document's.
pub(super) fn refused(error: HostError) -> Outcome {
    let problem = error.problem();
    let Some(problem) = problem.filter(|problem| !problem.faults.is_empty()) else {
        return Err(error.into());
    };
    for fault in &problem.faults {
        complain(&outcome::fault(fault));
    }
    let of_document = problem.code == DOCUMENT_REFUSED;
    let code = if of_document {
        EXIT_CONFIG
    } else {
        EXIT_FAILURE
    };
    Ok(ExitCode::from(code))
}

/// Shows what happens to a deployment until it has ended. May be dropped.
pub(super) async fn to_its_end(
    client: &Client,
    id: DeploymentId,
    json: bool,
) -> Outcome<DeploymentReport> {
    let mut progress = Progress::new(json);
    let mut away_since = None;
    loop {
        match once(client, id, &mut progress, &mut away_since).await {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => {}
            Err(Lost::Host(error)) if error.may_pass() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= AWAY_MAX {
                    return Err(error.into());
                }
            }
            Err(Lost::Host(error)) => return Err(error.into()),
            Err(Lost::Output(failure)) => return Err(failure),
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Why a deployment is no longer followed.
enum Lost {
    Host(HostError),
    Output(crate::cli::failure::Failure),
}

/// Follows one stream; none if that ended before the deployment did.
async fn once(
    client: &Client,
    id: DeploymentId,
    progress: &mut Progress,
    away_since: &mut Option<Instant>,
) -> Result<Option<DeploymentReport>, Lost> {
    let url = client.url(&["deployments", &id.to_string(), "events"], &[]);
    let mut lines = client.stream(url).await.map_err(Lost::Host)?;
    while let Some(line) = lines.next().await.map_err(Lost::Host)? {
        *away_since = None;
        if line.json.get("event").is_none() {
            let report: DeploymentReport = line.read().map_err(Lost::Host)?;
            progress.ended(&line).map_err(Lost::Output)?;
            return Ok(Some(report));
        }
        // What this version does not know of it leaves out.
        let event: Option<Event> = line.read().ok();
        progress.see(&line, event.as_ref()).map_err(Lost::Output)?;
    }
    // As when the host stops: nothing is known of how it ends.
    away_since.get_or_insert_with(Instant::now);
    let since = away_since.map_or(Duration::ZERO, |since| since.elapsed());
    if since < AWAY_MAX {
        return Ok(None);
    }
    let url = client.url(&["deployments", &id.to_string()], &[]);
    let answer = client.get(url).await.map_err(Lost::Host)?;
    answer.read().map(Some).map_err(Lost::Host)
}

/// Says how a deployment ended, and ends likewise.
pub(super) fn report(report: &DeploymentReport, json: bool) -> Outcome {
    let committed = report.phase == crate::deployment::report::Phase::Committed;
    let code = ExitCode::from(if committed { 0 } else { EXIT_FAILURE });
    if json {
        return Ok(code);
    }
    if committed {
        say(&outcome::ending(report))?;
        let changes = outcome::changes(report, Paint::stdout());
        changes.iter().try_for_each(|line| say(line))?;
    } else {
        for fault in &report.faults {
            complain(&outcome::fault(fault));
        }
        complain(&outcome::ending(report));
    }
    Ok(code)
}
