//! Tries whether the rows of a model depend on each other: different rows must
//! give together what each gives alone.

use std::time::Instant;

use super::rows::{are_alike, join, rows_of, split};
use crate::inference::errors::LoadError;
use crate::inference::golden::{Golden, is_near};
use crate::inference::inputs::{arrange, smallest};
use crate::inference::interface::{Dim, Port};
use crate::inference::model::Model;
use crate::inference::tensor::{Tensor, TensorKind};

/// How far a value may be off, relatively to values beyond 1: what the order of
/// additions makes of it, in single precision and in half.
const TOLERANCE: f64 = 1e-4;
const TOLERANCE_HALF: f64 = 2e-2;
/// Rows that are tried together, if there are so many.
const TRIED_MAX: usize = 8;
/// Of these, how many are made up besides zeros.
const PATTERNS: u32 = 3;

impl Model {
    /// Refuses a model whose rows may not be computed together.
    pub(in crate::inference) fn try_rows(&self, golden: &[Golden]) -> Result<(), LoadError> {
        let refuse = |why: String| Err(LoadError::NotBatchable { why });
        let mut ports = self.inputs().iter().chain(self.outputs());
        let fixed = |port: &&Port| matches!(port.shape.first(), None | Some(Dim::Fixed(_)));
        if let Some(port) = ports.find(fixed) {
            return refuse(format!("the first dimension of {port} is not open"));
        }
        let tried = self.tried(golden);
        if tried.len() < 2 {
            let why = "no two different runs could be tried: give golden vectors";
            return refuse(why.to_owned());
        }
        let (inputs, alone): (Vec<_>, Vec<_>) = tried.into_iter().unzip();
        let members: Vec<_> = inputs.iter().map(Vec::as_slice).collect();
        let rows: Option<Vec<_>> = members.iter().map(|member| rows_of(member)).collect();
        let together = join(&members).and_then(|joined| self.try_once(&joined));
        let together = together.zip(rows).and_then(|(it, rows)| split(&it, &rows));
        let Some(together) = together else {
            return refuse("together they do not give a row for each row".to_owned());
        };
        for (alone, together) in alone.iter().zip(&together) {
            let pairs = self.outputs().iter().zip(alone.iter().zip(together));
            for (port, (alone, together)) in pairs {
                if !are_near(alone, together) {
                    let why = format!("{port} depends on the rows it is computed with");
                    return refuse(why);
                }
            }
        }
        Ok(())
    }

    /// Different runs that can be computed together, and what they give alone.
    fn tried(&self, golden: &[Golden]) -> Vec<(Vec<Tensor>, Vec<Tensor>)> {
        let golden = golden.iter().filter_map(|it| it.inputs().ok());
        let smallest: Option<Vec<_>> = self.inputs().iter().map(|it| smallest(it).ok()).collect();
        let smallest = smallest.unwrap_or_default();
        let patterned = |phase: u32| {
            let pattern = smallest.iter().map(|(name, zeros)| {
                let pattern = pattern(zeros, phase)?;
                Some((name.clone(), pattern))
            });
            pattern.collect::<Option<Vec<_>>>()
        };
        // Zeros alone would hide much: what is added up does not change by them.
        let patterns = (0..PATTERNS).filter_map(patterned);
        let candidates = patterns.chain([smallest.clone()]).chain(golden);
        let mut tried: Vec<(Vec<Tensor>, Vec<Tensor>)> = Vec::new();
        for inputs in candidates.take(TRIED_MAX) {
            let Ok(inputs) = arrange(self.inputs(), inputs) else {
                continue;
            };
            let first = tried.first();
            let alike = first.is_none_or(|(first, _)| are_alike(first, &inputs));
            let new = tried.iter().all(|(other, _)| *other != inputs);
            if alike && new && rows_of(&inputs).is_some() {
                let outputs = self.try_once(&inputs);
                tried.extend(outputs.map(|outputs| (inputs, outputs)));
            }
        }
        tried
    }

    fn try_once(&self, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
        let control = self.slots().control(Instant::now() + self.run_time_max());
        self.graph().run(inputs, &control).ok()
    }
}

/// Like `zeros`, but of values that differ: small ones, for some are indices.
fn pattern(zeros: &Tensor, phase: u32) -> Option<Tensor> {
    let integer = matches!(
        zeros.kind(),
        TensorKind::U8 | TensorKind::I32 | TensorKind::I64
    );
    let count = zeros.data().len() / zeros.kind().size();
    let value = |index: u32| match integer {
        true => f64::from((index + phase + 1) % 2),
        false => (f64::from(index) * 0.7 + f64::from(phase) * 1.9 + 0.3).sin(),
    };
    let values: Vec<_> = (0..u32::try_from(count).ok()?).map(value).collect();
    Tensor::of_values(zeros.dimensions().to_vec(), zeros.kind(), &values).ok()
}

fn are_near(alone: &Tensor, together: &Tensor) -> bool {
    let tolerance = match alone.kind() {
        TensorKind::Fp16 | TensorKind::Bf16 => TOLERANCE_HALF,
        _ => TOLERANCE,
    };
    let near = |(a, b): (f64, f64)| is_near(a, b, tolerance) || (a.is_nan() && b.is_nan());
    alone.dimensions() == together.dimensions() && alone.values().zip(together.values()).all(near)
}
