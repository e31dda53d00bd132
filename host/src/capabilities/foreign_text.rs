//! Text that a guest chose, made fit for logs, states and terminals.

/// `text` on one line and without commands to a terminal: control characters
/// are replaced, and what exceeds `bytes_max` is cut.
pub fn fit(text: &str, bytes_max: usize) -> String {
    let plain = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    // Cut first: a guest must not make the host work on megabytes.
    let cut = text.get(..text.floor_char_boundary(bytes_max));
    let mut fit: String = cut.unwrap_or_default().chars().map(plain).collect();
    // A replacement is longer than what it replaces.
    fit.truncate(fit.floor_char_boundary(bytes_max));
    fit
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn foreign_text_is_one_short_line() {
        assert_eq!(fit("22.5 \u{b0}C\tgood", 64), "22.5 \u{b0}C\tgood");
        assert_eq!(
            fit("a\n\u{1b}[2Jb\u{9b}\0", 64),
            "a\u{fffd}\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
        assert_eq!(fit("\u{e4}\u{e4}", 3), "\u{e4}");
        assert_eq!(fit("\n\n\n\n", 4), "\u{fffd}");
    }
}
