//! `selvedge dead-letters`: messages that were given up, and why.

use super::stream::Remembered;
use super::tap;
use crate::api::wire::DeadLetter;
use crate::cli::failure::Outcome;
use crate::cli::host_options::HostOptions;
use crate::cli::output::{Paint, Tone, to_the_second};
use crate::deployment::document::fault::plain;
use crate::names::PluginName;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Of this plugin alone.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    /// Go on with what is given up from now on.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    host: HostOptions,
}

pub(super) fn run(args: &Args) -> Outcome {
    let remembered = Remembered {
        host: &args.host,
        name: "dead-letters",
        plugin: args.plugin.as_ref(),
        follow: args.follow,
        last: ("limit", args.limit),
    };
    remembered.show(shown)
}

fn shown(letter: &DeadLetter, paint: Paint) -> [String; 2] {
    let at = to_the_second(letter.at).to_string();
    let at = paint.text(Tone::Faint, &at);
    let (plugin, reason) = (plain(&letter.plugin), plain(&letter.reason));
    [
        format!("{at} {plugin}: {}", paint.text(Tone::Doubtful, &reason)),
        format!("  {}", tap::of(&letter.message)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;
    use crate::cli::output::Paint;

    #[test]
    fn a_message_that_was_given_up_is_shown_below_the_reason() {
        let letter = json!({
            "at": "2026-11-22T10:11:12.345Z", "plugin": "window", "reason": "not a\nreading",
            "message": { "topic": "telemetry/a", "text": "{" },
        });
        let letter = serde_json::from_value(letter).unwrap();
        let expected = [
            "2026-11-22T10:11:12Z window: not a\\u{a}reading",
            "  telemetry/a {",
        ];
        assert_eq!(shown(&letter, Paint::plain()), expected);
    }
}
