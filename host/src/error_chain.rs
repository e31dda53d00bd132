//! Prints an error with its causes on one line: `a: b: c`.
//!
//! The only way errors are printed or logged, so that every `Display` says its
//! own part and leaves its cause to `source`.

use std::error::Error;
use std::fmt::{self, Write as _};

/// An error and everything that caused it.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        write!(line, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(line, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Errors repeat what others wrote. Nothing of that moves the cursor, turns the
/// order of the letters around or begins a line that we seem to have written.
struct OneLine<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '\n' => self.0.write_char(' '),
            _ if char.is_control() || turns_text(char) => {
                write!(self.0, "{}", char.escape_unicode())
            }
            _ => self.0.write_char(char),
        })
    }
}

/// Marks that reorder the text around them (Unicode Standard Annex 9, section 2).
fn turns_text(char: char) -> bool {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
    marks.contains(&char) || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::ErrorChain;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_the_error_on_one_line() {
        let error = Outer(std::io::Error::other("no room"));
        assert_eq!(ErrorChain(&error).to_string(), "cannot start: no room");
    }

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        let error = Outer(std::io::Error::other("\x1b[2J\nhelp: \u{202e}well"));
        assert_eq!(
            ErrorChain(&error).to_string(),
            "cannot start: \\u{1b}[2J help: \\u{202e}well"
        );
    }
}
