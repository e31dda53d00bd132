//! The blocks of a section of README.md, and whether a program prints what one
//! of them shows.

use jiff::Timestamp;

/// Stands for any lines, on a line of its own.
const ANY_LINES: &str = "…";

/// A block between fences.
#[derive(Debug)]
pub(super) enum Block {
    /// A file, by its name.
    File { name: String, text: String },
    /// One line of a file that is there already.
    Line { name: String, text: String },
    /// Commands, whatever they print.
    Commands(Vec<String>),
    /// Commands and what each prints.
    Console(Vec<(String, Vec<String>)>),
    /// Commands that are typed on another machine (`sh`).
    Elsewhere(Vec<String>),
}

/// The blocks of `section`, in their order.
pub(super) fn blocks(section: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut parts = section.split("\n```");
    let mut prose = parts.next().unwrap_or_default();
    while let Some(block) = parts.next() {
        let (language, lines) = block.split_once('\n').unwrap();
        let lines: Vec<_> = lines.lines().map(str::to_owned).collect();
        blocks.push(match language {
            "" => Block::Commands(lines),
            "sh" => Block::Elsewhere(lines),
            "console" => Block::Console(console(lines)),
            "toml" => file(prose, &lines),
            other => panic!("nobody knows what to do with `{other}`"),
        });
        prose = parts.next().expect("each block has an end");
    }
    blocks
}

fn file(prose: &str, lines: &[String]) -> Block {
    let named = prose.split('`').rev();
    let mut named = named.filter(|word| word.ends_with(".toml") && !word.contains(' '));
    let name = named.next().expect("the text before a file names it");
    let (name, text) = (name.to_owned(), lines.join("\n"));
    match lines {
        [_] => Block::Line { name, text },
        _ => Block::File {
            name,
            text: text + "\n",
        },
    }
}

fn console(lines: Vec<String>) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), Vec::new())),
            None => {
                let last = commands.last_mut().expect("it begins with a command");
                last.1.push(line);
            }
        }
    }
    commands
}

/// What `printed` lacks of what README shows, or has beyond that, but for what is
/// another each time.
pub(super) fn difference(printed: &str, shown: &[String]) -> Option<String> {
    let printed: Vec<_> = printed.lines().map(masked).collect();
    let mut rest = printed.as_slice();
    let mut any = false;
    for line in shown {
        if line == ANY_LINES {
            any = true;
            continue;
        }
        let line = masked(line);
        let found = if any {
            rest.iter().position(|printed| *printed == line)
        } else {
            (rest.first() == Some(&line)).then_some(0)
        };
        let Some(found) = found else {
            return Some(format!("no `{line}` in {printed:#?}"));
        };
        rest = &rest[found + 1..];
        any = false;
    }
    (!any && !rest.is_empty()).then(|| format!("it prints more: {rest:#?}"))
}

/// Times, digests and what is named by one, as README writes them.
fn masked(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.parse::<Timestamp>() {
        Ok(_) => "TIME".to_owned(),
        Err(_) => masked_after(word, "sha256:"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn masked_after(word: &str, prefix: &str) -> String {
    let Some((before, digits)) = word.split_once(prefix) else {
        return word.to_owned();
    };
    let after = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '…');
    format!("{before}{prefix}…{after}")
}

#[test]
fn what_is_another_each_time_does_not_matter_and_all_else_does() {
    let digest = "a1".repeat(32);
    let printed = format!("x:1@sha256:{digest}\nat 2026-11-22T20:45:16Z\nextra\nend\n");
    let shown = |lines: &[&str]| -> Vec<_> { lines.iter().map(|&line| line.to_owned()).collect() };
    let same = shown(&["x:1@sha256:…", "at 2020-01-01T00:00:00Z", "…", "end"]);
    assert_eq!(difference(&printed, &same), None);
    for other in [
        shown(&["x:2@sha256:…", "…"]),
        shown(&["x:1@sha256:…", "end"]),
        shown(&["…", "extra"]),
    ] {
        assert!(difference(&printed, &other).is_some(), "{other:?}");
    }
}
