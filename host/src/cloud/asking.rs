//! Questions to the cloud: one at a time, known by a token, with a time-out, and
//! with growing delays when they fail.
//!
//! An answer whose token is not that of the question under way is nobody's.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::names::Topic;

/// How long an answer may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Delays after failures: the first, and the longest.
const DELAY_MIN: Duration = Duration::from_secs(2);
const DELAY_MAX: Duration = Duration::from_secs(600);
/// Bytes of an answer: a job's document of 32 KiB and what is said of it, or a
/// shadow of 8 KiB with its metadata.
const ANSWER_BYTES_MAX: usize = 128 << 10;
/// Characters of a foreign text that are told.
const TOLD_CHARS: usize = 200;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub topic: Topic,
    pub payload: Bytes,
    /// Through the durable queue; else only if connected.
    pub durable: bool,
}

/// Tokens that nobody can guess, each once.
#[derive(Debug)]
pub struct Tokens {
    prefix: String,
    next: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            prefix: format!("{:016x}", random()),
            next: 0,
        }
    }
}

impl Tokens {
    pub fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.prefix, self.next)
    }
}

/// Zero if the system has no randomness to give; then tokens are merely unique
/// within the process.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// A question under way, and what it was about.
#[derive(Debug)]
pub struct Question<K> {
    pub token: String,
    pub about: K,
    pub due: Instant,
}

/// When the next try may be made.
#[derive(Debug, Default)]
pub struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    /// It failed: the next one waits longer, and not all gateways the same time.
    pub fn fail(&mut self, now: Instant) {
        let longest = DELAY_MIN
            .saturating_mul(1 << self.failures.min(16))
            .min(DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        let part = u32::try_from(random() % 512).unwrap_or_default();
        self.until = Some(now + longest / 2 + longest / 1024 * part);
    }

    pub fn succeed(&mut self) {
        *self = Self::default();
    }

    /// When the next may be made, if not now.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

/// Reads what the cloud said; none if it is not of that form. It may be anything.
pub fn read<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    if payload.len() > ANSWER_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

/// A foreign text as it may be told: short, without control characters.
pub fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(TOLD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{DELAY_MAX, Pause, Tokens, read};

    #[test]
    fn no_two_tokens_are_the_same() {
        let (mut one, mut other) = (Tokens::default(), Tokens::default());
        assert_ne!(one.fresh(), one.fresh());
        assert_ne!(one.prefix, other.prefix);
        // AWS IoT takes 64 bytes.
        assert!(other.fresh().len() <= 64);
    }

    #[test]
    fn delays_grow_to_a_bound_and_end_with_success() {
        let now = Instant::now();
        let mut pause = Pause::default();
        assert_eq!(pause.until(now), None);
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            pause.fail(now);
            last = pause.until(now).unwrap() - now;
            assert!(
                last <= DELAY_MAX && last >= Duration::from_secs(1),
                "{last:?}"
            );
        }
        assert!(last >= DELAY_MAX / 2);
        pause.succeed();
        assert_eq!(pause.until(now), None);
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_not_read() {
        let large = format!("\"{}\"", "x".repeat(200_000));
        assert!(read::<String>(large.as_bytes()).is_none());
        let deep = "[".repeat(100_000);
        assert!(read::<serde_json::Value>(deep.as_bytes()).is_none());
        assert_eq!(read::<u8>(b"7"), Some(7));
    }
}
