//! `selvedge uplinks`: the MQTT connections outward, and what waits for them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Deserialize;

use super::ps::loss;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Columns, Paint, units};
use crate::cli::wait;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    host: HostOptions,
}

/// One of the answer of the host: [`crate::uplink::UplinkStatus`].
#[derive(Debug, Deserialize)]
struct Uplink {
    name: String,
    endpoint: String,
    state: String,
    last_error: Option<Fault>,
    queue_messages: u64,
    queue_bytes: u64,
    queue_oldest_s: Option<u64>,
    in_flight: u64,
    acknowledged_total: u64,
    received_total: u64,
    dropped_total: BTreeMap<String, u64>,
    dead_letters_total: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    code: String,
    at: Timestamp,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let answer = client.get(client.url(&["uplinks"], &[])).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let uplinks: Vec<Uplink> = answer.read()?;
            table(&uplinks, Timestamp::now()).print(Paint::stdout())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn table(uplinks: &[Uplink], now: Timestamp) -> Columns<12> {
    let mut table = Columns::new([
        ("UPLINK", Align::Left),
        ("ENDPOINT", Align::Left),
        ("STATE", Align::Left),
        ("WAITING", Align::Right),
        ("BYTES", Align::Right),
        ("OLDEST", Align::Right),
        ("IN FLIGHT", Align::Right),
        ("ACKNOWLEDGED", Align::Right),
        ("RECEIVED", Align::Right),
        ("DROPPED", Align::Right),
        ("DEAD", Align::Right),
        ("LAST ERROR", Align::Left),
    ]);
    for uplink in uplinks {
        let oldest = uplink.queue_oldest_s;
        let error = uplink.last_error.as_ref();
        let error = error.map(|error| format!("{}, {}", error.code, units::ago(now, error.at)));
        table.row([
            (&uplink.name).into(),
            (&uplink.endpoint).into(),
            (&uplink.state).into(),
            uplink.queue_messages.to_string().into(),
            units::bytes(uplink.queue_bytes).into(),
            oldest.map_or_else(String::new, |s| format!("{s} s")).into(),
            uplink.in_flight.to_string().into(),
            uplink.acknowledged_total.to_string().into(),
            uplink.received_total.to_string().into(),
            loss(uplink.dropped_total.values().sum()),
            loss(uplink.dead_letters_total.values().sum()),
            error.unwrap_or_default().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Uplink, table};
    use crate::cli::output::Paint;
    use crate::uplink::config::Profile;
    use crate::uplink::{LinkState, UplinkFault, UplinkStatus};

    #[test]
    fn what_the_host_tells_of_uplinks_is_what_is_shown() {
        let status = UplinkStatus {
            name: "cloud".parse().unwrap(),
            endpoint: "a.example".to_owned(),
            profile: Profile::AwsIotCore,
            client_id: "gw".to_owned(),
            state: LinkState::Connecting,
            connected_since: None,
            last_error: Some(UplinkFault {
                code: "target-unreachable".to_owned(),
                message: "cannot reach the target".to_owned(),
                at: jiff::Timestamp::UNIX_EPOCH,
            }),
            queue_messages: 3,
            queue_bytes: 768,
            queue_bytes_max: 1_000,
            queue_oldest_s: Some(90),
            in_flight: 2,
            connections_total: 1,
            sent_total: 7,
            acknowledged_total: 5,
            received_total: 4,
            dropped_total: [("expired".to_owned(), 1)].into(),
            dead_letters_total: [].into(),
        };
        let told = serde_json::to_value(vec![status]).unwrap();
        let uplinks: Vec<Uplink> = serde_json::from_value(told).unwrap();
        let now = jiff::Timestamp::from_second(12).unwrap();
        let lines = table(&uplinks, now).lines(Paint::plain());
        let expected = [
            "UPLINK  ENDPOINT   STATE       WAITING  BYTES  OLDEST  IN FLIGHT  ACKNOWLEDGED  RECEIVED  DROPPED  DEAD  LAST ERROR",
            "cloud   a.example  connecting        3  768 B    90 s          2             5         4        1     0  target-unreachable, 12 s ago",
        ];
        assert_eq!(lines, expected);
    }
}
