//! Ten plugins on one model: what they get together, beside what one gets alone,
//! and whether each gets its share.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge::inference::{Model, ModelStore};
use selvedge::spec::{Batching, RunOptions, Target};
use tokio::task::JoinSet;

use super::libraries::{Way, cores};
use super::models::Case;
use super::plugin::{Plugin, world};
use super::single::source;
use crate::Outcome;
use crate::measure::all_cores;
use crate::report::{Bar, Figure, Row};
use crate::world::World;

pub(super) const PLUGINS: usize = 10;
const LASTS: Duration = Duration::from_millis(800);
/// Together they get at least this share of what one gets alone, and the one that
/// gets least this share of what the one that gets most does.
const TOGETHER_TIMES: f64 = 1.1;
const FAIR_TIMES: f64 = 1.5;

pub(super) fn measure(store: &ModelStore, ways: &[Way], wasm: &[u8]) -> Outcome<Vec<Row>> {
    let runtime = all_cores()?;
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        let one_thread = |way: &&Way| way.threads == NonZeroU32::MIN && way.target == Target::Cpu;
        for case in [Case::autoencoder()?, Case::panel()?] {
            for way in ways.iter().filter(one_thread) {
                for (name, options) in ways_to_share()? {
                    let mut source = source(*way, &case);
                    source.options = options;
                    let model = match store.prepare(&source) {
                        Ok(model) => model,
                        Err(error) => {
                            eprintln!("without {name}, {}: {error}", way.text());
                            continue;
                        }
                    };
                    let what = format!("ten on {}, {}, {name}", case.name, way.text());
                    rows.extend(shared(store, &model, &case, (what, wasm)).await?);
                }
            }
        }
        Ok(rows)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    rows
}

fn ways_to_share() -> Outcome<Vec<(&'static str, RunOptions)>> {
    let one = RunOptions {
        concurrency: Some(NonZeroU32::MIN),
        ..RunOptions::default()
    };
    let all = RunOptions {
        concurrency: Some(cores()),
        ..one
    };
    let batching = Some(Batching {
        rows_max: NonZeroU32::new(16).ok_or("zero")?,
        wait_us_max: 200,
    });
    Ok(vec![
        ("concurrency 1", one),
        ("concurrency all", all),
        ("concurrency 1, batched", RunOptions { batching, ..one }),
        ("concurrency all, batched", RunOptions { batching, ..all }),
    ])
}

/// A host with so many plugins.
pub(super) async fn plugins(
    directory: &Path,
    (store, model): (&ModelStore, &Arc<Model>),
    (case, wasm): (&Case, &[u8]),
) -> Outcome<(World, Vec<Plugin>)> {
    let world = world(directory, store, model)?;
    let mut plugins = Vec::new();
    for index in 0..PLUGINS {
        plugins.push(Plugin::start(&world, wasm, &format!("infer{index}"), case).await?);
    }
    Ok((world, plugins))
}

async fn shared(
    store: &ModelStore,
    model: &Arc<Model>,
    case: &Case,
    (what, wasm): (String, &[u8]),
) -> Outcome<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let (_world, mut plugins) = plugins(directory.path(), (store, model), (case, wasm)).await?;
    let one = plugins.pop().ok_or("no plugin")?;
    let (mut alone, mut ended) = at_once(vec![one], case.runs).await?;
    plugins.append(&mut ended);
    let (mut rates, _) = at_once(plugins, case.runs).await?;
    rates.sort_by(f64::total_cmp);
    let (least, most) = (rates.first(), rates.last());
    let (&least, &most) = (least.ok_or("no plugin")?, most.ok_or("no plugin")?);
    let alone = alone.pop().ok_or("no plugin")?;
    let rate = Figure::PerSecond;
    Ok(vec![
        Row::new(
            format!("{what}: runs (raw: one plugin)"),
            rate(rates.iter().sum()),
        )
        .raw(rate(alone))
        .bar(Bar::Times(TOGETHER_TIMES)),
        Row::new(format!("{what}: least (raw: most)"), rate(least))
            .raw(rate(most))
            .bar(Bar::Times(FAIR_TIMES)),
    ])
}

/// Runs a second of each.
#[expect(clippy::cast_precision_loss, reason = "some hundred thousands")]
async fn at_once(plugins: Vec<Plugin>, runs: usize) -> Outcome<(Vec<f64>, Vec<Plugin>)> {
    let mut tasks = JoinSet::new();
    for mut plugin in plugins {
        tasks.spawn(async move {
            plugin.run(runs).await?;
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < LASTS {
                plugin.run(runs).await?;
                count += runs;
            }
            Outcome::Ok((count as f64 / start.elapsed().as_secs_f64(), plugin))
        });
    }
    let mut ended = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (rate, plugin) = task??;
        ended.0.push(rate);
        ended.1.push(plugin);
    }
    Ok(ended)
}
