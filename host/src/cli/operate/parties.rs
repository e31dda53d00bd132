//! `selvedge parties`: everyone on the bus, counted.

use std::process::ExitCode;

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

/// The answer of the host: [`crate::api::wire::Parties`].
#[derive(Debug, Deserialize)]
struct Parties {
    parties: Vec<Party>,
}

#[derive(Debug, Deserialize)]
struct Party {
    name: String,
    published_total: u64,
    refused_total: u64,
    delivered_total: u64,
    dropped_total: u64,
    inbox_messages: u64,
    inbox_bytes: u64,
    subscriptions: u64,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let answer = client.get(client.url(&["parties"], &[])).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let parties: Parties = answer.read()?;
            table(&parties).print(Paint::stdout())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn table(parties: &Parties) -> Columns<8> {
    let mut table = Columns::new([
        ("PARTY", Align::Left),
        ("PUBLISHED", Align::Right),
        ("REFUSED", Align::Right),
        ("DELIVERED", Align::Right),
        ("DROPPED", Align::Right),
        ("WAITING", Align::Right),
        ("BYTES", Align::Right),
        ("SUBSCRIBES", Align::Right),
    ]);
    for party in &parties.parties {
        table.row([
            (&party.name).into(),
            party.published_total.to_string().into(),
            loss(party.refused_total),
            party.delivered_total.to_string().into(),
            loss(party.dropped_total),
            party.inbox_messages.to_string().into(),
            units::bytes(party.inbox_bytes).into(),
            party.subscriptions.to_string().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Parties, table};
    use crate::api::wire;
    use crate::bus::PartyStatus;
    use crate::cli::output::Paint;

    #[test]
    fn what_the_host_tells_of_parties_is_what_is_shown() {
        let status = PartyStatus {
            name: "window".parse().unwrap(),
            published_total: 300,
            refused_total: 1,
            unkept_total: 0,
            delivered_total: 1200,
            dropped_total: 0,
            inbox_messages: 3,
            inbox_bytes: 768,
            subscriptions: 2,
        };
        let parties = vec![status];
        let told = serde_json::to_value(wire::Parties { parties }).unwrap();
        let parties: Parties = serde_json::from_value(told).unwrap();
        let lines = table(&parties).lines(Paint::plain());
        let expected = [
            "PARTY   PUBLISHED  REFUSED  DELIVERED  DROPPED  WAITING  BYTES  SUBSCRIBES",
            "window        300        1       1200        0        3  768 B           2",
        ];
        assert_eq!(lines, expected);
    }
}
