//! `selvedge demo`: a whole line at work on four simulated machines.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::failure::{Failure, Outcome};
use super::files::{self, complain};
use super::{EXIT_CONFIG, EXIT_FAILURE, Interrupts, block_on, directories, duration, log, run};
use crate::app::{App, Mode, Refused};
use crate::bus::InboxLimits;
use crate::config::{LogConfig, LogLevel};
use crate::demo::{
    Account, DURATION_MIN, Device, Gateway, Machines, ModbusServer, MqttMachine, Options, Site,
    Sources, Summary, WATCHED, watch,
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

const AFTER_HELP: &str = "\
Examples:
  selvedge demo
  selvedge demo --for 60s --json
  selvedge demo --uplink aws --endpoint a1b2c3-ats.iot.eu-central-1.amazonaws.com \\
    --cert device.pem.crt --key private.pem.key

All that a run makes is in the folder `demo` of the data directory. A run begins
with nothing of the one before but its compiled plugins.

The policy of the certificate in the account must allow `iot:Connect` as client
`selvedge-demo` and `iot:Publish` to `selvedge/demo/*`.

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
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
    /// Send anomalies and notices to a real account instead of a stand-in cloud.
    #[arg(long, value_name = "KIND", value_enum)]
    uplink: Option<UplinkKind>,
    /// The account's own address; port 8883 unless it says another.
    #[arg(long, value_name = "HOST[:PORT]")]
    endpoint: Option<String>,
    /// The certificate that the account knows (PEM).
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Who vouches for the account (PEM), if it is not Amazon Root CA 1.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A kind of account.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum UplinkKind {
    /// AWS IoT Core.
    Aws,
}

impl Args {
    /// The account that the uplink leads to. None: the stand-in.
    fn account(&self) -> Outcome<Option<Account>> {
        const ALL: &str = "`--uplink aws --endpoint HOST --cert FILE --key FILE` sends to an \
                           account of AWS IoT Core; without them the cloud is a stand-in";
        let given = [
            ("--endpoint", self.endpoint.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key", self.key.is_some()),
            ("--ca", self.ca.is_some()),
        ];
        match (self.uplink, &self.endpoint, &self.cert, &self.key) {
            (Some(UplinkKind::Aws), Some(endpoint), Some(certificate), Some(key)) => {
                Ok(Some(Account {
                    endpoint: endpoint.clone(),
                    certificate: certificate.clone(),
                    key: key.clone(),
                    ca: self.ca.clone(),
                }))
            }
            (Some(UplinkKind::Aws), ..) => {
                let needed = given.iter().take(3).filter(|(_, is_given)| !is_given);
                let needed: Vec<_> = needed.map(|(name, _)| *name).collect();
                let what = format!("`--uplink aws` needs {}", needed.join(", "));
                Err(Failure::usage(what).with_hint(ALL))
            }
            (None, ..) => match given.iter().find(|(_, is_given)| *is_given) {
                Some((name, _)) => {
                    let what = format!("`{name}` needs `--uplink aws`");
                    Err(Failure::usage(what).with_hint(ALL))
                }
                None => Ok(None),
            },
        }
    }
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
    let account = match args.account() {
        Ok(account) => account,
        Err(failure) => return failure.report(),
    };
    let options = Options {
        duration: args.duration,
        json: args.json,
        terminal: !args.json && std::io::stdout().is_terminal(),
        seed: args.seed,
    };
    log::start(&LogConfig {
        // What is drawn in place must not be written over.
        level: if options.terminal {
            LogLevel::Error
        } else {
            LogLevel::Warn
        },
        ..LogConfig::default()
    });
    let directory = args.data_directory.clone();
    let directory = directory.unwrap_or_else(|| directories::cache("demo"));
    block_on(async move {
        match show(&directory, account.as_ref(), &options).await {
            Ok(summary) if summary.passed || options.duration.is_none() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(EXIT_FAILURE),
            Err(code) => ExitCode::from(code),
        }
    })
}

/// Why the demo does not start, and how the process then ends.
fn failed(error: &(dyn std::error::Error + 'static)) -> u8 {
    error!(error = %ErrorChain(error), "cannot start the demo");
    EXIT_FAILURE
}

/// Makes the site, runs the line in it, and stops all in order.
async fn show(
    directory: &Path,
    account: Option<&Account>,
    options: &Options,
) -> Result<Summary, u8> {
    let mut interrupts = Interrupts::listen();
    let machines = Machines::start(options)
        .await
        .map_err(|error| failed(&error))?;
    let site = Site::prepare(directory, machines.mqtt().device(), account);
    let site = site.map_err(|error| failed(&error))?;
    let stopping = async |app: App| {
        app.shut_down().await;
        site.shut_down().await;
    };
    let app = App::build(site.config(), Mode::Production).map_err(|error| failed(&error))?;
    let shown = work(&app, &site, machines, options, &mut interrupts).await;
    tokio::select! {
        () = stopping(app) => {}
        // Asked twice, it does not wait for anyone.
        () = interrupts.next() => {}
    }
    shown
}

/// Runs the line and watches it.
async fn work(
    app: &App,
    site: &Site,
    machines: Machines,
    options: &Options,
    interrupts: &mut Interrupts,
) -> Result<Summary, u8> {
    let text = machines.deployment_text();
    let path = site.write_deployment(&text);
    let source = files::read(&path.map_err(|error| failed(&error))?).map_err(|faults| {
        complain(&faults);
        EXIT_CONFIG
    })?;
    let filters = WATCHED.map(|filter| filter.parse().expect("these are filters"));
    let bus = app.bus().host_party().subscribe(&filters, SHOWN);
    let bus = bus.map_err(|error| failed(&error))?;
    let cloud = site.cloud(app.uplinks(), SHOWN);
    let cloud = cloud.map_err(|error| failed(&error))?;
    let cloud = cloud.expect("the site has an uplink");
    let mut sources = Sources { bus, cloud };

    let director = machines.director();
    let stop = CancellationToken::new();
    let deployed = tokio::select! {
        deployed = start(app, site, machines, source) => deployed,
        () = interrupts.next() => {
            stop.cancel();
            Ok(())
        }
    };
    deployed?;

    let mut out = std::io::stdout().lock();
    let watching = watch(&mut sources, &director, options, stop.clone(), &mut out);
    let mut watching = std::pin::pin!(watching);
    let summary = tokio::select! {
        summary = &mut watching => summary,
        () = interrupts.next() => {
            stop.cancel();
            watching.await
        }
    };
    summary.map_err(|error| failed(&error))
}

/// Starts the machines and the line. Nothing of an earlier demo runs, whose
/// machines are gone.
async fn start(app: &App, site: &Site, machines: Machines, source: Arc<Source>) -> Result<(), u8> {
    let pump = machines.mqtt();
    for (device, server) in machines.into_servers() {
        app.supervisor().start(machine_unit(device, server));
    }
    let refused = |error: Refused| {
        complain(&error);
        EXIT_CONFIG
    };
    let begun = app.begin_afresh().await;
    begun.map_err(|error| refused(SubmitError::Journal(Box::new(error)).into()))?;
    // Stopped before the broker that it is connected to.
    let broker = app.broker().expect("the site has a broker");
    let gateway = site.gateway(broker.addresses().tls);
    let gateway = gateway.map_err(|error| failed(&error))?;
    app.supervisor().start(client_unit(pump, gateway));
    let submission = run::submission(app, site.config(), source).await;
    let submission = submission.map_err(|error| refused(error.into()))?;
    app.deploy(submission).await.map_err(refused)?;
    Ok(())
}

/// Simulated machines run once.
const ONCE: RestartPolicy = RestartPolicy {
    delay_min: Duration::ZERO,
    delay_max: Duration::ZERO,
    failures_max: 0,
    window: Duration::from_secs(1),
    when_lost: WhenLost::KeepHost,
};

fn machine_unit(device: Device, server: ModbusServer) -> Unit {
    let server = Arc::new(Mutex::new(Some(server)));
    let name = format!("machine/{}", device.name());
    Unit::new(name, ONCE, move |context| {
        let server = server.lock().take();
        async move {
            let server = server.ok_or("a machine runs once")?;
            context.ready();
            server.serve(context.stop).await;
            Ok(())
        }
    })
}

fn client_unit(machine: MqttMachine, gateway: Gateway) -> Unit {
    let name = format!("machine/{}", machine.device().name());
    Unit::new(name, ONCE, move |context| {
        let (machine, gateway) = (machine.clone(), gateway.clone());
        async move {
            context.ready();
            machine.serve(&gateway, context.stop).await;
            Ok(())
        }
    })
}
