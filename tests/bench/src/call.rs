//! A batch through one plugin (taken from its inbox, handled, published again,
//! settled) against a raw wasmtime call of the same component.

use std::time::{Duration, Instant};

use selvedge::bus::{Inbox, Message, Party};
use selvedge::capabilities::port::Port as _;
use selvedge::runtime::{Instance, LocalPort};
use serde_json::json;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{best, one_core, rate};
use crate::raw::{self, Raw};
use crate::report::{Bar, Figure, Row};
use crate::world::{PAYLOAD_BYTES, Role, World, subscribe, topic};

const ROUNDS: u32 = 5;
/// Messages in a round.
const MESSAGES: usize = 100_000;
/// How many wait when there is load: what the bar is about.
const UNDER_LOAD: usize = 16;

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_pass")?;
    one_core()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let mut ours = Ours::new(directory.path(), &wasm).await?;
        let mut raw = Raw::new(&wasm, 2)?.instantiate().await?;
        raw.init().await?;
        let handle = raw.handle()?;
        let mut rows = Vec::new();
        for size in [1, 16, 64, 256] {
            let batch = raw::batch(size);
            let (mut best_ours, mut best_raw) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..ROUNDS {
                let mut took = Duration::ZERO;
                for _ in 0..MESSAGES / size {
                    took += ours.batch(size).await?;
                }
                best_ours = best_ours.min(best(1, MESSAGES / size * size, || Ok(took))?);
                let mut took = Duration::ZERO;
                for _ in 0..MESSAGES / size {
                    let start = Instant::now();
                    raw.call(&handle, &batch).await?;
                    took += start.elapsed();
                }
                best_raw = best_raw.min(best(1, MESSAGES / size * size, || Ok(took))?);
            }
            let what = format!("one plugin, batches of {size}, one core: messages");
            let row = Row::new(what, rate(best_ours)).raw(rate(best_raw));
            rows.push(if size >= UNDER_LOAD {
                row.bar(Bar::Times(2.0))
                    .bar(Bar::Figure(Figure::PerSecond(1e6)))
            } else {
                row
            });
        }
        Ok(rows)
    })
}

/// A plugin between a publisher and a subscriber.
struct Ours {
    feeder: Party,
    sink: Inbox,
    port: std::sync::Arc<LocalPort>,
    instance: Instance,
    message: Message,
    _world: World,
}

impl Ours {
    async fn new(directory: &std::path::Path, wasm: &[u8]) -> Outcome<Self> {
        let world = World::new(directory, 2)?;
        let role = Role {
            name: "pass",
            from: &["telemetry/#"],
            to: &["line/to"],
            config: json!({"to": "line/to"}),
            ..Role::default()
        };
        let prepared = world.prepare(&role, wasm)?;
        let (port, services) = world.join(&prepared)?;
        let mut instance = prepared.instantiate(services).await?;
        instance.init().await?;
        let feeder = world.party("feeder")?;
        Ok(Self {
            sink: subscribe(&feeder, "line/to")?,
            feeder,
            port,
            instance,
            message: Message::new(
                topic("telemetry/plant/device-00001")?,
                vec![7; PAYLOAD_BYTES],
            ),
            _world: world,
        })
    }

    /// Time from taking a batch to having settled it. The feeding and the
    /// subscriber's taking are not the plugin's.
    async fn batch(&mut self, size: usize) -> Outcome<Duration> {
        for _ in 0..size {
            self.feeder.publish(self.message.clone())?;
        }
        let start = Instant::now();
        let batch = self.port.receive(size).map_err(|_| "stopping")?;
        let dispositions = self.instance.handle(&batch).await?;
        self.port.settle(dispositions);
        drop(batch);
        let took = start.elapsed();
        let mut out = Vec::with_capacity(size);
        if self.sink.try_receive(size, &mut out) != size {
            return Err("a message is missing".into());
        }
        Ok(took)
    }
}
