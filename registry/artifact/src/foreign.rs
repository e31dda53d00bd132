//! Text that others wrote, made fit to be printed.
//!
//! Messages quote what stands in manifests, certificates and statements, errors of
//! parsers repeat what they read, and people read both in terminals: no line is
//! long, and none can move the cursor or turn the order of the letters around it.

use std::error::Error;

/// Characters of foreign text in a message.
const CHARS_MAX: usize = 300;

/// `text` without control characters, at most 300 characters of it.
pub fn cut(text: &str) -> String {
    let mut characters = text.chars();
    let shown = characters.by_ref().take(CHARS_MAX);
    let mut shown: String = shown
        .map(|character| match unfit(character) {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        })
        .collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// What `error` and its sources say about foreign bytes, cut.
pub fn cut_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source.filter(|_| text.len() < 4 * CHARS_MAX) {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    cut(&text)
}

/// The cause of an error, fit to be shown.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A cause that says what `error` says, cut.
pub fn cause(error: &dyn std::fmt::Display) -> Cause {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Shown(String);

    Box::new(Shown(cut(&error.to_string())))
}

/// Control characters, and those that change the direction of what follows
/// (Unicode Standard Annex 9, "Explicit Directional Formatting").
fn unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn foreign_text_is_cut_and_cannot_steer_a_terminal() {
        assert_eq!(cut("acme/thermostat"), "acme/thermostat");
        assert_eq!(
            cut("a\u{1b}[2Jb\nc\u{202e}d"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
        );
        assert_eq!(cut(&"x".repeat(5000)), format!("{}…", "x".repeat(300)));
    }
}
