//! Runs that take too long, and backends that panic.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    FLOAT, InferenceLimits, LoadError, Model, ModelSource, ModelStore, Onnx, RunError, Target,
    Tensor, load, source, zeros,
};
use crate::inference::{
    Backend, BackendStatus, Backends, Control, Device, Dim, Graph, Placement, Port, TensorKind,
};
use crate::spec::{BackendKind, RunOptions};

/// A library from outside that does what an input's first byte says.
struct Outside {
    devices: &'static [Device],
    go_on: Arc<Mutex<Receiver<()>>>,
}

pub(super) const WORKS: u8 = 0;
const PANICS: u8 = 1;
pub(super) const HANGS: u8 = 2;
const FAILS: u8 = 3;

impl Backend for Outside {
    fn kind(&self) -> BackendKind {
        BackendKind::Tract
    }

    fn devices(&self) -> &[Device] {
        self.devices
    }

    fn status(&self) -> BackendStatus {
        Backends::built_in().status().remove(0)
    }

    fn load(
        &self,
        source: &ModelSource,
        device: Device,
        _: &InferenceLimits,
    ) -> Result<Box<dyn Graph>, LoadError> {
        assert!(source.bytes != "panic", "not a model");
        // Slow enough in its trial never to be run in place.
        let port = Port {
            name: "x".into(),
            kind: TensorKind::U8,
            shape: vec![Dim::Fixed(1)],
        };
        Ok(Box::new(OutsideGraph {
            ports: vec![port],
            device,
            go_on: Arc::clone(&self.go_on),
        }))
    }
}

struct OutsideGraph {
    ports: Vec<Port>,
    device: Device,
    go_on: Arc<Mutex<Receiver<()>>>,
}

impl Graph for OutsideGraph {
    fn inputs(&self) -> &[Port] {
        &self.ports
    }

    fn outputs(&self) -> &[Port] {
        &self.ports
    }

    fn placement(&self) -> Placement {
        Placement {
            device: self.device,
            provider: "cpu".to_owned(),
            whole: true,
        }
    }

    fn run(&self, inputs: &[Tensor], _: &Control) -> Result<Vec<Tensor>, RunError> {
        match inputs[0].data()[0] {
            PANICS => panic!("index out of bounds"),
            HANGS => self.go_on.lock().recv_timeout(LONG * 2).unwrap(),
            FAILS => return Err(RunError::Deadline),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
        Ok(inputs.to_vec())
    }
}

pub(super) fn outside(slots: u32, waiting_max: u32) -> (ModelStore, SyncSender<()>) {
    outside_with(slots, waiting_max, LONG)
}

/// The same, with another limit of a run.
pub(super) fn outside_with(
    slots: u32,
    waiting_max: u32,
    run_max: Duration,
) -> (ModelStore, SyncSender<()>) {
    let limits = InferenceLimits {
        slots: slots.try_into().unwrap(),
        waiting_max: waiting_max.try_into().unwrap(),
        run_ms_max: u32::try_from(run_max.as_millis())
            .unwrap()
            .try_into()
            .unwrap(),
        ..InferenceLimits::default()
    };
    made(limits, &[Device::Cpu, Device::Gpu])
}

/// The same, on other processors.
pub(super) fn outside_on(devices: &'static [Device]) -> (ModelStore, SyncSender<()>) {
    made(InferenceLimits::default(), devices)
}

fn made(limits: InferenceLimits, devices: &'static [Device]) -> (ModelStore, SyncSender<()>) {
    let (go, go_on) = sync_channel(16);
    let go_on = Arc::new(Mutex::new(go_on));
    let backend = Outside { devices, go_on };
    let store = ModelStore::with_backends(limits, vec![Box::new(backend)]);
    (store, go)
}

fn model(store: &ModelStore, file: &'static str) -> Arc<Model> {
    model_with(store, file, RunOptions::default())
}

pub(super) fn model_with(
    store: &ModelStore,
    file: &'static str,
    options: RunOptions,
) -> Arc<Model> {
    let bytes = bytes::Bytes::from_static(file.as_bytes());
    let source = ModelSource {
        options,
        ..source(bytes)
    };
    store.prepare(&source).unwrap()
}

pub(super) async fn ask(model: &Arc<Model>, what: u8, within: Duration) -> Result<(), RunError> {
    let input = Tensor::new(vec![1], TensorKind::U8, vec![what].into()).unwrap();
    let deadline = Instant::now() + within;
    let ran = model.run(vec![("x".to_owned(), input)], Some(deadline));
    ran.await.map(drop)
}

pub(super) const SHORT: Duration = Duration::from_millis(30);
pub(super) const LONG: Duration = Duration::from_secs(10);

pub(super) async fn until_none_goes_on(model: &Model) {
    until(
        || model.run_status().abandoned == 0,
        "a slot was not given back",
    )
    .await;
}

pub(super) async fn until(holds: impl Fn() -> bool, otherwise: &str) {
    let waited = Instant::now();
    while !holds() {
        assert!(waited.elapsed() < LONG, "{otherwise}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_run_beyond_the_hosts_limit_keeps_its_slot_and_its_model_refuses_more() {
    let (store, go) = outside_with(1, 4, SHORT);
    let (slow, other) = (model(&store, "slow"), model(&store, "other"));

    let error = ask(&slow, HANGS, LONG).await.unwrap_err();
    assert!(matches!(error, RunError::Deadline));
    until(|| slow.run_status().overdue > 0, "it is not overdue").await;
    let error = ask(&slow, WORKS, LONG).await.unwrap_err();
    assert!(matches!(error, RunError::Overdue { overdue: 1 }));
    // It still holds the only slot.
    let error = ask(&other, WORKS, SHORT).await.unwrap_err();
    assert!(matches!(error, RunError::NoSlot));
    let status = slow.run_status();
    assert_eq!(
        (status.overdue, status.busy_total, status.failures_total),
        (1, 1, 1)
    );

    go.send(()).unwrap();
    until_none_goes_on(&slow).await;
    ask(&slow, WORKS, LONG).await.unwrap();
    ask(&other, WORKS, LONG).await.unwrap();
}

#[tokio::test]
async fn a_short_deadline_keeps_nobody_from_the_model_but_for_the_run_itself() {
    let (store, go) = outside(1, 4);
    let alone = RunOptions {
        concurrency: Some(1.try_into().unwrap()),
        ..RunOptions::default()
    };
    let slow = model_with(&store, "slow", alone);
    let error = ask(&slow, HANGS, SHORT).await.unwrap_err();
    assert!(matches!(error, RunError::Deadline));
    let status = slow.run_status();
    assert_eq!((status.overdue, status.abandoned), (0, 1));
    // Another waits as long as it likes, and runs when the first has ended.
    let error = ask(&slow, WORKS, SHORT).await.unwrap_err();
    assert!(matches!(error, RunError::NoTurn { max: 1 }), "{error:?}");
    let release = async { go.send(()).unwrap() };
    let (ran, ()) = tokio::join!(biased; ask(&slow, WORKS, LONG), release);
    ran.unwrap();
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_the_run_counted_and_its_stake_in_it() {
    let (store, go) = outside(1, 4);
    let slow = model(&store, "slow");
    let runs = Arc::new(Semaphore::new(1));
    {
        // As when the guest is killed while it waits.
        let stake = Arc::clone(&runs).try_acquire_owned().unwrap();
        let input = Tensor::new(vec![1], TensorKind::U8, vec![HANGS].into()).unwrap();
        let asked = slow.run_for(vec![("x".to_owned(), input)], None, Some(Arc::new(stake)));
        tokio::time::timeout(SHORT, asked).await.unwrap_err();
    }
    assert_eq!(slow.run_status().abandoned, 1);
    assert_eq!(runs.available_permits(), 0);
    go.send(()).unwrap();
    until_none_goes_on(&slow).await;
    until(|| runs.available_permits() == 1, "its stake is lost").await;
}

/// One that asks and goes away again and again is in front of another once only.
#[tokio::test]
async fn a_caller_who_cancels_is_served_after_those_who_waited() {
    let (store, go) = outside(1, 8);
    let slow = model(&store, "slow");
    let patient = async {
        // The first abandoned run is let go while this one waits.
        ask(&slow, WORKS, LONG).await
    };
    let hostile = async {
        for round in 0..100 {
            let asked = ask(&slow, HANGS, LONG);
            drop(tokio::time::timeout(Duration::from_millis(1), asked).await);
            if round == 50 {
                go.send(()).unwrap();
            }
        }
    };
    let first = ask(&slow, HANGS, LONG);
    drop(tokio::time::timeout(SHORT, first).await);
    let (served, ()) = tokio::join!(biased; patient, hostile);
    served.unwrap();
    // What the hostile one left, if it came to run at all.
    for _ in 0..16 {
        go.try_send(()).ok();
    }
    until_none_goes_on(&slow).await;
}

#[tokio::test]
async fn only_so_many_wait_for_a_slot() {
    let (store, go) = outside(1, 1);
    let (first, second, third) = (
        model(&store, "first"),
        model(&store, "second"),
        model(&store, "third"),
    );
    let refused = async {
        // Polled after the others, which by then run and wait.
        let error = ask(&third, WORKS, LONG).await.unwrap_err();
        assert!(matches!(error, RunError::NoSlot));
        go.send(()).unwrap();
    };
    let running = ask(&first, HANGS, LONG);
    let waiting = ask(&second, WORKS, LONG);
    let (running, waiting, ()) = tokio::join!(biased; running, waiting, refused);
    running.unwrap();
    waiting.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_backend_is_an_error() {
    let (store, _go) = outside(1, 1);
    let model = model(&store, "model");
    let error = ask(&model, PANICS, LONG).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the backend panicked: index out of bounds"
    );
    ask(&model, WORKS, LONG).await.unwrap();

    let error = store.prepare(&source("panic".into())).unwrap_err();
    assert!(matches!(error, LoadError::Panicked { .. }), "{error:?}");
}

#[tokio::test]
async fn runs_that_fail_at_once_do_not_make_long_ones_look_short() {
    let (store, go) = outside(1, 1);
    let model = model(&store, "model");
    for what in [FAILS, PANICS] {
        for _ in 0..100 {
            ask(&model, what, LONG).await.unwrap_err();
        }
    }
    let mut long = Box::pin(ask(&model, HANGS, LONG));
    // In place it would have held this thread until it had ended.
    assert!(futures::poll!(&mut long).is_pending());
    go.send(()).unwrap();
    long.await.unwrap();
}

#[tokio::test]
async fn a_model_that_is_withdrawn_runs_nothing_for_those_who_waited() {
    let (store, go) = outside(1, 4);
    let alone = RunOptions {
        concurrency: Some(1.try_into().unwrap()),
        ..RunOptions::default()
    };
    let model = model_with(&store, "model", alone);
    let withdrawn = async {
        // Polled after the others, of which one runs and one waits for its turn.
        assert!(model.withdraw("it is revoked".to_owned()));
        go.send(()).unwrap();
    };
    let (running, waiting) = (ask(&model, HANGS, LONG), ask(&model, WORKS, LONG));
    let (running, waiting, ()) = tokio::join!(biased; running, waiting, withdrawn);
    // Its thread may have begun after that.
    drop(running);
    let error = waiting.unwrap_err();
    assert!(matches!(error, RunError::Withdrawn { .. }), "{error:?}");
}

#[test]
fn a_graphics_processor_is_used_where_there_is_one() {
    let (store, _go) = outside(1, 1);
    let source = ModelSource {
        target: Target::GpuPreferred,
        ..source("model".into())
    };
    let model = store.prepare(&source).unwrap();
    assert_eq!((model.device(), model.degraded()), (Device::Gpu, false));
}

/// `links` products of square matrices, one after the other.
fn products(links: usize) -> Arc<Model> {
    let mut model = Onnx::new().input("x", FLOAT, &["n", "n"]);
    let name = |i: usize| format!("p{i}");
    for i in 0..links {
        let from = if i == 0 { "x".to_owned() } else { name(i - 1) };
        model = model.node("MatMul", &[&from, "x"], &[&name(i)]);
    }
    load(model.output(&name(links - 1), FLOAT, &["n", "n"]).build()).unwrap()
}

#[tokio::test]
async fn tract_stops_between_two_operators_and_outlives_one() {
    // Each product takes some tens of milliseconds, all of them seconds.
    let model = products(60);
    let within = Duration::from_millis(20);
    let input = || vec![("x".to_owned(), zeros(&[1024, 1024]))];
    let started = Instant::now();
    let error = model
        .run(input(), Some(started + within))
        .await
        .unwrap_err();
    assert!(matches!(error, RunError::Deadline), "{error:?}");

    until_none_goes_on(&model).await;
    let stopped = started.elapsed();

    // The thread was not held for the whole of it.
    let started = Instant::now();
    model.run(input(), None).await.unwrap();
    let whole = started.elapsed();
    assert!(
        stopped * 2 < whole,
        "stopped after {stopped:?} of {whole:?}"
    );
}
