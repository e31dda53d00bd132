//! A candidate beside the model that serves: run on a sample of the same inputs,
//! off the way of whoever asked, and compared.
//!
//! One at a time and only where a turn and a slot are free at once; what does not
//! fit is dropped and counted. Nobody is ever given what a candidate computes.

use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use super::golden::is_near;
use super::inputs::arrange;
use super::interface::Port;
use super::served::{Outputs, Served};
use super::tensor::Tensor;
use crate::names::ModelName;
use crate::spec::ShadowOptions;

/// How a candidate compares with the model that serves.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ShadowStatus {
    /// The candidate.
    pub model: ModelName,
    /// The share of runs that it is given.
    pub fraction: f64,
    /// Beyond this, a value counts as different.
    pub tolerance: f64,
    /// Runs that were compared.
    pub compared_total: u64,
    /// Runs that it was to be given while there was no room.
    pub dropped_total: u64,
    /// Runs that failed of it and not of the one that serves.
    pub failures_total: u64,
    /// Values that were compared.
    pub values_total: u64,
    /// Of these, how many differed by more than the tolerance.
    pub beyond_total: u64,
    /// The largest difference.
    pub difference_max: f64,
    /// The largest difference relative to the value that was served.
    pub relative_difference_max: f64,
    /// Rows of several values that were compared.
    pub rows_total: u64,
    /// Of these, how many had their largest value elsewhere.
    pub argmax_differs_total: u64,
    /// Its median time by that of the model that serves; none before both ran.
    pub time_ratio: Option<f64>,
}

/// A candidate that is tried out.
#[derive(Debug)]
pub(super) struct Shadow {
    /// Not held: two that follow each other would hold each other for ever.
    candidate: Weak<Served>,
    options: ShadowOptions,
    seen: AtomicU64,
    dropped: AtomicU64,
    busy: AtomicBool,
    compared: Mutex<Compared>,
}

#[derive(Debug, Default)]
struct Compared {
    runs: u64,
    failures: u64,
    values: u64,
    beyond: u64,
    difference_max: f64,
    relative_max: f64,
    rows: u64,
    argmax_differs: u64,
}

/// Given back also if what is compared panics.
struct Busy(Arc<Shadow>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Shadow {
    pub(super) fn new(candidate: &Arc<Served>, options: ShadowOptions) -> Self {
        Self {
            candidate: Arc::downgrade(candidate),
            options,
            seen: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            compared: Mutex::default(),
        }
    }

    /// Whether it would do the same as one of these.
    pub(super) fn is(&self, candidate: &Arc<Served>, options: &ShadowOptions) -> bool {
        std::ptr::eq(self.candidate.as_ptr(), Arc::as_ptr(candidate)) && self.options == *options
    }

    /// Whether the run that begins now is one of the sample: evenly spread.
    pub(super) fn samples(&self) -> bool {
        let before = self.seen.fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "after 2^53 runs, one too many does not matter"
        )]
        let due = |runs: u64| (runs as f64 * self.options.fraction.get()).floor();
        due(before.saturating_add(1)) > due(before)
    }

    /// A run of the model that serves went well.
    pub(super) fn follow(self: &Arc<Self>, inputs: Vec<(String, Tensor)>, outputs: &Outputs) {
        let candidate = self.candidate.upgrade().map(|served| served.current());
        // What is revoked computes nothing, for nobody; nor is more asked of one whose
        // runs do not end.
        let candidate = candidate.filter(|model| model.withdrawn().is_none());
        let candidate = candidate.filter(|model| model.unless_overdue().is_ok());
        let Some(candidate) = candidate else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let busy = self.busy.swap(true, Ordering::AcqRel);
        let busy = (!busy).then(|| Busy(Arc::clone(self)));
        let Some((busy, held)) = busy.and_then(|busy| Some((busy, candidate.try_hold()?))) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let served = outputs.clone();
        let deadline = Instant::now() + candidate.run_time_max();
        let (control, runner, waiter) = candidate.begin(deadline, Vec::new());
        drop(tokio::task::spawn_blocking(move || {
            let found = arrange(candidate.inputs(), inputs);
            let found = found.and_then(|inputs| candidate.run_here(&inputs, &control));
            // In this order: whoever has its turn next does not find it overdue.
            drop(runner);
            drop(held);
            // What it is compared with waits for it, so that it is not abandoned.
            drop(waiter);
            if let Err(error) = &found {
                candidate.count_failed(error);
            }
            let shadow = &busy.0;
            let tolerance = shadow.options.tolerance.get();
            let outputs = found.ok();
            let mut compared = Compared::default();
            match &outputs {
                Some(found) => compared.compare(&served, candidate.outputs(), found, tolerance),
                None => compared.failures = 1,
            }
            shadow.compared.lock().add(&compared);
        }));
    }

    /// As it is now; `served_p50_us` is the median time of the one that serves.
    pub(super) fn status(&self, served_p50_us: f64) -> ShadowStatus {
        let compared = self.compared.lock();
        let own = self.candidate.upgrade();
        let own = own.map_or(0.0, |own| own.current().run_status().run_p50_us);
        ShadowStatus {
            model: self.options.model.clone(),
            fraction: self.options.fraction.get(),
            tolerance: self.options.tolerance.get(),
            compared_total: compared.runs,
            dropped_total: self.dropped.load(Ordering::Relaxed),
            failures_total: compared.failures,
            values_total: compared.values,
            beyond_total: compared.beyond,
            difference_max: compared.difference_max,
            relative_difference_max: compared.relative_max,
            rows_total: compared.rows,
            argmax_differs_total: compared.argmax_differs,
            time_ratio: (own > 0.0 && served_p50_us > 0.0).then(|| own / served_p50_us),
        }
    }
}

impl Compared {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.failures += other.failures;
        self.values += other.values;
        self.beyond += other.beyond;
        self.difference_max = self.difference_max.max(other.difference_max);
        self.relative_max = self.relative_max.max(other.relative_max);
        self.rows += other.rows;
        self.argmax_differs += other.argmax_differs;
    }

    /// What one run gave, beside what was served. Another shape is a failure.
    fn compare(&mut self, served: &Outputs, ports: &[Port], found: &[Tensor], tolerance: f64) {
        for (name, served) in served {
            let mut named = ports.iter().zip(found);
            let found = named.find(|(port, _)| port.name == *name);
            match found {
                Some((_, found)) if found.dimensions() == served.dimensions() => {
                    self.tensor(served, found, tolerance);
                }
                _ => {
                    *self = Self {
                        failures: 1,
                        ..Self::default()
                    };
                    return;
                }
            }
        }
        self.runs = 1;
    }

    fn tensor(&mut self, served: &Tensor, found: &Tensor, tolerance: f64) {
        let last = served.dimensions().last().copied().unwrap_or(1);
        let row = usize::try_from(last).unwrap_or(usize::MAX);
        let (mut largest_served, mut largest_found) = (Largest::default(), Largest::default());
        for (index, (a, b)) in served.values().zip(found.values()).enumerate() {
            self.value(a, b, tolerance);
            if row < 2 {
                continue;
            }
            let place = index % row;
            largest_served.see(place, a);
            largest_found.see(place, b);
            if place + 1 == row {
                self.rows += 1;
                let (a, b) = (take(&mut largest_served), take(&mut largest_found));
                self.argmax_differs += u64::from(a.place() != b.place());
            }
        }
    }

    fn value(&mut self, served: f64, found: f64, tolerance: f64) {
        self.values += 1;
        if served == found || (served.is_nan() && found.is_nan()) {
            return;
        }
        let difference = (served - found).abs();
        self.beyond += u64::from(!is_near(served, found, tolerance));
        self.difference_max = self.difference_max.max(difference);
        let relative = difference / served.abs().max(f64::MIN_POSITIVE);
        self.relative_max = self.relative_max.max(relative.min(f64::MAX));
    }
}

/// The first place of the largest value of a row.
#[derive(Default)]
struct Largest(Option<(usize, f64)>);

impl Largest {
    fn see(&mut self, place: usize, value: f64) {
        if self.0.is_none_or(|(_, before)| value > before) {
            self.0 = Some((place, value));
        }
    }

    fn place(&self) -> Option<usize> {
        self.0.map(|(place, _)| place)
    }
}
