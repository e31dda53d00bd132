//! `selvedge devices`: who may connect by MQTT, and who is connected.
//!
//! What the running host goes by; `selvedge device` changes it, in files.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Deserialize;

use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Columns, Paint, say, units};
use crate::cli::wait;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    host: HostOptions,
}

/// The answer of the host: [`crate::api::wire::device::DeviceList`].
#[derive(Debug, Deserialize)]
struct Answer {
    devices: Vec<Device>,
    faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Device {
    name: String,
    class: Option<String>,
    standing: String,
    connections: Vec<Connection>,
}

#[derive(Debug, Deserialize)]
struct Connection {
    client_id: String,
    address: String,
    since: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Fault {
    file: String,
    code: String,
    reason: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let answer = client.get(client.url(&["devices"], &[])).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let answer: Answer = answer.read()?;
            table(&answer.devices, Timestamp::now()).print(Paint::stdout())?;
            if !answer.faults.is_empty() {
                say("")?;
                faults(&answer.faults).print(Paint::stdout())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A line for each connection, and one for each device that has none.
fn table(devices: &[Device], now: Timestamp) -> Columns<6> {
    let mut table = Columns::new([
        ("DEVICE", Align::Left),
        ("STANDING", Align::Left),
        ("CLASS", Align::Left),
        ("CLIENT", Align::Left),
        ("FROM", Align::Left),
        ("CONNECTED", Align::Right),
    ]);
    for device in devices {
        let class = device.class.as_deref().unwrap_or_default();
        let mut line = |connection: Option<&Connection>| {
            let since = connection.map(|own| units::ago(now, own.since));
            table.row([
                (&device.name).into(),
                (&device.standing).into(),
                class.into(),
                connection.map_or("", |own| &own.client_id).into(),
                connection.map_or("", |own| &own.address).into(),
                since.unwrap_or_default().into(),
            ]);
        };
        if device.connections.is_empty() {
            line(None);
        }
        for connection in &device.connections {
            line(Some(connection));
        }
    }
    table
}

fn faults(faults: &[Fault]) -> Columns<3> {
    let mut table = Columns::new([
        ("FILE NOT USED", Align::Left),
        ("CODE", Align::Left),
        ("WHY", Align::Left),
    ]);
    for fault in faults {
        table.row([
            (&fault.file).into(),
            (&fault.code).into(),
            (&fault.reason).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{Answer, faults, table};
    use crate::api::wire::device::{
        DeviceConnection, DeviceFault, DeviceList, DeviceReport, DeviceStanding,
    };
    use crate::cli::output::Paint;

    fn device(name: &str, connections: Vec<DeviceConnection>) -> DeviceReport {
        DeviceReport {
            name: name.parse().unwrap(),
            class: None,
            standing: DeviceStanding::Good,
            revoked_at: None,
            revoked_reason: None,
            note: None,
            publish: Vec::new(),
            subscribe: Vec::new(),
            connections,
        }
    }

    #[test]
    fn what_the_host_tells_of_devices_is_what_is_shown() {
        let since = Timestamp::UNIX_EPOCH;
        let connection = |client_id: &str| DeviceConnection {
            client_id: client_id.to_owned(),
            address: "10.0.0.7:40112".to_owned(),
            since,
        };
        let told = DeviceList {
            devices: vec![
                device("oven", vec![connection("oven"), connection("oven-1")]),
                DeviceReport {
                    standing: DeviceStanding::Revoked,
                    class: Some("press".to_owned()),
                    ..device("press", Vec::new())
                },
            ],
            faults: vec![DeviceFault {
                file: "pump.toml".to_owned(),
                code: "device-filter-invalid".to_owned(),
                reason: "no filter".to_owned(),
            }],
        };
        let told = serde_json::to_value(told).unwrap();
        let answer: Answer = serde_json::from_value(told).unwrap();
        let now = since + SignedDuration::from_secs(12);
        let expected = [
            "DEVICE  STANDING  CLASS  CLIENT  FROM            CONNECTED",
            "oven    good             oven    10.0.0.7:40112   12 s ago",
            "oven    good             oven-1  10.0.0.7:40112   12 s ago",
            "press   revoked   press",
        ];
        assert_eq!(table(&answer.devices, now).lines(Paint::plain()), expected);
        let expected = [
            "FILE NOT USED  CODE                   WHY",
            "pump.toml      device-filter-invalid  no filter",
        ];
        assert_eq!(faults(&answer.faults).lines(Paint::plain()), expected);
    }
}
