//! Colours, where someone looks who wants them.
//!
//! Only on a terminal, and not with `NO_COLOR` (<https://no-color.org>) or a
//! terminal that knows none.

use std::io::IsTerminal as _;

/// What a colour is to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    #[default]
    Usual,
    Good,
    Bad,
    Doubtful,
    Faint,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Paint(bool);

impl Paint {
    /// For standard output.
    pub(in crate::cli) fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && wanted())
    }

    /// For a screen that is a terminal in any case.
    pub(in crate::cli) fn screen() -> Self {
        Self(wanted())
    }

    /// Nothing is coloured.
    pub(in crate::cli) fn plain() -> Self {
        Self(false)
    }

    /// Everything is.
    #[cfg(test)]
    pub(in crate::cli) fn always() -> Self {
        Self(true)
    }

    pub(in crate::cli) fn text(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Usual => return text.to_owned(),
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Doubtful => 33,
            Tone::Faint => 2,
        };
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn wanted() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
