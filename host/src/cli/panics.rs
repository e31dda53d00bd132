//! Panics are caught where foreign data is at work; their traces go to the log,
//! at a bounded rate, so that nobody can flood it by causing them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::error;

/// Panics logged in one second; further ones are counted.
const PER_SECOND_MAX: u64 = 5;

/// From now on panics are logged with their place and thread.
pub(super) fn log_bounded() {
    let (second, logged, dropped) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::panic::set_hook(Box::new(move |panic| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        if second.swap(now, Ordering::Relaxed) != now {
            logged.store(0, Ordering::Relaxed);
        }
        if logged.fetch_add(1, Ordering::Relaxed) >= PER_SECOND_MAX {
            dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let thread = std::thread::current();
        error!(
            error = panic.payload_as_str().unwrap_or("no message"),
            place = panic.location().map(ToString::to_string),
            thread = thread.name(),
            dropped = dropped.swap(0, Ordering::Relaxed),
            "panic"
        );
    }));
}
