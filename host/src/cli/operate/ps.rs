//! `selvedge ps`: the plugins, one a line.

use std::process::ExitCode;

use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Align, Cell, Columns, Paint, Tone, units};
use crate::cli::wait;
use crate::deployment::deployments::PluginReport;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let client = args.host.client()?;
    wait(async {
        let answer = client.get(client.url(&["plugins"], &[])).await?;
        if args.host.json {
            answer.print()?;
        } else {
            let plugins: Vec<PluginReport> = answer.read()?;
            table(&plugins).print(Paint::stdout())?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The plugins, with why those do not run that do not.
pub(super) fn table(plugins: &[PluginReport]) -> Columns<9> {
    let mut table = Columns::new([
        ("PLUGIN", Align::Left),
        ("STATE", Align::Left),
        ("VERSION", Align::Left),
        ("PUBLISHER", Align::Left),
        ("HANDLED", Align::Right),
        ("WAITING", Align::Right),
        ("DROPPED", Align::Right),
        ("MEMORY", Align::Right),
        ("WHY", Align::Left),
    ]);
    for plugin in plugins {
        table.row([
            plugin.plugin.as_str().into(),
            state(plugin),
            (&plugin.version).into(),
            (&plugin.publisher).into(),
            plugin.handled_total.to_string().into(),
            plugin.inbox_messages.to_string().into(),
            loss(plugin.dropped_total),
            units::bytes(plugin.memory_bytes).into(),
            plugin.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// How a plugin is, as a colour says it.
pub(super) fn state(plugin: &PluginReport) -> Cell {
    let tone = match plugin.state.as_str() {
        "running" => Tone::Good,
        "starting" => Tone::Doubtful,
        "stopped" if plugin.stopped_by_operator => Tone::Faint,
        _ => Tone::Bad,
    };
    Cell::new(tone, &plugin.state)
}

/// A number that should be zero.
pub(super) fn loss(messages: u64) -> Cell {
    let tone = if messages == 0 {
        Tone::Usual
    } else {
        Tone::Doubtful
    };
    Cell::new(tone, messages.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::table;
    use crate::cli::output::Paint;
    use crate::deployment::deployments::PluginReport;

    /// A plugin as a host tells of it.
    pub(in crate::cli::operate) fn plugin(name: &str) -> PluginReport {
        let json = serde_json::json!({
            "plugin": name,
            "deployment": 7,
            "package": "acme:window",
            "version": "0.2.0",
            "publisher": "acme",
            "digest": "sha256:00",
            "exports": ["subscriber"],
            "state": "running",
            "stopped_by_operator": false,
            "handled_total": 1200,
            "published_total": 300,
            "dropped_total": 0,
            "dead_letters_total": 0,
            "inbox_messages": 3,
            "inbox_bytes": 768,
            "inbox_messages_max": 1024,
            "memory_bytes": 1_376_256,
            "memory_bytes_max": 67_108_864,
            "last_pause_us": 1240,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn plugins_are_listed_with_why_they_do_not_run() {
        let mut broken = plugin("detector");
        broken.state = "given-up".to_owned();
        broken.error = Some("it\ntrapped".to_owned());
        broken.dropped_total = 12;
        let lines = table(&[broken, plugin("window")]).lines(Paint::plain());
        let expected = [
            "PLUGIN    STATE     VERSION  PUBLISHER  HANDLED  WAITING  DROPPED   MEMORY  WHY",
            "detector  given-up  0.2.0    acme          1200        3       12  1.3 MiB  it\\u{a}trapped",
            "window    running   0.2.0    acme          1200        3        0  1.3 MiB",
        ];
        assert_eq!(lines, expected);
    }
}
