//! `selvedge topics`: what the bus keeps a value of.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::api::wire::KeptTopic;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Columns, Paint, units};
use crate::cli::wait;
use crate::names::TopicFilter;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only topics that match.
    #[arg(value_name = "FILTER")]
    filter: Option<TopicFilter>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    let (filter, limit) = (args.filter.as_ref(), args.limit.to_string());
    let filter = filter.map(ToString::to_string);
    let mut query = vec![("limit", limit.as_str())];
    query.extend(filter.as_deref().map(|filter| ("filter", filter)));
    wait(async {
        let answer = client.get(client.url(&["topics"], &query)).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let topics: Vec<KeptTopic> = answer.read()?;
            table(&topics, Timestamp::now()).print(Paint::stdout())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn table(topics: &[KeptTopic], now: Timestamp) -> Columns<3> {
    let mut table = Columns::new([
        ("BYTES", Align::Right),
        ("PUBLISHED", Align::Left),
        ("TOPIC", Align::Left),
    ]);
    for topic in topics {
        table.row([
            units::bytes(topic.bytes).into(),
            units::ago(now, topic.published_at).into(),
            (&topic.topic).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{KeptTopic, table};
    use crate::cli::output::Paint;

    #[test]
    fn topics_are_listed_with_what_is_kept_of_them() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let topic = KeptTopic {
            topic: "telemetry/hall/press".to_owned(),
            bytes: 2048,
            published_at: now - SignedDuration::from_secs(12),
        };
        let expected = [
            "  BYTES  PUBLISHED  TOPIC",
            "2.0 KiB  12 s ago   telemetry/hall/press",
        ];
        assert_eq!(table(&[topic], now).lines(Paint::plain()), expected);
    }
}
