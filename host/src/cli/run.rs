//! `selvedge run` and `selvedge dev`: a deployment, until it is interrupted.
//!
//! They differ in one thing: `dev` signs components from files itself, so that
//! they pass the same check as any other.

use std::path::PathBuf;
use std::process::ExitCode;

use tracing::{error, info};

use super::files::{self, complain};
use super::{EXIT_CONFIG, EXIT_FAILURE, Interrupts, block_on, directories, log};
use crate::app::{App, Mode, site};
use crate::config::HostConfig;
use crate::deployment::document::Document;
use crate::deployment::document::fault::Faults;
use crate::error_chain::ErrorChain;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The deployment document.
    #[arg(value_name = "DEPLOYMENT")]
    deployment: PathBuf,
    /// The host's configuration; without it, defaults.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// Where all that must last is kept, instead of where the configuration says.
    /// Without either, /var/lib/selvedge; for `dev`, in your cache directory.
    #[arg(long, value_name = "DIRECTORY")]
    data_directory: Option<PathBuf>,
}

pub(super) fn run(args: &Args, mode: Mode) -> ExitCode {
    match prepare(args, mode) {
        Ok((config, document)) => {
            log::start(&config.log);
            block_on(serve(&config, &document, mode))
        }
        Err(faults) => {
            complain(&faults);
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn prepare(args: &Args, mode: Mode) -> Result<(HostConfig, Document), Faults> {
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
    let document = files::document(&args.deployment, &site(&config))?;
    Ok((config, document))
}

async fn serve(config: &HostConfig, document: &Document, mode: Mode) -> ExitCode {
    let mut interrupts = Interrupts::listen();
    let app = match App::build(config, mode) {
        Ok(app) => app,
        Err(error) => {
            error!(error = %ErrorChain(&error), "cannot start");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    let work = async {
        if let Err(refused) = app.deploy(document).await {
            complain(&refused);
            return ExitCode::from(EXIT_CONFIG);
        }
        app.supervisor().lost().await;
        ExitCode::from(EXIT_FAILURE)
    };
    let code = tokio::select! {
        code = work => code,
        () = interrupts.next() => {
            info!("shutting down");
            ExitCode::SUCCESS
        }
    };
    tokio::select! {
        () = app.shut_down() => code,
        // Asked twice, it does not wait for anyone.
        () = interrupts.next() => ExitCode::from(EXIT_FAILURE),
    }
}
