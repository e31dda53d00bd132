//! Candidates beside the models that serve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slots::{self, HANGS, LONG, WORKS, ask, outside_with};
use super::{FLOAT, LoadError, ModelSource, ModelStore, Onnx, source, store, tensor};
use crate::inference::{ModelSet, NextModels, RunError, Served, ShadowStatus, TensorKind};
use crate::names::ModelName;
use crate::spec::{Models, RunOptions, ShadowOptions};

/// `y = x * [scale..]` of rows of two.
fn scales(scale: [f32; 2]) -> ModelSource {
    let model = Onnx::new()
        .input("x", FLOAT, &["n", "2"])
        .weights("s", &[1, 2], &scale)
        .node("Mul", &["x", "s"], &["y"])
        .output("y", FLOAT, &["n", "2"]);
    source(model.build())
}

pub(super) fn name(name: &str) -> ModelName {
    name.parse().unwrap()
}

pub(super) fn follows(fraction: f64) -> Models<ShadowOptions> {
    let options = ShadowOptions {
        model: name("next"),
        fraction: fraction.try_into().unwrap(),
        tolerance: 0.01.try_into().unwrap(),
    };
    BTreeMap::from([(name("serving"), options)])
}

fn next(
    store: &ModelStore,
    before: &ModelSet,
    models: &[(&str, ModelSource)],
    shadows: &Models<ShadowOptions>,
) -> Result<NextModels, LoadError> {
    let prepared = models.iter().map(|(model, source)| {
        let prepared = store.prepare(source).unwrap();
        (name(model), Some(prepared))
    });
    let prepared: Vec<_> = prepared.collect();
    store.next(before, prepared, shadows)
}

fn pair(store: &ModelStore, candidate: [f32; 2], fraction: f64) -> Arc<ModelSet> {
    let models = [("serving", scales([1.0, 1.0])), ("next", scales(candidate))];
    let next = next(store, &ModelSet::default(), &models, &follows(fraction)).unwrap();
    drop(next.exchanges.make());
    next.set
}

async fn feed(served: &Served, rows: &[f64]) {
    let count = u32::try_from(rows.len() / 2).unwrap();
    let x = tensor(&[count, 2], TensorKind::Fp32, rows);
    let outputs = served.run(vec![("x".to_owned(), x)], None).await.unwrap();
    let given: Vec<_> = outputs[0].1.values().collect();
    assert_eq!(given, rows, "what serves is what is given");
}

pub(super) async fn until(served: &Served, holds: impl Fn(&ShadowStatus) -> bool) -> ShadowStatus {
    let begun = Instant::now();
    loop {
        let status = served.shadow_status().unwrap();
        if holds(&status) {
            return status;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "never: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_candidate_is_compared_and_serves_nobody() {
    let store = store();
    let set = pair(&store, [2.0, 1.0], 1.0);
    let serving = set.get(&name("serving")).unwrap();
    // Twice the first: 3 beside 4 is larger then, 1 beside 4 is not.
    feed(serving, &[3.0, 4.0, 1.0, 4.0]).await;
    let status = until(serving, |it| it.compared_total == 1).await;
    assert_eq!((status.values_total, status.beyond_total), (4, 2));
    assert_eq!(
        (status.difference_max, status.relative_difference_max),
        (3.0, 1.0)
    );
    assert_eq!((status.rows_total, status.argmax_differs_total), (2, 1));
    assert_eq!((status.failures_total, status.dropped_total), (0, 0));
    let candidate = set.get(&name("next")).unwrap();
    assert_eq!(candidate.current().run_status().runs_total, 1);
    assert!(status.time_ratio.is_some());
    let told = set.status();
    assert_eq!(told[1].shadow.as_ref().unwrap().model, name("next"));
    assert!(told[0].shadow.is_none());
}

#[tokio::test]
async fn a_sample_is_as_large_as_asked_and_what_does_not_fit_is_dropped() {
    let store = store();
    let set = pair(&store, [1.0, 1.0], 0.25);
    let serving = set.get(&name("serving")).unwrap();
    for _ in 0..100 {
        feed(serving, &[1.0, 2.0]).await;
    }
    let done = |it: &ShadowStatus| it.compared_total + it.dropped_total == 25;
    let status = until(serving, done).await;
    assert_eq!(status.beyond_total, 0);

    // Nobody may have a turn of it.
    let candidate = set.get(&name("next")).unwrap().current();
    let held: Vec<_> = std::iter::from_fn(|| candidate.try_hold()).collect();
    assert!(!held.is_empty());
    for _ in 0..4 {
        feed(serving, &[1.0, 2.0]).await;
    }
    let after = until(serving, |it| it.dropped_total > status.dropped_total).await;
    assert_eq!(after.compared_total, status.compared_total);
    drop(held);
}

#[tokio::test]
async fn a_shadow_fits_is_exchanged_and_goes() {
    let store = store();
    let other = Onnx::new()
        .input("x", FLOAT, &["n", "3"])
        .node("Add", &["x", "x"], &["y"])
        .output("y", FLOAT, &["n", "3"]);
    let misfit = [
        ("serving", scales([1.0, 1.0])),
        ("next", source(other.build())),
    ];
    let error = next(&store, &ModelSet::default(), &misfit, &follows(1.0)).unwrap_err();
    assert_eq!(error.code(), "model-shadow-differs");

    let set = pair(&store, [2.0, 1.0], 1.0);
    let serving = set.get(&name("serving")).unwrap();
    feed(serving, &[1.0, 1.0]).await;
    until(serving, |it| it.compared_total == 1).await;
    // The same candidate goes on counting, whatever else changes.
    let changed = next(
        &store,
        &set,
        &[("serving", scales([1.0, 1.0]))],
        &follows(1.0),
    )
    .unwrap();
    let undo = changed.exchanges.make();
    assert_eq!(serving.shadow_status().unwrap().compared_total, 1);
    assert_eq!(set.status()[1].swaps_total, 1);
    undo.undo();

    let gone = next(&store, &set, &[], &BTreeMap::new())
        .unwrap()
        .exchanges
        .make();
    assert_eq!(serving.shadow_status(), None);
    gone.undo();
    assert_eq!(serving.shadow_status().unwrap().compared_total, 1);
}

#[tokio::test]
async fn a_candidate_that_is_withdrawn_computes_nothing() {
    let store = store();
    let set = pair(&store, [1.0, 1.0], 1.0);
    let served = set.get(&name("serving")).unwrap();
    let candidate = set.get(&name("next")).unwrap().current();
    feed(served, &[1.0, 2.0]).await;
    until(served, |status| status.compared_total == 1).await;
    let before = candidate.run_status().runs_total;
    assert!(candidate.withdraw("it is revoked".to_owned()));
    for _ in 0..5 {
        feed(served, &[1.0, 2.0]).await;
    }
    let status = until(served, |status| status.dropped_total == 5).await;
    assert_eq!((status.compared_total, status.failures_total), (1, 0));
    assert_eq!(candidate.run_status().runs_total, before);
}

/// Two that take a byte and do what it says, the second after the first.
fn outside_pair(store: &ModelStore) -> Arc<ModelSet> {
    let twice = RunOptions {
        concurrency: Some(2.try_into().unwrap()),
        ..RunOptions::default()
    };
    let model = |file: &'static str| ModelSource {
        options: twice,
        ..source(file.into())
    };
    let models = [("serving", model("serving")), ("next", model("next"))];
    let next = next(store, &ModelSet::default(), &models, &follows(1.0)).unwrap();
    drop(next.exchanges.make());
    next.set
}

async fn feed_byte(served: &Served, what: u8) {
    let x = tensor(&[1], TensorKind::U8, &[what.into()]);
    served.run(vec![("x".to_owned(), x)], None).await.unwrap();
}

#[tokio::test]
async fn a_candidate_whose_run_does_not_end_is_overdue() {
    let (store, go) = outside_with(4, 8, Duration::from_millis(500));
    let set = outside_pair(&store);
    let (serving, candidate) = (&name("serving"), &name("next"));
    let candidate = set.get(candidate).unwrap().current();
    // The one that serves is let go, and its candidate is not.
    go.send(()).unwrap();
    feed_byte(set.get(serving).unwrap(), HANGS).await;
    let overdue = || candidate.run_status().overdue == 1;
    slots::until(overdue, "it is not overdue").await;
    let error = ask(&candidate, WORKS, LONG).await.unwrap_err();
    assert!(
        matches!(error, RunError::Overdue { overdue: 1 }),
        "{error:?}"
    );
    go.send(()).unwrap();
    slots::until_none_goes_on(&candidate).await;
    slots::until(|| !overdue(), "it is overdue for ever").await;
}

#[tokio::test]
async fn a_candidate_that_is_overdue_is_given_no_further_sample() {
    let (store, go) = outside_with(4, 8, Duration::from_millis(500));
    let set = outside_pair(&store);
    let serving = set.get(&name("serving")).unwrap();
    let candidate = set.get(&name("next")).unwrap().current();
    let error = ask(&candidate, HANGS, LONG).await.unwrap_err();
    assert!(matches!(error, RunError::Deadline), "{error:?}");
    let overdue = || candidate.run_status().overdue == 1;
    slots::until(overdue, "it is not overdue").await;
    feed_byte(serving, WORKS).await;
    let status = until(serving, |it| it.compared_total + it.dropped_total == 1).await;
    assert_eq!((status.compared_total, status.dropped_total), (0, 1));
    go.send(()).unwrap();
    slots::until_none_goes_on(&candidate).await;
    feed_byte(serving, WORKS).await;
    until(serving, |it| it.compared_total == 1).await;
}

#[tokio::test]
async fn rows_are_compared_by_their_first_largest_value_and_no_number_is_never_it() {
    let store = store();
    let set = pair(&store, [f32::NAN, 1.0], 1.0);
    let serving = set.get(&name("serving")).unwrap();
    feed(serving, &[4.0, 3.0, 3.0, 4.0, 4.0, 4.0]).await;
    let status = until(serving, |it| it.compared_total == 1).await;
    // What is no number stays first where it is first, as nothing is above it.
    assert_eq!((status.rows_total, status.argmax_differs_total), (3, 1));
    assert_eq!((status.values_total, status.beyond_total), (6, 3));
}

#[test]
fn two_that_follow_each_other_go_when_nobody_has_them() {
    let store = store();
    let models = [
        ("serving", scales([1.0, 1.0])),
        ("next", scales([1.0, 2.0])),
    ];
    let mut both = follows(0.5);
    let back = ShadowOptions {
        model: name("serving"),
        ..both[&name("serving")].clone()
    };
    both.insert(name("next"), back);
    let next = next(&store, &ModelSet::default(), &models, &both).unwrap();
    drop(next.exchanges.make());
    let versions = ["serving", "next"].map(|model| {
        let served = next.set.get(&name(model)).unwrap();
        assert!(served.shadow_status().is_some());
        Arc::downgrade(&served.current())
    });
    drop(next.set);
    for version in versions {
        assert!(version.upgrade().is_none(), "it is never freed");
    }
}
