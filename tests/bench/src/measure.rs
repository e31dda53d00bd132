//! Rounds, quantiles, and executors like the host's.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::report::Figure;

/// As the host has it: see `cli`.
const TASKS_BETWEEN_EVENTS: u32 = 5;

/// One core.
pub(crate) fn one_core() -> Outcome<Runtime> {
    let mut builder = Builder::new_current_thread();
    Ok(builder
        .enable_all()
        .event_interval(TASKS_BETWEEN_EVENTS)
        .build()?)
}

/// All cores, as the host runs.
pub(crate) fn all_cores() -> Outcome<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Ok(builder
        .enable_all()
        .event_interval(TASKS_BETWEEN_EVENTS)
        .build()?)
}

/// The time of the quickest of some rounds, each of which does `count` things:
/// nanoseconds for one.
pub(crate) fn best(
    rounds: u32,
    count: usize,
    mut round: impl FnMut() -> Outcome<Duration>,
) -> Outcome<f64> {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        best = best.min(round()?);
    }
    Ok(each(best, count))
}

/// As [`best`], of everything that `round` does.
pub(crate) fn best_of_all(
    rounds: u32,
    count: usize,
    mut round: impl FnMut() -> Outcome<()>,
) -> Outcome<f64> {
    best(rounds, count, || {
        let start = Instant::now();
        round()?;
        Ok(start.elapsed())
    })
}

/// Nanoseconds for one of `count`.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn each(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e9 / count.max(1) as f64
}

/// What takes so many nanoseconds, a second.
pub(crate) fn rate(nanos: f64) -> Figure {
    Figure::PerSecond(1e9 / nanos)
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Bytes of memory that a process has in use (proc_pid_statm(5)).
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
pub(crate) fn resident_bytes(process: &str) -> Outcome<f64> {
    const PAGE: u64 = 4096;
    let statm = fs_err::read_to_string(format!("/proc/{process}/statm"))?;
    let pages = statm.split_ascii_whitespace().nth(1).ok_or("no RSS")?;
    Ok((pages.parse::<u64>()? * PAGE) as f64)
}

#[cfg(test)]
mod tests {
    use super::{median, resident_bytes};

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert!((median(vec![3.0, 1000.0, 1.0]) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_process_takes_memory() {
        let bytes = resident_bytes("self").unwrap();
        assert!((1e5..1e11).contains(&bytes), "{bytes}");
    }
}
