//! `selvedge device list` and `show`: what is known of devices.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::site::{Site, SiteOptions};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::files::complain;
use crate::cli::output::{Align, Cell, Columns, Paint, Table, Tone, json, to_the_second};
use crate::devices::{
    Authority, DeviceFile, Devices, Fault, Quota, Record, Registered, Revoked, Standing,
};
use crate::names::{PartyName, TopicFilter};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// The device.
    #[arg(value_name = "NAME")]
    name: PartyName,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteOptions,
}

/// A device as programs read of it.
#[derive(Debug, Serialize)]
struct Shown {
    name: PartyName,
    class: Option<String>,
    standing: &'static str,
    revoked: Option<Revoked>,
    created: Option<Timestamp>,
    note: Option<String>,
    publish: Vec<TopicFilter>,
    subscribe: Vec<TopicFilter>,
    /// Those that it may show now; none: any of the authority's that names it.
    fingerprints: Vec<String>,
    quota: Quota,
    certificates: Vec<Record>,
}

/// What of devices' files is not as it should be.
#[derive(Debug, Serialize)]
struct ShownFault {
    path: std::path::PathBuf,
    code: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Listed {
    devices: Vec<Shown>,
    faults: Vec<ShownFault>,
}

impl Shown {
    fn new(registered: &Registered, records: &[Record]) -> Self {
        let device = &registered.device;
        let own = records.iter();
        let own = own.filter(|record| record.device == device.name);
        let fingerprints = device.fingerprints.iter();
        Self {
            name: device.name.clone(),
            class: device.class.clone(),
            standing: standing(registered.standing),
            revoked: registered.revoked.clone(),
            created: registered.created,
            note: registered.note.clone(),
            publish: device.publish.clone(),
            subscribe: device.subscribe.clone(),
            fingerprints: fingerprints.map(ToString::to_string).collect(),
            quota: device.quota.clone(),
            certificates: own.cloned().collect(),
        }
    }

    /// When the last of its certificates ends that count.
    fn ends(&self) -> Option<Timestamp> {
        let counts = |record: &&Record| {
            record.revoked.is_none() && self.fingerprints.contains(&record.fingerprint.to_string())
        };
        let counting = self.certificates.iter().filter(counts);
        counting.map(|record| record.not_after).max()
    }
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let site = args.site.open()?;
    let (devices, faults) = devices(&site)?;
    if args.json {
        let faults = faults.into_iter().map(|fault| ShownFault {
            path: fault.path,
            code: fault.code,
            reason: fault.reason,
        });
        let faults = faults.collect();
        json(&Listed { devices, faults })?;
        return Ok(ExitCode::SUCCESS);
    }
    for Fault { path, reason, .. } in &faults {
        complain(&format_args!("warning: {}: {reason}", path.display()));
    }
    table(&devices).print(Paint::stdout())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(args: &ShowArgs) -> Outcome {
    let site = args.site.open()?;
    let (devices, faults) = devices(&site)?;
    let path = DeviceFile::path(&site.data_directory, &args.name);
    let fault = faults.into_iter().find(|fault| fault.path == path);
    let device = devices.into_iter().find(|device| device.name == args.name);
    let Some(device) = device else {
        if let Some(fault) = fault {
            return Err(Failure::about(&path, fault.reason));
        }
        site.device(&args.name)?;
        return Err(Failure::new(
            format!("there is no device `{}`", args.name),
            None,
        ));
    };
    if args.json {
        json(&device)?;
    } else {
        details(&device).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn devices(site: &Site) -> Outcome<(Vec<Shown>, Vec<Fault>)> {
    let names = DeviceFile::names(&site.data_directory)?;
    let devices = Devices::read(&site.data_directory, site.rules_to_show(&names))?;
    let authority = Authority::open(&site.data_directory).ok();
    let records = authority.map(|authority| authority.records());
    let records = records.transpose()?.unwrap_or_default();
    let shown = devices.list();
    let shown = shown.iter().map(|device| Shown::new(device, &records));
    Ok((shown.collect(), devices.faults()))
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Disabled => "disabled",
        Standing::Revoked => "revoked",
    }
}

fn table(devices: &[Shown]) -> Columns<5> {
    let mut table = Columns::new([
        ("DEVICE", Align::Left),
        ("STANDING", Align::Left),
        ("CLASS", Align::Left),
        ("CERTIFICATE UNTIL", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for device in devices {
        let tone = match device.standing {
            "good" => Tone::Usual,
            _ => Tone::Faint,
        };
        let ends = device.ends().map(|ends| to_the_second(ends).to_string());
        table.row([
            device.name.as_str().into(),
            Cell::new(tone, device.standing),
            device.class.as_deref().unwrap_or_default().into(),
            ends.unwrap_or_default().into(),
            device.note.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

fn details(device: &Shown) -> Table {
    let mut table = Table::default();
    table.row("device", device.name.as_str());
    table.row("standing", device.standing);
    if let Some(Revoked { at, reason }) = &device.revoked {
        let reason = reason.as_deref().unwrap_or_default();
        table.row("revoked", format!("{} {reason}", to_the_second(*at)));
    }
    for (name, value) in [("class", &device.class), ("note", &device.note)] {
        if let Some(value) = value {
            table.row(name, value);
        }
    }
    if let Some(created) = device.created {
        table.row("created", to_the_second(created).to_string());
    }
    for filter in &device.publish {
        table.row("publishes", filter.as_str());
    }
    for filter in &device.subscribe {
        table.row("subscribes", filter.as_str());
    }
    for record in &device.certificates {
        let until = to_the_second(record.not_after);
        let fingerprint = record.fingerprint.to_string();
        let counts = device.fingerprints.contains(&fingerprint) || device.fingerprints.is_empty();
        let how = match &record.revoked {
            Some(revoked) if revoked.at <= Timestamp::now() => {
                format!("revoked since {}", to_the_second(revoked.at))
            }
            Some(revoked) => format!(
                "good until {}",
                to_the_second(revoked.at.min(record.not_after))
            ),
            None if counts => format!("good until {until}"),
            None => "not listed".to_owned(),
        };
        table.row("certificate", format!("{fingerprint} {how}"));
    }
    table
}
