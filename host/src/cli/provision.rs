//! `selvedge provision`: a certificate of the gateway's own, for the claim that its
//! fleet shares.
//!
//! The host need not run, and is not touched: the files are put where the uplink of
//! its configuration names them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::failure::{Failure, Outcome};
use super::output::{json as print, say};
use super::wait;
use crate::bus::{Bus, BusLimits};
use crate::cloud::config::KeyMaker;
use crate::cloud::name::TemplateName;
use crate::cloud::provisioning::files::{Files, Thing};
use crate::cloud::provisioning::{Claim, provision};
use crate::names::PartyName;
use crate::storage::Storage;
use crate::supervisor::Supervisor;
use crate::uplink::Uplinks;
use crate::uplink::config::UplinkConfig;

const EXAMPLES: &str = "\
Example:
  selvedge provision --endpoint abc-ats.iot.eu-west-1.amazonaws.com --ca AmazonRootCA1.pem \\
      --claim-cert claim.pem --claim-key claim.key --template line --param SerialNumber=7

Killed half-way, the same command goes on where it was.";

/// What the claim is called here.
const NAME: &str = "claim";
/// How long the connection may take to end.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the cloud is: HOST or HOST:PORT.
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: String,
    /// The authorities that vouch for it (PEM).
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The certificate that claims (PEM).
    #[arg(long, value_name = "FILE")]
    claim_cert: PathBuf,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    claim_key: PathBuf,
    /// The provisioning template.
    #[arg(long, value_name = "NAME")]
    template: TemplateName,
    /// A parameter of the template; may be given again.
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Let the cloud make the key and send it, instead of making it here.
    #[arg(long)]
    key_from_cloud: bool,
    /// Who the gateway is while it claims.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Where the certificate is put.
    #[arg(long, value_name = "FILE", default_value = "certificate.pem")]
    certificate: PathBuf,
    /// Where its key is put.
    #[arg(long, value_name = "FILE", default_value = "key.pem")]
    key: PathBuf,
    /// Seconds that connecting may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Say which thing it is as JSON.
    #[arg(long)]
    json: bool,
}

/// What was got.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    thing: &'a Thing,
    certificate_file: &'a PathBuf,
    key_file: &'a PathBuf,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let config = config(args)?;
    let thing = wait(claim(args, config))?;
    if args.json {
        print(&Report {
            thing: &thing,
            certificate_file: &args.certificate,
            key_file: &args.key,
        })?;
    } else {
        say(&format!("{}: the thing's name", thing.thing))?;
        say(&format!("{}: its certificate", args.certificate.display()))?;
        say(&format!(
            "{}: its key; keep it, and nobody else",
            args.key.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn config(args: &Args) -> Outcome<UplinkConfig> {
    let config = json!({
        "endpoint": args.endpoint,
        "profile": "aws-iot-core",
        "ca": args.ca,
        "certificate": args.claim_cert,
        "key": args.claim_key,
        "client_id": args.client_id,
        "protocol": "3.1.1",
    });
    let config: UplinkConfig = serde_json::from_value(config)?;
    if let Some((field, text)) = config.faults().into_iter().next() {
        return Err(Failure::usage(format!("{field}: {text}")));
    }
    // What is named is read before the cloud is asked, and named if it cannot be.
    for file in [&args.ca, &args.claim_cert, &args.claim_key] {
        fs_err::metadata(file)?;
    }
    Ok(config)
}

/// Connects with the claim and asks; all that is needed is forgotten afterwards.
async fn claim(args: &Args, config: UplinkConfig) -> Outcome<Thing> {
    let folder = tempfile::tempdir()?;
    let storage = Storage::open(folder.path())?;
    let bus = Bus::new(BusLimits::default());
    let name: PartyName = NAME.parse().expect("a constant that is a name");
    let config: BTreeMap<_, _> = [(name.clone(), config)].into();
    let (uplinks, units) = Uplinks::build(&config, &Arc::default(), &bus, &storage)?;
    let uplink = uplinks.get(&name).expect("it was just built");
    let supervisor = Supervisor::new(GRACE, Arc::new(|_: &str, _: &_| ()));
    for unit in units.into_all() {
        supervisor.start(unit);
    }
    let claim = Claim {
        template: args.template.clone(),
        parameters: args.parameters.iter().cloned().collect(),
        key: if args.key_from_cloud {
            KeyMaker::Cloud
        } else {
            KeyMaker::Here
        },
    };
    let files = Files {
        certificate: args.certificate.clone(),
        key: args.key.clone(),
    };
    let wait = Duration::from_secs(args.timeout);
    let provisioned = provision(&uplink, &claim, &files, wait).await;
    let last = uplink.status().last_error.map(|fault| fault.message);
    supervisor.shut_down().await;
    // Why it was not connected is known where connections are made.
    provisioned.map_err(|error| Failure::new(error, last))
}
