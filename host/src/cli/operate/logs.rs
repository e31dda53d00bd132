//! `selvedge logs`: what the host and its plugins log.

use super::message::time_of_day;
use super::stream::Remembered;
use crate::api::wire::LogLine;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, Tone};
use crate::deployment::document::fault::plain;
use crate::names::PluginName;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Of this plugin alone.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    /// Go on with what is logged from now on.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many lines.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let remembered = Remembered {
        host: &args.host,
        name: "logs",
        plugin: args.plugin.as_ref(),
        follow: args.follow,
        last: ("lines", args.lines),
    };
    remembered.show(shown)
}

fn shown(line: &LogLine, paint: Paint) -> Vec<String> {
    let at = time_of_day(line.at);
    let source = line.plugin.as_deref().map_or("selvedge".into(), plain);
    let tone = match line.level.as_str() {
        "error" | "critical" => Tone::Bad,
        "warn" => Tone::Doubtful,
        "trace" | "debug" => Tone::Faint,
        _ => Tone::Usual,
    };
    let level = paint.text(tone, &format!("{:5}", plain(&line.level)));
    let at = paint.text(Tone::Faint, &at);
    let mut lines = Vec::new();
    if line.dropped > 0 {
        let dropped = format!("… {} lines of {source} dropped: too many", line.dropped);
        lines.push(paint.text(Tone::Doubtful, &dropped));
    }
    lines.push(format!("{at} {level} {source}: {}", plain(&line.text)));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;
    use crate::cli::output::Paint;

    #[test]
    fn lines_are_told_with_time_level_and_source_and_what_is_missing() {
        let line = json!({
            "at": "2026-11-22T10:11:12.345Z", "plugin": "window", "level": "warn",
            "text": "late\nby \u{1b}[2J", "dropped": 3,
        });
        let line = serde_json::from_value(line).unwrap();
        let expected = [
            "… 3 lines of window dropped: too many",
            "10:11:12.345 warn  window: late\\u{a}by \\u{1b}[2J",
        ];
        assert_eq!(shown(&line, Paint::plain()), expected);
        let line = json!({ "at": "2026-11-22T10:11:12Z", "level": "info", "text": "up" });
        let line = serde_json::from_value(line).unwrap();
        assert_eq!(
            shown(&line, Paint::plain()),
            ["10:11:12.000 info  selvedge: up"]
        );
    }
}
