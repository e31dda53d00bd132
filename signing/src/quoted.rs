//! Text that others wrote, fit to be shown in messages and logs.
//!
//! Errors of parsers and of the sigstore library repeat what they read. Here it
//! is cut, and characters that move the cursor or the reading direction are
//! replaced, before it may become the source of one of our errors.

/// Characters of foreign text that are shown.
const QUOTED_CHARS_MAX: usize = 300;

/// The cause of an error, fit to be shown.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Quoted(String);

/// `text`, cut and without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let shown = |c: char| if is_shown(c) { c } else { '\u{fffd}' };
    let mut kept: String = text.chars().take(QUOTED_CHARS_MAX).map(shown).collect();
    if kept.len() < text.len() && text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        kept.push('…');
    }
    kept
}

/// A cause that says what `error` says, cut and without control characters.
pub(crate) fn cause(error: &dyn std::fmt::Display) -> Cause {
    Box::new(Quoted(quoted(&error.to_string())))
}

/// Neither a control character nor one that changes the reading direction
/// (Unicode Standard Annex 9, section 2).
fn is_shown(c: char) -> bool {
    let directs =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !directs
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn foreign_text_is_cut_and_cannot_move_the_cursor() {
        assert_eq!(
            quoted("a\x1b[2J\r\nb\u{202e}c"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd}c"
        );
        assert_eq!(quoted(&"ä".repeat(300)), "ä".repeat(300));
        assert_eq!(quoted(&"ä".repeat(301)), format!("{}…", "ä".repeat(300)));
    }
}
