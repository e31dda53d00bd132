//! `selvedge tap`: messages as they pass on the bus.

use std::ops::ControlFlow;

use super::message::{payload, time_of_day};
use super::stream::{self, Pace};
use crate::api::wire::{Tapped, WireMessage};
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, Tone};
use crate::deployment::document::fault::plain;
use crate::names::TopicFilter;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Topics that match any of these: `telemetry/#`, `+/state`.
    #[arg(value_name = "FILTER", required = true)]
    filters: Vec<TopicFilter>,
    /// Begin with the values that are kept.
    #[arg(long)]
    kept: bool,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    let filters: Vec<_> = args.filters.iter().map(ToString::to_string).collect();
    let listening = format!("listening to {}", plain(&filters.join(", ")));
    let filters = filters.iter().map(|filter| ("filter", filter.as_str()));
    let kept = args.kept.then_some(("kept", "true"));
    let query: Vec<_> = filters.chain(kept).collect();
    let (mut pace, paint) = (Pace::new(), Paint::stdout());
    let mut left = args.count;
    let url = client.url(&["tap"], &query);
    stream::show(&client, url, Some(&listening), true, |value| {
        let tapped: Tapped = value.read()?;
        if args.host.json {
            value.print_line()?;
        } else {
            pace.say(&line(&tapped, paint))?;
        }
        if let (Some(left), Tapped::Message(_)) = (&mut left, &tapped) {
            *left -= 1;
        }
        Ok(if left == Some(0) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })
}

fn line(tapped: &Tapped, paint: Paint) -> String {
    match tapped {
        Tapped::Message(message) => {
            let at = message.published_at.map(time_of_day).unwrap_or_default();
            let kept = if message.retain { " (kept)" } else { "" };
            let at = paint.text(Tone::Faint, &format!("{at}{kept}"));
            format!("{at} {}", of(message))
        }
        Tapped::Missed { messages } => {
            let missed = format!("… {messages} messages missed: this reader is too slow");
            paint.text(Tone::Doubtful, &missed)
        }
    }
}

/// Topic and payload.
pub(super) fn of(message: &WireMessage) -> String {
    let reply = message.reply_to.as_deref();
    let reply = reply.map_or(String::new(), |topic| format!(" -> {}", plain(topic)));
    format!("{}{reply} {}", plain(&message.topic), payload(message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;
    use crate::cli::output::Paint;

    #[test]
    fn messages_and_gaps_are_a_line_each() {
        for (json, shown) in [
            (
                json!({
                    "tap": "message", "topic": "telemetry/hall/press", "text": "[]",
                    "published_at": "2026-11-22T10:11:12.5Z",
                }),
                "10:11:12.500 telemetry/hall/press []",
            ),
            (
                json!({
                    "tap": "message", "topic": "a", "text": "1", "retain": true, "reply_to": "b\n",
                    "published_at": "2026-11-22T10:11:12Z",
                }),
                "10:11:12.000 (kept) a -> b\\u{a} 1",
            ),
            (
                json!({ "tap": "missed", "messages": 12 }),
                "… 12 messages missed: this reader is too slow",
            ),
        ] {
            let tapped = serde_json::from_value(json).unwrap();
            assert_eq!(line(&tapped, Paint::plain()), shown);
        }
    }
}
