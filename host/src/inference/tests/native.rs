//! Batching and shadows with the real libraries.

use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;

use super::huge::store;
use super::shadows::{follows, name, until};
use super::{ModelSet, ModelSource, Tensor, TensorKind, autoencoder, tensor};
use crate::inference::NextModels;
use crate::spec::{BackendChoice, Batching, RunOptions};

const COLUMNS: u32 = 64;

fn on(backend: BackendChoice, options: RunOptions) -> ModelSource {
    ModelSource {
        backend,
        options,
        ..ModelSource::onnx(autoencoder())
    }
}

fn row(salt: u32) -> Vec<(String, Tensor)> {
    let values = (0..COLUMNS).map(|i| f64::from((i * 37 + salt * 11) % 100) / 50.0 - 1.0);
    let x = tensor(&[1, COLUMNS], TensorKind::Fp32, &values.collect::<Vec<_>>());
    vec![("x".to_owned(), x)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_many_callers_are_not_mixed_up_on_any_library() {
    let (store, backends) = store();
    let plain = store.prepare(&on(BackendChoice::Tract, RunOptions::default()));
    let plain = plain.unwrap();
    let options = RunOptions {
        batching: Some(Batching {
            rows_max: 16.try_into().unwrap(),
            wait_us_max: 2_000,
        }),
        ..RunOptions::default()
    };
    for backend in backends {
        let model = store.prepare(&on(backend, options)).unwrap();
        for round in 0..20 {
            let runs = (0..24).map(|at| model.run(row(round * 24 + at), None));
            let (began, found) = (Instant::now(), join_all(runs).await);
            assert!(began.elapsed().as_secs() < 10);
            for (at, found) in (0..).zip(found) {
                let expected = plain.run(row(round * 24 + at), None).await.unwrap();
                let found = found.unwrap();
                for ((_, found), (_, expected)) in found.iter().zip(&expected) {
                    assert_eq!(found.dimensions(), expected.dimensions());
                    let mut pairs = found.values().zip(expected.values());
                    assert!(pairs.all(|(a, b)| (a - b).abs() < 1e-4), "{backend:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_candidate_on_another_library_is_compared() {
    let (store, backends) = store();
    for backend in backends {
        let serving = on(BackendChoice::Tract, RunOptions::default());
        let candidate = on(backend, RunOptions::default());
        let models = [("serving", serving), ("next", candidate)];
        let prepared = models.map(|(model, source)| (name(model), store.prepare(&source).ok()));
        let next = store.next(&ModelSet::default(), prepared, &follows(1.0));
        let NextModels { set, exchanges, .. } = next.unwrap();
        drop(exchanges.make());
        let served = Arc::clone(set.get(&name("serving")).unwrap());
        for salt in 0..50 {
            served.run(row(salt), None).await.unwrap();
        }
        let told = until(&served, |it| it.compared_total + it.dropped_total >= 50).await;
        assert!(told.compared_total > 0, "{backend:?}: {told:?}");
        assert_eq!(
            (told.failures_total, told.beyond_total),
            (0, 0),
            "{backend:?}: {told:?}"
        );
        assert!(told.difference_max < 1e-3, "{backend:?}: {told:?}");
    }
}
