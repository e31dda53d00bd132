//! Prints an error with its causes on one line: `a: b: c`.
//!
//! The only way errors are printed or logged, so that every `Display` says its
//! own part and leaves its cause to `source`.

use std::error::Error;
use std::fmt;

/// An error and everything that caused it.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
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
}
