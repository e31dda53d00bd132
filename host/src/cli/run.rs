//! `selvedge run` and `selvedge dev`: a host, until it is interrupted.
//!
//! `run` goes on with what was deployed before, and takes in the document that it
//! is given, if any. `dev` begins with nothing but its document, and signs
//! components from files itself, so that they pass the same check as any other.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tracing::{error, info};

use super::files::{self, complain};
use super::service::Service;
use super::{EXIT_CONFIG, EXIT_FAILURE, Interrupts, block_on, directories, log};
use crate::app::{App, Mode, Refused, site};
use crate::config::HostConfig;
use crate::deployment::deployments::JournalError;
use crate::deployment::document::Document;
use crate::deployment::document::fault::Faults;
use crate::deployment::document::source::Source;
use crate::deployment::report::Phase;
use crate::deployment::submission::{Submission, SubmitError};
use crate::error_chain::ErrorChain;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The deployment document; without it, the host goes on with what was
    /// deployed before.
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
    /// Ends the process at a step of a deployment, for tests: `before:swap`.
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, value_name = "POINT")]
    abort_at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DevArgs {
    /// The deployment document.
    #[arg(value_name = "DEPLOYMENT")]
    deployment: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, clap::Args)]
struct HostArgs {
    /// The host's configuration; without it, defaults.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// Where all that must last is kept, instead of where the configuration says.
    /// Without either, /var/lib/selvedge; for `dev`, in your cache directory.
    #[arg(long, value_name = "DIRECTORY")]
    data_directory: Option<PathBuf>,
}

/// A document that was read and judged.
type Read = Option<Arc<Source>>;

pub(super) fn run(args: &RunArgs) -> ExitCode {
    #[cfg(debug_assertions)]
    if let Some(point) = &args.abort_at {
        crate::deployment::deployments::fault_point::arm(point.clone());
    }
    start(args.deployment.as_ref(), &args.host, Mode::Production)
}

pub(super) fn dev(args: &DevArgs) -> ExitCode {
    start(Some(&args.deployment), &args.host, Mode::Development)
}

fn start(deployment: Option<&PathBuf>, args: &HostArgs, mode: Mode) -> ExitCode {
    match prepare(deployment, args, mode) {
        Ok((config, source)) => {
            log::start(&config.log);
            let host_config = args.host_config.clone();
            block_on(serve(&config, host_config, source, mode))
        }
        Err(faults) => {
            complain(&faults);
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn prepare(
    deployment: Option<&PathBuf>,
    args: &HostArgs,
    mode: Mode,
) -> Result<(HostConfig, Read), Faults> {
    let mut config = match &args.host_config {
        Some(path) => files::host_config(path)?,
        None if mode == Mode::Development => HostConfig {
            data_directory: directories::cache("dev"),
            ..HostConfig::default()
        },
        None => HostConfig::default(),
    };
    if let Some(directory) = &args.data_directory {
        config.data_directory.clone_from(directory);
    }
    let judged = |path: &PathBuf| -> Result<_, Faults> {
        let source = files::read(path)?;
        // What is wrong with it is said before anything is touched.
        files::warned(Document::check(&source, &site(&config))?);
        Ok(source)
    };
    let source = deployment.map(judged).transpose()?;
    Ok((config, source))
}

async fn serve(
    config: &HostConfig,
    host_config: Option<PathBuf>,
    source: Read,
    mode: Mode,
) -> ExitCode {
    let mut interrupts = Interrupts::listen();
    let app = match App::build(config, mode) {
        Ok(app) => app,
        Err(error) => {
            error!(error = %ErrorChain(&error), help = error.hint(), "cannot start");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    if let Err(error) = app.serve(config) {
        error!(error = %ErrorChain(&error), code = error.code(), "cannot start");
        return ExitCode::from(EXIT_FAILURE);
    }
    let service = Service::start(&app, host_config);
    let code = tokio::select! {
        code = work(&app, &service, (config, source), mode) => code,
        () = interrupts.next() => {
            info!("shutting down");
            ExitCode::SUCCESS
        }
    };
    service.stopping().await;
    tokio::select! {
        () = app.shut_down() => code,
        // Asked twice, it does not wait for anyone.
        () = interrupts.next() => ExitCode::from(EXIT_FAILURE),
    }
}

/// Runs until the host cannot go on.
async fn work(
    app: &App,
    service: &Service,
    (config, source): (&HostConfig, Read),
    mode: Mode,
) -> ExitCode {
    if let Err(error) = begin(app, mode).await {
        error!(error = %ErrorChain(&error), "cannot start");
        return ExitCode::from(EXIT_FAILURE);
    }
    if source.is_none() {
        service.ready().await;
    }
    let deploying = async {
        let deployed = deploy(app, service, config, source?).await;
        let refused = match deployed {
            Err(refused) if app.deployments().active().is_none() => {
                complain(&refused);
                return Some(ExitCode::from(EXIT_CONFIG));
            }
            deployed => {
                service.ready().await;
                deployed.err()?
            }
        };
        error!(error = %refused, "deployment does not run: what ran before goes on");
        None
    };
    tokio::select! {
        Some(code) = deploying => code,
        () = app.supervisor().lost() => ExitCode::from(EXIT_FAILURE),
    }
}

async fn begin(app: &App, mode: Mode) -> Result<(), JournalError> {
    match mode {
        Mode::Production => app.resume().await?,
        Mode::Development => app.begin_afresh().await?,
    }
    info!("ready");
    Ok(())
}

/// Puts a document into service, unless it is, and waits until it is certain
/// whether it stays.
async fn deploy(
    app: &App,
    service: &Service,
    config: &HostConfig,
    source: Arc<Source>,
) -> Result<(), Refused> {
    let submission = submission(app, config, source).await?;
    if app.deployments().is_active(&submission) {
        return Ok(());
    }
    let id = app.deploy(submission).await?;
    service.ready().await;
    match app.deployments().ended(id).await {
        Some(report) if report.phase == Phase::RolledBack => Err(Refused(report.faults)),
        _ => Ok(()),
    }
}

/// What is handed in for the document that was read.
pub(super) async fn submission(
    app: &App,
    config: &HostConfig,
    source: Arc<Source>,
) -> Result<Submission, SubmitError> {
    let store = app.deployments().files().clone();
    let directories = config.plugin_directories.clone();
    let read = move || Submission::of_source(&source, &directories, &store);
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| SubmitError::Journal(error.into()))?
}
