//! Whether a model computes what it must, before anyone else runs it.

use std::time::{Duration, Instant};

use super::Model;
use crate::inference::errors::{LoadError, RunError};
use crate::inference::golden::Golden;
use crate::inference::inputs::{arrange, smallest};

/// Runs in a trial, and the time after which no further one begins.
const TRIAL_RUNS_MAX: u32 = 5;
const TRIAL_MAX: Duration = Duration::from_millis(200);

impl Model {
    /// Runs it a few times before anyone else does, on each of its golden vectors
    /// if it has any: does it compute what it must, and how long does that take?
    pub(in crate::inference) fn try_out(&self, golden: &[Golden]) -> Result<(), LoadError> {
        if golden.is_empty() {
            self.try_on(None)?;
        }
        golden
            .iter()
            .try_for_each(|golden| self.try_on(Some(golden)))?;
        if self.options.batching.is_some() {
            self.try_rows(golden)?;
        }
        Ok(())
    }

    fn try_on(&self, golden: Option<&Golden>) -> Result<(), LoadError> {
        let failed = |source| LoadError::Trial { source };
        let given = match golden {
            Some(golden) => golden
                .inputs()
                .map_err(|source| LoadError::Golden { source })?,
            None => {
                let given: Result<Vec<_>, _> = self.inputs().iter().map(smallest).collect();
                given.map_err(|error| {
                    failed(RunError::Failed {
                        source: error.into(),
                    })
                })?
            }
        };
        let inputs = arrange(self.inputs(), given).map_err(failed)?;
        let started = Instant::now();
        let control = self.slots().control(started + self.run_time_max);
        let mut fastest = Duration::MAX;
        for _ in 0..TRIAL_RUNS_MAX {
            let start = Instant::now();
            let outputs = self.graph.run(&inputs, &control).map_err(failed)?;
            fastest = fastest.min(start.elapsed());
            if let Some(golden) = golden {
                let checked = golden.check(self.outputs(), &outputs);
                checked.map_err(|source| LoadError::Wrong { source })?;
            }
            if started.elapsed() > TRIAL_MAX {
                break;
            }
        }
        self.learn(&inputs, fastest);
        Ok(())
    }
}
