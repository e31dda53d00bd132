//! Runs of several callers that are computed together.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::Mutex;

use super::{
    FLOAT, InferenceLimits, LoadError, Model, ModelSource, ModelStore, Onnx, RunError, Tensor,
    autoencoder, source, store, tensor,
};
use crate::inference::{
    Backend, BackendStatus, Backends, Control, Device, Dim, Graph, Placement, Port, TensorKind,
};
use crate::spec::{BackendKind, Batching, RunOptions};

pub(super) const LONG: Duration = Duration::from_secs(10);
/// A row that fails whatever it is computed with.
pub(super) const POISON: f64 = 666.0;
/// A row whose run waits to be let go.
const WAITS: f64 = 777.0;

pub(super) fn batching(rows_max: u32, wait_us_max: u32) -> RunOptions {
    RunOptions {
        batching: Some(Batching {
            rows_max: NonZeroU32::new(rows_max).unwrap(),
            wait_us_max,
        }),
        ..RunOptions::default()
    }
}

fn batched(source: ModelSource, options: RunOptions) -> ModelSource {
    ModelSource { options, ..source }
}

/// Doubles rows, slowly enough never to be run in place, and tells how many.
#[derive(Clone)]
struct Slow {
    told: SyncSender<usize>,
    go_on: Arc<Mutex<Receiver<()>>>,
    ports: Vec<Port>,
}

impl Backend for Slow {
    fn kind(&self) -> BackendKind {
        BackendKind::Tract
    }

    fn devices(&self) -> &[Device] {
        &[Device::Cpu]
    }

    fn status(&self) -> BackendStatus {
        Backends::built_in().status().remove(0)
    }

    fn load(
        &self,
        _: &ModelSource,
        _: Device,
        _: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        Ok(Box::new(self.clone()))
    }
}

impl Graph for Slow {
    fn inputs(&self) -> &[Port] {
        &self.ports
    }

    fn outputs(&self) -> &[Port] {
        &self.ports
    }

    fn placement(&self) -> Placement {
        Placement {
            device: Device::Cpu,
            provider: "cpu".to_owned(),
            whole: true,
        }
    }

    fn run(&self, inputs: &[Tensor], _: &Control) -> Result<Vec<Tensor>, RunError> {
        let values: Vec<_> = inputs[0].values().collect();
        // Nobody may listen while it is tried out.
        self.told.try_send(values.len()).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(1));
        if values.contains(&WAITS) {
            self.go_on.lock().recv_timeout(LONG).unwrap();
        }
        if values.contains(&POISON) {
            let source = "poisoned".into();
            return Err(RunError::Failed { source });
        }
        let doubled: Vec<_> = values.iter().map(|value| value * 2.0).collect();
        let dimensions = inputs[0].dimensions().to_vec();
        Ok(vec![
            Tensor::of_values(dimensions, TensorKind::Fp64, &doubled).unwrap(),
        ])
    }
}

pub(super) struct World {
    model: Arc<Model>,
    rows: Receiver<usize>,
    go: SyncSender<()>,
}

pub(super) fn world(options: RunOptions) -> World {
    let (told, rows) = sync_channel(1_000);
    let (go, go_on) = sync_channel(16);
    let port = Port {
        name: "x".into(),
        kind: TensorKind::Fp64,
        shape: vec![Dim::Named("n".into())],
    };
    let backend = Slow {
        told,
        go_on: Arc::new(Mutex::new(go_on)),
        ports: vec![port],
    };
    let store = ModelStore::with_backends(InferenceLimits::default(), vec![Box::new(backend)]);
    let source = batched(source("slow".into()), options);
    let model = store.prepare(&source).unwrap();
    while rows.try_recv().is_ok() {}
    World { model, rows, go }
}

async fn ask<const N: usize>(
    world: &World,
    values: [f64; N],
    within: Duration,
) -> Result<Vec<f64>, RunError> {
    ask_rows(world, &values, within).await
}

pub(super) async fn ask_rows(
    world: &World,
    values: &[f64],
    within: Duration,
) -> Result<Vec<f64>, RunError> {
    let rows = u32::try_from(values.len()).unwrap();
    let x = tensor(&[rows], TensorKind::Fp64, values);
    let deadline = Instant::now() + within;
    let outputs = world.model.run(vec![("x".to_owned(), x)], Some(deadline));
    Ok(outputs.await?[0].1.values().collect())
}

#[tokio::test]
async fn those_who_come_while_one_runs_are_computed_together() {
    let world = world(batching(32, 10_000));
    let first = ask(&world, [1.0, WAITS], LONG);
    let others = (2..12).map(|value| ask(&world, [f64::from(value)], LONG));
    let go = async { world.go.send(()).unwrap() };
    let (first, others, ()) = tokio::join!(biased; first, join_all(others), go);
    assert_eq!(first.unwrap(), [2.0, WAITS * 2.0]);
    for (value, answer) in (2..12).zip(others) {
        assert_eq!(answer.unwrap(), [f64::from(value * 2)]);
    }
    assert_eq!(world.rows.try_iter().collect::<Vec<_>>(), [2, 10]);
    let status = world.model.run_status();
    assert_eq!(
        (
            status.runs_total,
            status.batches_total,
            status.batch_rows_total
        ),
        (11, 1, 10)
    );
}

#[tokio::test]
async fn who_is_alone_does_not_wait_for_others() {
    let world = world(batching(32, 10_000));
    let mut quickest = LONG;
    for value in 0..50 {
        let started = Instant::now();
        ask(&world, [f64::from(value)], LONG).await.unwrap();
        quickest = quickest.min(started.elapsed());
    }
    // If they waited, each would take a window.
    assert!(quickest < Duration::from_millis(10), "{quickest:?}");
    assert_eq!(world.model.run_status().batches_total, 0);
}

#[tokio::test]
async fn no_run_has_more_rows_than_may_be() {
    let world = world(batching(4, 10_000));
    let first = ask(&world, [WAITS], LONG);
    let others = (0..10).map(|_| ask(&world, [1.0], LONG));
    let larger = ask(&world, [1.0; 9], LONG);
    let go = async { world.go.send(()).unwrap() };
    let (first, others, larger, ()) = tokio::join!(biased; first, join_all(others), larger, go);
    first.unwrap();
    assert_eq!(larger.unwrap(), [2.0; 9]);
    assert!(others.into_iter().all(|answer| answer.unwrap() == [2.0]));
    let mut rows: Vec<_> = world.rows.try_iter().collect();
    rows.retain(|rows| *rows != 9);
    assert_eq!(rows.iter().sum::<usize>(), 11, "{rows:?}");
    assert!(rows.iter().all(|rows| *rows <= 4), "{rows:?}");
}

#[tokio::test]
async fn who_is_poisoned_pays_alone() {
    let world = world(batching(32, 10_000));
    let first = ask(&world, [WAITS], LONG);
    let (good, bad) = (ask(&world, [1.0], LONG), ask(&world, [POISON], LONG));
    let also = ask(&world, [3.0], LONG);
    let go = async { world.go.send(()).unwrap() };
    let (first, good, bad, also, ()) = tokio::join!(biased; first, good, bad, also, go);
    first.unwrap();
    assert_eq!((good.unwrap(), also.unwrap()), (vec![2.0], vec![6.0]));
    assert!(matches!(bad, Err(RunError::Failed { .. })), "{bad:?}");
    let status = world.model.run_status();
    assert_eq!((status.failures_total, status.runs_total), (1, 4));
}

#[tokio::test]
async fn who_goes_leaves_the_others_served() {
    let world = world(batching(32, 10_000));
    let first = ask(&world, [WAITS], Duration::from_millis(30));
    // It leads those behind it, and goes before its run has begun.
    let leads = ask(&world, [2.0], Duration::from_millis(60));
    let stays = ask(&world, [3.0], LONG);
    let go = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.go.send(()).unwrap();
    };
    let (first, leads, stays, ()) = tokio::join!(biased; first, leads, stays, go);
    assert!(matches!(first, Err(RunError::Deadline)), "{first:?}");
    assert!(matches!(leads, Err(RunError::NoSlot)), "{leads:?}");
    assert_eq!(stays.unwrap(), [6.0]);
    assert_eq!(world.model.run_status().overdue, 0);
}

#[tokio::test]
async fn all_who_go_leave_a_run_that_keeps_its_slot() {
    let world = world(batching(32, 10_000));
    let short = Duration::from_millis(30);
    let both = [WAITS, WAITS].map(|value| [value]);
    let asked = join_all(both.map(|value| ask(&world, value, short)));
    assert!(asked.await.iter().all(Result::is_err));
    assert_eq!(world.model.run_status().abandoned, 1);
    let error = ask(&world, [1.0], short).await.unwrap_err();
    assert!(matches!(error, RunError::NoSlot), "{error:?}");
    world.go.send(()).unwrap();
    let begun = Instant::now();
    while world.model.run_status().abandoned > 0 {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ask(&world, [1.0], LONG).await.unwrap(), [2.0]);
}

#[test]
fn a_model_whose_rows_depend_on_each_other_is_refused() {
    let refused = |model: Onnx| {
        let source = batched(source(model.build()), batching(8, 0));
        let error = store().prepare(&source).unwrap_err();
        assert_eq!(error.code(), "model-not-batchable", "{error}");
        error.to_string()
    };
    // Each row less the mean of all: by way of what is multiplied from the left.
    let over_rows = Onnx::new()
        .input("x", FLOAT, &["n", "4"])
        .node("Transpose", &["x"], &["t"])
        .node("MatMul", &["x", "t"], &["p"])
        .node("MatMul", &["p", "x"], &["y"])
        .output("y", FLOAT, &["n", "4"]);
    let text = refused(over_rows);
    assert!(
        text.contains("`y` fp32[n, 4] depends on the rows"),
        "{text}"
    );
    let fixed = Onnx::new()
        .input("x", FLOAT, &["1", "4"])
        .node("Add", &["x", "x"], &["y"])
        .output("y", FLOAT, &["1", "4"]);
    let text = refused(fixed);
    assert!(
        text.contains("the first dimension of `x` fp32[1, 4] is not open"),
        "{text}"
    );
    let source = batched(source(autoencoder()), batching(8, 0));
    store().prepare(&source).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_they_get_what_each_gets_alone() {
    let alone = store().prepare(&source(autoencoder())).unwrap();
    let together = store().prepare(&batched(source(autoencoder()), batching(64, 1_000)));
    let together = together.unwrap();
    let inputs = (1..40_u32).map(|rows| {
        let rows = rows % 3 + 1;
        let values: Vec<_> = (0..rows * 64).map(|i| (f64::from(i) * 0.3).cos()).collect();
        tensor(&[rows, 64], TensorKind::Fp32, &values)
    });
    let inputs: Vec<_> = inputs.collect();
    let ask = |model: &Arc<Model>, x: &Tensor| {
        let (model, inputs) = (Arc::clone(model), vec![("x".to_owned(), x.clone())]);
        async move {
            // Through the batches, though it is short enough to be run in place.
            let batcher = model.batcher().unwrap();
            let far = Instant::now() + LONG;
            let inputs = inputs.into_iter().map(|(_, x)| x).collect();
            batcher.run(&model, inputs, (far, None)).await.unwrap()
        }
    };
    let batched = join_all(inputs.iter().map(|x| ask(&together, x))).await;
    assert!(together.run_status().batches_total > 0);
    for (x, batched) in inputs.iter().zip(batched) {
        let single = alone
            .run(vec![("x".to_owned(), x.clone())], None)
            .await
            .unwrap();
        for ((_, single), batched) in single.iter().zip(&batched) {
            assert_eq!(single.dimensions(), batched.dimensions());
            for (a, b) in single.values().zip(batched.values()) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
