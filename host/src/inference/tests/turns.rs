//! How many runs of one model there are at once.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::task::{JoinSet, yield_now};

use super::slots::{HANGS, LONG, SHORT, WORKS, ask, model_with, outside, until_none_goes_on};
use crate::inference::RunError;
use crate::spec::RunOptions;

fn concurrency(runs: u32) -> RunOptions {
    RunOptions {
        concurrency: NonZeroU32::new(runs),
        ..RunOptions::default()
    }
}

#[tokio::test]
async fn a_model_keeps_its_own_callers_waiting_and_no_others() {
    let (store, go) = outside(4, 8);
    let busy = model_with(&store, "busy", concurrency(1));
    let other = model_with(&store, "other", concurrency(1));
    let waits = async {
        // Polled after the first, which by then runs.
        let error = ask(&busy, WORKS, SHORT).await.unwrap_err();
        assert!(matches!(error, RunError::NoTurn { max: 1 }), "{error:?}");
        assert!(error.is_busy());
        // Who waited for its turn has kept no slot.
        ask(&other, WORKS, LONG).await.unwrap();
        go.send(()).unwrap();
    };
    let running = ask(&busy, HANGS, LONG);
    let (running, ()) = tokio::join!(biased; running, waits);
    running.unwrap();
    assert_eq!(busy.run_status().busy_total, 1);
    ask(&busy, WORKS, LONG).await.unwrap();
}

#[tokio::test]
async fn a_model_runs_as_often_at_once_as_it_says() {
    let (store, go) = outside(4, 8);
    let model = model_with(&store, "model", concurrency(2));
    let third = async {
        let error = ask(&model, WORKS, SHORT).await.unwrap_err();
        assert!(matches!(error, RunError::NoTurn { max: 2 }), "{error:?}");
        go.send(()).unwrap();
        go.send(()).unwrap();
    };
    let (first, second) = (ask(&model, HANGS, LONG), ask(&model, HANGS, LONG));
    let (first, second, ()) = tokio::join!(biased; first, second, third);
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn an_abandoned_run_keeps_the_turn_it_has() {
    let (store, go) = outside(4, 8);
    let model = model_with(&store, "model", concurrency(1));
    let error = ask(&model, HANGS, SHORT).await.unwrap_err();
    assert!(matches!(error, RunError::Deadline));
    let error = ask(&model, WORKS, SHORT).await.unwrap_err();
    assert!(matches!(error, RunError::NoTurn { max: 1 }), "{error:?}");
    go.send(()).unwrap();
    until_none_goes_on(&model).await;
    ask(&model, WORKS, LONG).await.unwrap();
}

#[tokio::test]
async fn a_model_whose_runs_share_its_memory_runs_once_for_each_core() {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let (store, go) = outside(u32::try_from(cores).unwrap() + 1, 8);
    let model = model_with(&store, "model", RunOptions::default());
    let mut running = JoinSet::new();
    for _ in 0..cores {
        let model = Arc::clone(&model);
        running.spawn(async move { ask(&model, HANGS, LONG).await });
    }
    // Each of them begins before this goes on.
    yield_now().await;
    let error = ask(&model, WORKS, SHORT).await.unwrap_err();
    assert!(
        matches!(error, RunError::NoTurn { max } if max == cores),
        "{error:?}"
    );
    for _ in 0..cores {
        go.send(()).unwrap();
    }
    while let Some(ran) = running.join_next().await {
        ran.unwrap().unwrap();
    }
}
