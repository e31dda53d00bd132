//! How often a model ran, how it ended and how long it took.

use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use super::errors::RunError;
use super::slots::UnderWay;

/// What is told of a model's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RunStatus {
    /// Runs that the backend was asked for.
    pub runs_total: u64,
    /// Of these, how many failed or came too late.
    pub failures_total: u64,
    /// Refused before the backend was asked, for their inputs.
    pub refused_total: u64,
    /// Refused for lack of a turn or a slot.
    pub busy_total: u64,
    /// Runs that were computed for several callers together.
    pub batches_total: u64,
    /// Rows in these.
    pub batch_rows_total: u64,
    /// Runs going on past the host's limit, each holding a slot: until they end,
    /// the model takes no others.
    pub overdue: u32,
    /// Runs going on that nobody waits for any more, overdue ones among them.
    pub abandoned: u32,
    /// Median time of a successful run in microseconds, the wait for a slot
    /// not included.
    pub run_p50_us: f64,
    /// The time that 99 of 100 runs keep.
    pub run_p99_us: f64,
}

#[derive(Debug)]
struct Counts {
    runs: u64,
    failures: u64,
    refused: u64,
    busy: u64,
    batches: u64,
    batch_rows: u64,
    times_ns: Histogram<u32>,
}

impl Counts {
    fn record(&mut self, runs: u64, took: Duration) {
        self.runs = self.runs.saturating_add(runs);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let runs = u32::try_from(runs).unwrap_or(u32::MAX);
        self.times_ns.saturating_record_n(nanoseconds, runs);
    }
}

/// Counts and a histogram of fixed size: 100 ns to 100 s, to one percent.
#[derive(Debug)]
pub(super) struct RunStats(Mutex<Counts>);

impl RunStats {
    pub(super) fn new() -> Self {
        let times_ns = Histogram::new_with_bounds(100, 100_000_000_000, 2)
            .expect("the bounds are fixed and in order");
        Self(Mutex::new(Counts {
            runs: 0,
            failures: 0,
            refused: 0,
            busy: 0,
            batches: 0,
            batch_rows: 0,
            times_ns,
        }))
    }

    pub(super) fn succeeded(&self, took: Duration) {
        self.0.lock().record(1, took);
    }

    /// A run for so many callers at once; each counts.
    pub(super) fn batch_succeeded(&self, members: usize, rows: u32, took: Duration) {
        let mut counts = self.0.lock();
        counts.batches += 1;
        counts.batch_rows += u64::from(rows);
        counts.record(u64::try_from(members).unwrap_or(u64::MAX), took);
    }

    pub(super) fn failed(&self, error: &RunError) {
        let mut counts = self.0.lock();
        if error.is_callers_fault() {
            counts.refused += 1;
        } else if error.is_busy() {
            counts.busy += 1;
        } else {
            counts.runs += 1;
            counts.failures += 1;
        }
    }

    pub(super) fn status(&self, under_way: &UnderWay, run_time_max: Duration) -> RunStatus {
        let counts = self.0.lock();
        let quantile = |q| counts.times_ns.value_at_quantile(q) as f64 / 1e3;
        RunStatus {
            runs_total: counts.runs,
            failures_total: counts.failures,
            refused_total: counts.refused,
            busy_total: counts.busy,
            batches_total: counts.batches,
            batch_rows_total: counts.batch_rows,
            overdue: under_way.overdue(run_time_max),
            abandoned: under_way.abandoned(),
            run_p50_us: quantile(0.5),
            run_p99_us: quantile(0.99),
        }
    }
}
