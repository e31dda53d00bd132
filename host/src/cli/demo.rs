//! `selvedge demo`: a whole line at work on three simulated machines.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::files::{self, complain};
use super::{EXIT_CONFIG, EXIT_FAILURE, Interrupts, block_on, directories, duration, log, run};
use crate::app::{App, Mode, Refused};
use crate::bus::InboxLimits;
use crate::config::{HostConfig, LogLevel};
use crate::demo::{
    ASSETS, DURATION_MIN, Device, Machines, ModbusServer, Options, Summary, WATCHED, watch,
};
use crate::deployment::document::source::Source;
use crate::deployment::submission::SubmitError;
use crate::error_chain::ErrorChain;
use crate::spec::Overflow;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

/// What the demo shows waits here; a slow terminal misses the oldest.
const SHOWN: InboxLimits = InboxLimits {
    messages_max: 4_096,
    bytes_max: 8 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Stop after this time and sum up; at least 40s. Without it the demo runs
    /// until it is interrupted.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Print each event as a JSON object, and the summary last.
    #[arg(long)]
    json: bool,
    /// The same seed gives the same machines and faults.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Where compiled plugins are kept, for a quick start the next time.
    #[arg(long, value_name = "DIRECTORY")]
    data_directory: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if args
        .duration
        .is_some_and(|duration| duration < DURATION_MIN)
    {
        let seconds = DURATION_MIN.as_secs();
        complain(&format_args!(
            "a demo of less than {seconds}s cannot show every fault"
        ));
        return ExitCode::from(super::EXIT_USAGE);
    }
    let options = Options {
        duration: args.duration,
        json: args.json,
        terminal: !args.json && std::io::stdout().is_terminal(),
        seed: args.seed,
    };
    let mut config = HostConfig {
        data_directory: args
            .data_directory
            .clone()
            .unwrap_or_else(|| directories::cache("demo")),
        ..HostConfig::default()
    };
    // What is drawn in place must not be written over.
    config.log.level = if options.terminal {
        LogLevel::Error
    } else {
        LogLevel::Warn
    };
    log::start(&config.log);
    block_on(async move {
        match show(&config, &options).await {
            Ok(summary) if summary.passed || options.duration.is_none() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(EXIT_FAILURE),
            Err(code) => ExitCode::from(code),
        }
    })
}

/// Runs the line, watches it, and stops it in order.
async fn show(config: &HostConfig, options: &Options) -> Result<Summary, u8> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        error!(error = %ErrorChain(error), "cannot start the demo");
        EXIT_FAILURE
    };
    let mut interrupts = Interrupts::listen();
    let machines = Machines::start(options)
        .await
        .map_err(|error| failed(&error))?;
    let folder = config.data_directory.join("demo");
    let text = machines.deployment_text();
    let path = write_deployment(&folder, &text).map_err(|error| failed(&error))?;
    let source = files::read(&path).map_err(|faults| {
        complain(&faults);
        EXIT_CONFIG
    })?;
    let app = App::build(config, Mode::Production).map_err(|error| failed(&error))?;
    let filters = WATCHED.map(|filter| filter.parse().expect("these are filters"));
    let inbox = app.bus().host_party().subscribe(&filters, SHOWN);
    let mut inbox = inbox.map_err(|error| failed(&error))?;

    let director = machines.director();
    for (device, server) in machines.into_servers() {
        app.supervisor().start(machine_unit(device, server));
    }
    let stop = CancellationToken::new();
    let deployed = tokio::select! {
        deployed = deploy(&app, config, source) => deployed,
        () = interrupts.next() => {
            stop.cancel();
            Ok(())
        }
    };
    if let Err(refused) = deployed {
        complain(&refused);
        app.shut_down().await;
        return Err(EXIT_CONFIG);
    }

    let mut out = std::io::stdout().lock();
    let summary = {
        let watching = watch(&mut inbox, &director, options, stop.clone(), &mut out);
        let mut watching = std::pin::pin!(watching);
        tokio::select! {
            summary = &mut watching => summary,
            () = interrupts.next() => {
                stop.cancel();
                watching.await
            }
        }
    };
    tokio::select! {
        () = app.shut_down() => {}
        // Asked twice, it does not wait for anyone.
        () = interrupts.next() => {}
    }
    summary.map_err(|error| failed(&error))
}

/// Nothing of an earlier demo runs, whose machines are gone.
async fn deploy(app: &App, config: &HostConfig, source: Arc<Source>) -> Result<(), Refused> {
    let begun = app.begin_afresh().await;
    begun.map_err(|error| Refused::from(SubmitError::Journal(Box::new(error))))?;
    let submission = run::submission(app, config, source).await?;
    app.deploy(submission).await?;
    Ok(())
}

fn machine_unit(device: Device, server: ModbusServer) -> Unit {
    let policy = RestartPolicy {
        delay_min: Duration::ZERO,
        delay_max: Duration::ZERO,
        failures_max: 0,
        window: Duration::from_secs(1),
        when_lost: WhenLost::KeepHost,
    };
    let server = Arc::new(Mutex::new(Some(server)));
    Unit::new(
        format!("machine/{}", device.name()),
        policy,
        move |context| {
            let server = server.lock().take();
            async move {
                let server = server.ok_or("a machine runs once")?;
                context.ready();
                server.serve(context.stop).await;
                Ok(())
            }
        },
    )
}

/// Writes the deployment and the models it names; says where the former is.
fn write_deployment(folder: &Path, text: &str) -> std::io::Result<PathBuf> {
    fs_err::create_dir_all(folder)?;
    for (name, bytes) in ASSETS {
        fs_err::write(folder.join(name), bytes)?;
    }
    let path = folder.join("demo.toml");
    fs_err::write(&path, text)?;
    Ok(path)
}
