//! How names that others chose are shown: cut, and without control characters.
//!
//! They come out of models and out of what callers hand in, and end up in errors,
//! logs and terminals.

/// Characters of a name.
const SHOWN_MAX: usize = 64;

/// A name as errors show it.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(SHOWN_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_MAX, shown};

    #[test]
    fn a_name_is_cut_and_cannot_pass_for_two_lines() {
        assert_eq!(shown("a\nb\u{1b}[1m"), "a?b?[1m");
        assert_eq!(shown(&"ä".repeat(100)).chars().count(), SHOWN_MAX);
    }
}
