//! Another version again and again behind a name, while ten plugins run it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use selvedge::inference::{Model, ModelStore};
use selvedge::spec::Models;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::contention::{PLUGINS, plugins};
use super::libraries::Way;
use super::models::{Case, autoencoder_of};
use super::plugin::{MODEL, Plugin};
use super::single::source;
use crate::Outcome;
use crate::measure::all_cores;
use crate::pace::Latency;
use crate::report::{Bar, Figure, Row};

const EXCHANGES: u64 = 20;
const BETWEEN: Duration = Duration::from_millis(50);
/// From one run of a plugin to its next.
const PACE: Duration = Duration::from_millis(2);
/// The p99 beside that without exchanges.
const P99_TIMES: f64 = 2.0;

pub(super) fn measure(store: Arc<ModelStore>, ways: &[Way], wasm: &[u8]) -> Outcome<Vec<Row>> {
    let runtime = all_cores()?;
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        for way in ways.iter().filter(|way| way.threads.get() == 1) {
            rows.extend(under_load(&store, *way, wasm).await?);
        }
        Ok(rows)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    rows
}

async fn under_load(store: &Arc<ModelStore>, way: Way, wasm: &[u8]) -> Outcome<Vec<Row>> {
    let case = Case::autoencoder()?;
    let model = store.prepare(&source(way, &case))?;
    let directory = tempfile::tempdir()?;
    let (world, plugins) = plugins(directory.path(), (store, &model), (&case, wasm)).await?;
    drop(model);

    let quiet = loaded(plugins, async || {
        sleep(BETWEEN * u32::try_from(EXCHANGES)?).await;
        Ok(())
    });
    let (quiet, _, plugins) = quiet.await?;
    let exchanging = loaded(plugins, async || {
        for round in 1..=EXCHANGES {
            let next = prepare(store, way, round % 2 + 1).await?;
            let change = (MODEL.parse()?, Some(next));
            let next = store.next(&world.models, [change], &Models::default())?;
            if next.exchanges.names().count() != 1 {
                return Err("nothing was exchanged".into());
            }
            // The one before it goes once its last run has ended.
            drop(next.exchanges.make());
            sleep(BETWEEN).await;
        }
        Ok(())
    });
    let (busy, failed, _) = exchanging.await?;
    let what = format!(
        "{EXCHANGES} exchanges under {PLUGINS} plugins, {}",
        way.text()
    );
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let failed = failed as f64;
    Ok(vec![
        Row::new(format!("{what}: failed runs"), Figure::Count(failed))
            .bar(Bar::Figure(Figure::Count(0.0))),
        Row::new(
            format!("{what}: p50 (raw: without)"),
            Figure::Nanos(busy.p50),
        )
        .raw(Figure::Nanos(quiet.p50)),
        Row::new(
            format!("{what}: p99 (raw: without)"),
            Figure::Nanos(busy.p99),
        )
        .raw(Figure::Nanos(quiet.p99))
        .bar(Bar::Times(P99_TIMES)),
    ])
}

/// The version with the weights of `seed`.
async fn prepare(store: &Arc<ModelStore>, way: Way, seed: u64) -> Outcome<Arc<Model>> {
    let case = Case {
        bytes: autoencoder_of(seed),
        ..Case::autoencoder()?
    };
    let (store, source) = (Arc::clone(store), source(way, &case));
    Ok(spawn_blocking(move || store.prepare(&source)).await??)
}

/// How long runs take while something is done, and how many failed.
async fn loaded(
    plugins: Vec<Plugin>,
    meanwhile: impl AsyncFnOnce() -> Outcome<()>,
) -> Outcome<(Latency, u64, Vec<Plugin>)> {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for mut plugin in plugins {
        let over = Arc::clone(&over);
        tasks.spawn(async move {
            let (mut taken, mut failed) = (Histogram::<u64>::new(3)?, 0_u64);
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let start = Instant::now();
                match plugin.run(1).await {
                    Ok(_) => taken.record(u64::try_from(start.elapsed().as_nanos())?)?,
                    Err(error) => {
                        eprintln!("a run failed: {error}");
                        failed += 1;
                    }
                }
            }
            Outcome::Ok((taken, failed, plugin))
        });
    }
    let done = meanwhile().await;
    over.store(true, Ordering::Relaxed);
    let (mut all, mut failures, mut plugins) = (Histogram::<u64>::new(3)?, 0, Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (taken, failed, plugin) = task??;
        all.add(&taken)?;
        failures += failed;
        plugins.push(plugin);
    }
    done?;
    Ok((Latency::of(&all), failures, plugins))
}
