//! Deployments under load: a stateful plugin is replaced again and again while
//! messages pass, and every message is looked for at the other end.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use selvedge::app::{App, Mode};
use selvedge::bus::{Grant, Inbox, InboxLimits, Message, Party};
use selvedge::config::HostConfig;
use selvedge::deployment::report::{DeploymentReport, Phase};
use selvedge::deployment::submission::Submission;
use selvedge::spec::Overflow;
use selvedge::supervisor::Unit;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{all_cores, each, median, rate};
use crate::pace::{Latency, once};
use crate::report::{Bar, Figure, Row};

/// As in the bar: messages a second, swaps, bytes of state.
const RATE_PER_S: u64 = 50_000;
const SWAPS: usize = 200;
const STATE_BYTES: usize = 1 << 20;

/// Messages published in one go, each millisecond.
const BURST: u64 = RATE_PER_S / 1_000;
const PAYLOAD_BYTES: usize = 256;

/// From one swap to the next; and until all that was published has arrived.
const BETWEEN: Duration = Duration::from_millis(20);
const SETTLED: Duration = Duration::from_millis(500);

/// Plugins of the deployment of which one changes.
const MANY: usize = 100;
const ROUNDS: usize = 20;

/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let runtime = all_cores()?;
    let rows = runtime.block_on(async {
        let mut rows = under_load(guests).await?;
        rows.extend(one_of_many(guests).await?);
        Ok(rows)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    rows
}

/// A host with the components beside its documents.
struct Host {
    app: App,
    folder: tempfile::TempDir,
}

impl Host {
    async fn start(guests: &Guests, components: &[&str]) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        for name in components {
            let file = folder.path().join(name).with_extension("wasm");
            fs_err::copy(guests.path(name), file)?;
        }
        let mut config = HostConfig {
            data_directory: folder.path().join("data"),
            ..HostConfig::default()
        };
        config.ceilings.plugins_max = NonZeroU32::new(128).ok_or("zero")?;
        let app = App::build(&config, Mode::Development)?;
        app.resume().await?;
        Ok(Self { app, folder })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("bench.toml")
    }

    /// Deploys `text` and waits until that is over.
    async fn deploy(&self, text: &str) -> Outcome<DeploymentReport> {
        let deployments = self.app.deployments();
        fs_err::write(self.file(), text)?;
        let submission = Submission::of_file(&self.file(), &[], deployments.files())?;
        let submitted = deployments.submit(submission).await;
        let id = submitted.map_err(|error| format!("{error}: {error:?}"))?;
        let report = timeout(PATIENCE, deployments.ended(id)).await?;
        let report = report.ok_or("the deployment is forgotten")?;
        match report.phase {
            Phase::Committed => Ok(report),
            phase => Err(format!("{phase:?}: {:?}", report.faults).into()),
        }
    }
}

/// What was seen at the other end.
#[derive(Debug, Default)]
struct Seen {
    received: AtomicU64,
    lost: AtomicU64,
    strayed: AtomicU64,
    forgotten: AtomicU64,
}

/// Messages that are published at a pace and looked at where they arrive.
#[derive(Debug, Clone, Default)]
struct Load {
    published: Arc<AtomicU64>,
    seen: Arc<Seen>,
    over: CancellationToken,
}

impl Load {
    fn start(&self, host: &Host) -> Outcome<()> {
        let grant = Grant {
            publish: vec!["bench/in".parse()?],
            subscribe: vec!["bench/out".parse()?],
        };
        let limits = InboxLimits {
            messages_max: 65_536,
            bytes_max: 256 << 20,
            overflow: Overflow::Block,
            answers: false,
        };
        let party = host.app.bus().attach("bench".parse()?, grant)?;
        let inbox = party.subscribe(&["bench/out".parse()?], limits)?;
        host.app.supervisor().start(self.sink(inbox));
        host.app.supervisor().start(self.source(party));
        Ok(())
    }

    fn sink(&self, inbox: Inbox) -> Unit {
        let seen = Arc::clone(&self.seen);
        once("bench-sink", inbox, move |context, mut inbox| {
            let seen = Arc::clone(&seen);
            async move {
                let mut batch = Vec::new();
                loop {
                    tokio::select! {
                        () = context.stop.cancelled() => return Ok(()),
                        _ = inbox.receive(256, &mut batch) => {}
                    }
                    batch.drain(..).for_each(|message| seen.look_at(&message));
                }
            }
        })
    }

    fn source(&self, party: Party) -> Unit {
        let load = self.clone();
        once("bench-source", party, move |_, party| {
            let load = load.clone();
            async move {
                let mut ticks = interval(Duration::from_millis(1));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !load.over.is_cancelled() {
                    ticks.tick().await;
                    for _ in 0..BURST {
                        load.publish(&party).await?;
                    }
                }
                Ok(())
            }
        })
    }

    async fn publish(&self, party: &Party) -> Outcome<()> {
        let number = self.published.load(Ordering::Relaxed) + 1;
        let mut payload = vec![0; PAYLOAD_BYTES];
        let stamp = payload.first_chunk_mut().ok_or("too short")?;
        *stamp = number.to_le_bytes();
        let message = Message::new("bench/in".parse()?, payload);
        party.publish_waiting(message).await?;
        self.published.store(number, Ordering::Relaxed);
        Ok(())
    }

    /// What went wrong, counted.
    fn faults(&self) -> [(&'static str, u64); 3] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let missing = count(&self.published).saturating_sub(count(&self.seen.received));
        [
            ("lost", missing + count(&self.seen.lost)),
            ("doubled or reordered", count(&self.seen.strayed)),
            ("without the state before", count(&self.seen.forgotten)),
        ]
    }
}

async fn under_load(guests: &Guests) -> Outcome<Vec<Row>> {
    let host = Host::start(guests, &["bench_state"]).await?;
    host.deploy(&stateful(0)).await?;
    let load = Load::default();
    load.start(&host)?;
    let began = Instant::now();
    let mut pauses = Histogram::<u64>::new(3)?;
    let mut commits = Vec::new();
    for round in 1..=SWAPS {
        let started = Instant::now();
        let report = host.deploy(&stateful(round)).await?;
        commits.push(nanos(started.elapsed()));
        let swap = report.swaps.first().ok_or("nothing was swapped")?;
        if swap
            .state_bytes
            .is_none_or(|bytes| bytes < STATE_BYTES as u64)
        {
            return Err(format!("no state was handed over: {swap:?}").into());
        }
        pauses.record(swap.pause_us.max(1) * 1_000)?;
        sleep(BETWEEN).await;
    }
    let received = load.seen.received.load(Ordering::Relaxed);
    let took = began.elapsed();
    load.over.cancel();
    sleep(SETTLED).await;
    host.app.shut_down().await;
    let mut rows: Vec<_> = load
        .faults()
        .into_iter()
        .map(|(what, value)| {
            let what = format!("{SWAPS} swaps at 50 k/s with 1 MiB of state: messages {what}");
            Row::new(what, count(value)).bar(Bar::Figure(Figure::Count(0.0)))
        })
        .collect();
    let pause = Latency::of(&pauses);
    let (p50, p99) = (Figure::Nanos(pause.p50), Figure::Nanos(pause.p99));
    rows.extend([
        Row::new("messages meanwhile", rate(each(took, received.try_into()?))),
        Row::new("pause of a swap, p50", p50),
        Row::new("pause of a swap, p99", p99).bar(Bar::Figure(Figure::Nanos(5e6))),
        Row::new(
            "deploy to committed, cached plugin",
            Figure::Nanos(median(commits)),
        ),
    ]);
    Ok(rows)
}

impl Seen {
    /// Messages carry their number; the plugin appends how many it has counted.
    fn look_at(&self, message: &Message) {
        let expected = self.received.load(Ordering::Relaxed) + 1;
        let number = message
            .payload
            .first_chunk()
            .map(|n| u64::from_le_bytes(*n));
        let counted = message.payload.last_chunk().map(|n| u64::from_le_bytes(*n));
        match number {
            Some(number) if number == expected => {}
            Some(number) if number > expected => {
                self.lost.fetch_add(number - expected, Ordering::Relaxed);
            }
            _ => {
                self.strayed.fetch_add(1, Ordering::Relaxed);
            }
        }
        if counted != number {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        self.received
            .fetch_max(number.unwrap_or(expected), Ordering::Relaxed);
    }
}

/// What it costs that one of a hundred plugins changes, beside one of one.
async fn one_of_many(guests: &Guests) -> Outcome<Vec<Row>> {
    let mut medians = Vec::new();
    for plugins in [1, MANY] {
        let host = Host::start(guests, &["bench_pass"]).await?;
        host.deploy(&many(plugins, 0)).await?;
        let mut taken = Vec::new();
        for round in 1..=ROUNDS {
            let started = Instant::now();
            host.deploy(&many(plugins, round)).await?;
            taken.push(nanos(started.elapsed()));
        }
        host.app.shut_down().await;
        medians.push(median(taken));
    }
    let &[one, many] = medians.as_slice() else {
        return Err("two were measured".into());
    };
    let row = Row::new(
        "deployment of 100 plugins, one changed (raw: of one)",
        Figure::Nanos(many),
    );
    Ok(vec![row.raw(Figure::Nanos(one))])
}

/// A deployment of one stateful plugin; `round` makes each one differ.
fn stateful(round: usize) -> String {
    format!(
        "name = 'swap'\nversion = '1.0.{round}'\nprobation.seconds = 0\n\
         [plugins.state]\ncomponent = 'bench_state.wasm'\n\
         config = {{ to = 'bench/out', ballast_bytes = '{STATE_BYTES}', round = {round} }}\n\
         grants = {{ subscribe = ['bench/in'], publish = ['bench/out'] }}\n\
         limits = {{ publish_per_s_max = 1000000, inbox_messages_max = 16384, inbox_bytes_max = 67108864 }}\n"
    )
}

/// A deployment of so many plugins, of which the first has `round` in its
/// configuration.
fn many(plugins: usize, round: usize) -> String {
    let mut text = format!("name = 'many'\nversion = '1.0.{round}'\nprobation.seconds = 0\n");
    for index in 0..plugins {
        let round = if index == 0 { round } else { 0 };
        text += &format!(
            "[plugins.p{index}]\ncomponent = 'bench_pass.wasm'\n\
             config = {{ to = 'out/{index}', round = {round} }}\n\
             grants = {{ subscribe = ['in/{index}'], publish = ['out/{index}'] }}\n\
             limits.memory_bytes_max = 2097152\n"
        );
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(value: u64) -> Figure {
    Figure::Count(value as f64)
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ns")]
fn nanos(took: Duration) -> f64 {
    took.as_nanos() as f64
}
