//! One plugin and one model: what it costs that a guest asks, beside the same
//! model called natively.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge::inference::{Control, Model, ModelSource, ModelStore, Tensor};
use selvedge::spec::RunOptions;
use tokio::task::spawn_blocking;

use super::libraries::Way;
use super::models::{Case, Size};
use super::plugin::{Plugin, world};
use crate::Outcome;
use crate::measure::{each, median, one_core};
use crate::report::{Bar, Figure, Row};

/// No run takes as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn measure(store: &ModelStore, ways: &[Way], wasm: &[u8]) -> Outcome<Vec<Row>> {
    one_core()?.block_on(async {
        let mut rows = Vec::new();
        for case in Case::all()? {
            for way in ways {
                rows.extend(beside(store, *way, &case, wasm).await?);
            }
        }
        Ok(rows)
    })
}

/// How `case` is run.
pub(super) fn source(way: Way, case: &Case) -> ModelSource {
    ModelSource {
        backend: way.backend.into(),
        target: way.target,
        options: RunOptions {
            threads: way.threads,
            ..RunOptions::default()
        },
        ..ModelSource::onnx(case.bytes.clone())
    }
}

async fn beside(store: &ModelStore, way: Way, case: &Case, wasm: &[u8]) -> Outcome<Vec<Row>> {
    let model = match store.prepare(&source(way, case)) {
        Ok(model) => model,
        Err(error) => {
            eprintln!("without {} on {}: {error}", case.name, way.text());
            return Ok(Vec::new());
        }
    };
    let directory = tempfile::tempdir()?;
    let world = world(directory.path(), store, &model)?;
    let mut plugin = Plugin::start(&world, wasm, "infer", case).await?;
    let input = case.tensor()?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..case.rounds {
        raw.push(each(alone(&model, &input, case).await?, case.runs));
        ours.push(each(plugin.run(case.runs).await?, case.runs));
    }
    let row = |name: &str, of: fn(Vec<f64>) -> f64| {
        let what = format!("{}, {}: {name}", case.name, way.text());
        Row::new(what, Figure::Nanos(of(ours.clone()))).raw(Figure::Nanos(of(raw.clone())))
    };
    let p50 = row("p50", median);
    Ok(vec![
        match case.size {
            Size::Small => p50.bar(Bar::Over(Figure::Nanos(10e3))),
            Size::Middle => p50,
            Size::MobileNet => p50.bar(Bar::Times(1.03)),
        },
        row("min", |values| {
            values.into_iter().fold(f64::INFINITY, f64::min)
        }),
    ])
}

/// The model itself, on a thread as the host would run it: which core a thread has
/// makes more of a difference than all that is measured here. The way there and back
/// is not counted.
async fn alone(model: &Arc<Model>, input: &Tensor, case: &Case) -> Outcome<Duration> {
    if case.size == Size::Small {
        return native(model, input, case.runs);
    }
    let (model, input, runs) = (Arc::clone(model), input.clone(), case.runs);
    spawn_blocking(move || native(&model, &input, runs)).await?
}

/// The model itself, so often, on this thread.
pub(super) fn native(model: &Model, input: &Tensor, runs: usize) -> Outcome<Duration> {
    let inputs = [input.clone()];
    let start = Instant::now();
    for _ in 0..runs {
        let control = Control::new(start + PATIENCE);
        black_box(model.graph().run(&inputs, &control)?);
    }
    Ok(start.elapsed())
}
