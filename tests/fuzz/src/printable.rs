//! What an error may say: foreign text in it is cut, and has no control
//! characters that a terminal would obey.

use std::error::Error;

/// Bytes of one message. Each quotes a few cut pieces at most.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(crate) fn check(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        assert!(
            message.len() <= MESSAGE_BYTES_MAX,
            "{} bytes",
            message.len()
        );
        assert!(!message.chars().any(char::is_control), "{message:?}");
        next = error.source();
    }
}

/// The value, or nothing after its error was looked at.
pub(crate) fn accepted<T, E: Error>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| check(error)).ok()
}
