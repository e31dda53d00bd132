//! Where a test may end the process: before and after each step that must not
//! be left half done.
//!
//! Compiled into debug builds only; armed once, by `selvedge run --abort-at`.

/// The steps, in the order in which a deployment takes them: one that succeeds,
/// then what only one that fails does. At each of them the process can be ended
/// `before:` and `after:` it.
pub const STEPS: [&str; 17] = [
    "take-in",
    "pull",
    "verify",
    "admit",
    "compile",
    "prepare",
    "warm-up",
    "swap",
    "accept",
    "take-over",
    "probation",
    "commit",
    "undo",
    "roll-back",
    "fail",
    "supersede",
    "operate",
];

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Ends the process when it comes to `point`: `before:swap`.
#[cfg(debug_assertions)]
pub fn arm(point: String) {
    // The first word counts.
    drop(ARMED.set(point));
}

pub(super) fn before(step: &str) {
    reach("before", step);
}

pub(super) fn after(step: &str) {
    reach("after", step);
}

#[cfg(debug_assertions)]
fn reach(side: &str, step: &str) {
    debug_assert!(STEPS.contains(&step), "{step} is not in the list");
    let armed = ARMED.get().and_then(|point| point.split_once(':'));
    if armed == Some((side, step)) {
        tracing::error!(side, step, "aborting: a test asked for it");
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
fn reach(_: &str, _: &str) {}
