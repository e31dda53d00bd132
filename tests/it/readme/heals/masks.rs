//! What README shows of a line that a command prints, and what of it may be
//! another each time: what is told of a deployment on its way, times, spans of time, who asked, and how many spaces there
//! are between columns; of a plugin that runs, how many messages. Of a trap, README leaves out the frames.

use jiff::Timestamp;
use jiff::civil::Time;

/// Stands for what README leaves out.
const CUT: &str = "…";
/// What frames of a trap follow, up to a code in brackets or the line's end.
const FRAMES: &str = " instruction executed in ";

/// Units of a span of time, as commands print them.
const UNITS: &[&str] = &["us", "ms", "s", "min", "h"];

/// `line` as README shows it.
pub(super) fn printable(line: &str) -> String {
    let line = line.trim_end();
    let Some((before, frames)) = line.split_once(FRAMES) else {
        return line.to_owned();
    };
    let code = frames.rfind(" [").map_or("", |at| &frames[at..]);
    format!("{before}{FRAMES}{CUT}{code}")
}

/// Whether a line says how far a deployment is: those before one listens are missed.
pub(super) fn is_progress(line: &str) -> bool {
    let rest = line.strip_prefix("deployment ");
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(": "))
        && !line.contains(" after ")
}

/// `line` without what may be another each time.
pub(super) fn masked(line: &str) -> String {
    let mut masked: Vec<&str> = Vec::new();
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let is_clock = word.contains(':') && word.parse::<Time>().is_ok();
        let is_time = is_clock || word.parse::<Timestamp>().is_ok();
        let unit = words.peek().map(|unit| unit.trim_end_matches([',', ':']));
        let is_span = word.parse::<f64>().is_ok() && unit.is_some_and(|it| UNITS.contains(&it));
        masked.push(match word {
            _ if is_time => "TIME",
            _ if is_span => {
                words.next();
                if words.peek() == Some(&"ago") {
                    words.next();
                    "AGO"
                } else {
                    "SPAN"
                }
            }
            "now" => "AGO",
            "uid" => {
                words.next();
                words.next_if(|name| name.starts_with('('));
                "uid"
            }
            other => other,
        });
    }
    // Counts stand in columns behind the state.
    if masked.get(1) == Some(&"running") {
        let counts = masked.iter_mut().filter(|it| it.parse::<u64>().is_ok());
        counts.for_each(|count| *count = "COUNT");
    }
    masked.dedup_by(|one, other| *one == "SPAN" && *other == "SPAN");
    masked.join(" ")
}

#[test]
fn what_is_another_each_time_does_not_matter_and_all_else_does() {
    for (one, other) in [
        ("after 3.5 s: a", "after  4 min 12 s: a"),
        ("1  root  now  2.6 s", "1 root 2 s ago 800 ms"),
        ("by uid 0 (root), now", "by uid 1000 now"),
        ("23:57:01.364 warn  hot", "00:00:00.000 warn hot"),
    ] {
        let (one, other) = (masked(one), masked(other));
        assert_eq!(one.replace(',', ""), other.replace(',', ""));
    }
    assert!(is_progress("deployment 2: hot swapped, paused 1 ms"));
    assert!(!is_progress("deployment 2 committed after 1 s: hot 1.0.0"));
    assert!(!is_progress("deployment  2: hot 1.0.0, by local, now"));
    for (one, other) in [
        ("deployment 2", "deployment 3"),
        ("paused 1 ms", "paused"),
        ("2 plugins", "3 plugins"),
    ] {
        assert_ne!(masked(one), masked(other));
    }
    let trap = "a:1:1: error: wasm `unreachable` instruction executed in abort < b [failed]";
    let shown = "a:1:1: error: wasm `unreachable` instruction executed in … [failed]";
    assert_eq!(printable(trap), shown);
}
