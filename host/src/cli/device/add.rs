//! `selvedge device add`: a new device, and all it needs to connect.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::connection::{Endpoint, Folder};
use super::site::{Site, SiteOptions, text};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::{json, say, to_the_second};
use crate::devices::{Device, DeviceFile, Issued, KeyType, Request, RequestKey};
use crate::names::PartyName;

pub(super) const AFTER_HELP: &str = "\
Without topic filters, those of its class count; without a class, it may publish
to telemetry/+/NAME/# and state/NAME/# and subscribe command/+/NAME/#.

Examples:
  selvedge device add oven-3
  selvedge device add oven-3 --class oven --endpoint gateway.local --out /media/usb
  selvedge device add oven-3 --publish 'telemetry/line-1/{device}/#' --csr oven-3.csr
  cd oven-3 && XDG_CONFIG_HOME=. mosquitto_pub -t state/oven-3/up -m yes

With --csr the key never leaves the device; else NAME.key is the only copy.

Exit codes: 0 fine, 1 failure, 64 usage, 78 configuration.";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What it is called: on the bus, in its certificate and as a client.
    #[arg(value_name = "NAME")]
    name: PartyName,
    /// What kind of device it is: a name in `[broker.classes]`.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// A topic filter that it may publish to; `{device}` stands for its name. Can
    /// be given several times.
    #[arg(long, value_name = "FILTER")]
    publish: Vec<String>,
    /// A topic filter that it may subscribe.
    #[arg(long, value_name = "FILTER")]
    subscribe: Vec<String>,
    /// What it is, for people.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    certificate: CertificateOptions,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

/// What certificate a device gets, and where it is written.
#[derive(Debug, clap::Args)]
pub(super) struct CertificateOptions {
    /// Vouch for the key of this request (PKCS #10, PEM); without it, a key is
    /// made. Nothing else in the request counts.
    #[arg(long, value_name = "FILE", conflicts_with = "key_type")]
    csr: Option<PathBuf>,
    /// What kind of key is made.
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    key_type: KeyType,
    /// For how many days the certificate is good.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_525))]
    days: u32,
    /// The folder for what the device needs. Without it, one of the device's name.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: Option<PathBuf>,
    /// Where the device finds this gateway, `host:port`. Can be given several
    /// times. Without it, this machine's address and the port of the host's
    /// configuration.
    #[arg(long = "endpoint", value_name = "HOST[:PORT]")]
    endpoints: Vec<Endpoint>,
}

/// What was made, as programs read of it.
#[derive(Debug, Serialize)]
pub(super) struct Made<'a> {
    pub(super) device: &'a PartyName,
    pub(super) fingerprint: String,
    pub(super) serial: &'a str,
    pub(super) not_after: Timestamp,
    pub(super) folder: PathBuf,
    pub(super) files: Vec<String>,
}

impl CertificateOptions {
    pub(super) fn folder(&self, name: &PartyName) -> Folder {
        let default = || PathBuf::from(name.as_str());
        Folder::new(self.out.clone().unwrap_or_else(default), name.clone())
    }

    pub(super) fn issue(&self, site: &Site, name: &PartyName) -> Outcome<Issued> {
        let request = self.csr.as_deref().map(text).transpose()?;
        let key = match &request {
            Some(request) => RequestKey::Signing(request),
            None => RequestKey::New(self.key_type),
        };
        let authority = site.authority()?;
        let issued = authority.issue(&Request {
            device: name,
            key,
            days: self.days,
        });
        match (issued, &self.csr) {
            (Err(error), Some(path)) if error.code() == "csr-invalid" => {
                Err(Failure::about(path, error))
            }
            (issued, _) => Ok(issued?),
        }
    }

    /// Where the device finds the gateway.
    pub(super) fn endpoints(&self, site: &Site) -> Vec<Endpoint> {
        let listen = site.config.broker.as_ref().map(|broker| broker.listen);
        Endpoint::all(&self.endpoints, listen)
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    let (site, name) = (args.site.open()?, &args.name);
    let (folder, some) = (args.certificate.folder(name), |texts: &[String]| {
        (!texts.is_empty()).then(|| texts.to_vec())
    });
    let mut file = DeviceFile {
        note: args.note.clone(),
        created: Some(Timestamp::now()),
        class: args.class.clone(),
        publish: some(&args.publish),
        subscribe: some(&args.subscribe),
        ..DeviceFile::default()
    };
    let device = checked(&site, name, &file)?;
    folder.check_new()?;
    let issued = args.certificate.issue(&site, name)?;
    // The device is let in last, when all that it needs is on the disk.
    let chain = site.authority()?.chain()?;
    let endpoints = args.certificate.endpoints(&site);
    let files = folder.write(&issued, &chain, &device, &endpoints)?;
    file.fingerprints = vec![issued.fingerprint];
    file.create(&site.data_directory, name)?;
    if args.json {
        json(&Made {
            device: name,
            fingerprint: issued.fingerprint.to_string(),
            serial: &issued.serial,
            not_after: issued.not_after,
            folder: folder.path().to_owned(),
            files,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let until = to_the_second(issued.not_after);
    let folder = folder.path().display();
    say(&format!(
        "{name} may connect; its certificate is good until {until}"
    ))?;
    say(&format!(
        "{folder}: what it needs; README.md there says how"
    ))?;
    if issued.key.is_some() {
        say(&format!(
            "{folder}/{name}.key: the only copy of its key; take it to the device"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The device that the file will be, if it can be.
fn checked(site: &Site, name: &PartyName, file: &DeviceFile) -> Outcome<Device> {
    if DeviceFile::load(&site.data_directory, name)?.is_some() {
        let help = format!("`selvedge device rotate {name}` gives it a new certificate");
        let what = format!("there is a device `{name}`");
        return Err(Failure::new(what, Some(help)));
    }
    if let Some(class) = &file.class {
        site.check_class(class)?;
    }
    let rules = site.rules_to_show_with(file);
    let device = file.device(name, &rules, Timestamp::now());
    device.map_err(|error| {
        let mut failure = Failure::usage(crate::error_chain::ErrorChain(&error).to_string());
        if error.code() != "device-filter-invalid" {
            failure = Failure::from(error);
        }
        failure
    })
}
