//! The broker beside mosquitto, both as processes of their own, under the same
//! load: each line is ours, `raw` is mosquitto's.
//!
//! All that is measured crosses the loopback interface; the load and the brokers
//! share the machine's cores. Messages are of 1 KiB, but those of the uplink.

mod brokers;
mod load;
mod outward;
mod through;
mod wire;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::all_cores;
use crate::report::{Bar, Figure, Row};

use brokers::{Broker, Dial, Kind};
use load::{Carried, Load, carry};

/// Connections that do nothing, each with one subscription.
const IDLE: usize = 1_000;
/// Connections made over TLS, one after the other in some lines at once.
const CONNECTS: usize = 400;
const CONNECTS_AT_ONCE: usize = 8;

struct Case {
    what: &'static str,
    load: Load,
    /// Whether it is about how long messages take, and not how many there are.
    paced: bool,
}

const CASES: &[Case] = &[
    Case {
        what: "fan-in 10 to 1, QoS 0",
        load: Load {
            publishers: 10,
            subscribers: 1,
            qos: 0,
            messages: 200_000,
            pace: None,
            taken_at: load::TOPIC,
        },
        paced: false,
    },
    Case {
        what: "fan-in 10 to 1, QoS 1",
        load: Load {
            publishers: 10,
            subscribers: 1,
            qos: 1,
            messages: 100_000,
            pace: None,
            taken_at: load::TOPIC,
        },
        paced: false,
    },
    Case {
        what: "fan-out 1 to 100, QoS 1, deliveries",
        load: Load {
            publishers: 1,
            subscribers: 100,
            qos: 1,
            messages: 2_000,
            pace: None,
            taken_at: load::TOPIC,
        },
        paced: false,
    },
    Case {
        what: "2,000 msg/s, QoS 1",
        load: Load {
            publishers: 10,
            subscribers: 1,
            qos: 1,
            messages: 8_000,
            pace: Some(2_000),
            taken_at: load::TOPIC,
        },
        paced: true,
    },
];

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    all_cores()?.block_on(async {
        let mut rows = Vec::new();
        for tls in [false, true] {
            for case in CASES {
                rows.extend(beside(case, tls).await?);
            }
            rows.push(idle(tls).await?);
        }
        rows.push(connects().await?);
        rows.extend(through::measure(guests).await?);
        rows.extend(outward::measure().await?);
        Ok(rows)
    })
}

/// A broker of its own for each figure: none starts with what another left.
fn dial(broker: &Broker, tls: bool) -> Dial {
    if tls { broker.tls() } else { broker.plain() }
}

async fn beside(case: &Case, tls: bool) -> Outcome<Vec<Row>> {
    let way = if tls { "TLS" } else { "plain" };
    let theirs = carried(Kind::Mosquitto, case, tls).await?;
    let ours = carried(Kind::Host, case, tls).await?;
    let what = format!("{way}: {}", case.what);
    if ours.lost + theirs.lost > 0 {
        eprintln!("{what}: lost {} (mosquitto {})", ours.lost, theirs.lost);
    }
    if case.paced {
        let row = |name: &str, ours: f64, theirs: f64| {
            let row = Row::new(format!("{what}, {name}"), Figure::Nanos(ours));
            row.raw(Figure::Nanos(theirs))
        };
        let (own, other) = (ours.latency, theirs.latency);
        return Ok(vec![
            row("p50", own.p50, other.p50),
            row("p99", own.p99, other.p99),
        ]);
    }
    let row = Row::new(what, Figure::PerSecond(ours.rate));
    Ok(vec![
        row.raw(Figure::PerSecond(theirs.rate)).bar(Bar::Times(1.0)),
    ])
}

/// The best of three: the load and the broker are in each other's way.
async fn carried(kind: Kind, case: &Case, tls: bool) -> Outcome<Carried> {
    const ROUNDS: u32 = 3;
    let mut best: Option<Carried> = None;
    for _ in 0..ROUNDS {
        let broker = Broker::start(kind)?;
        let carried = carry(&dial(&broker, tls), case.load).await?;
        let better = |best: &Carried| {
            (carried.lost, carried.latency.p99) < (best.lost, best.latency.p99)
                || (!case.paced && carried.lost <= best.lost && carried.rate > best.rate)
        };
        if best.as_ref().is_none_or(better) {
            best = Some(carried);
        }
    }
    best.ok_or_else(|| "no round".into())
}

/// What a connection holds that does nothing.
async fn idle(tls: bool) -> Outcome<Row> {
    let ours = held(Kind::Host, tls).await?;
    let theirs = held(Kind::Mosquitto, tls).await?;
    let way = if tls { "TLS" } else { "plain" };
    let row = Row::new(
        format!("{way}: idle connection of {IDLE}"),
        Figure::Bytes(ours),
    );
    Ok(row.raw(Figure::Bytes(theirs)).bar(Bar::Times(2.0)))
}

#[expect(clippy::cast_precision_loss, reason = "a thousand")]
async fn held(kind: Kind, tls: bool) -> Outcome<f64> {
    let broker = Broker::start(kind)?;
    let dial = dial(&broker, tls);
    let mut streams = Vec::new();
    let mut before = 0.0;
    // What the first ones bring about is not theirs.
    for number in 0..IDLE + WARM_UP {
        if number == WARM_UP {
            tokio::time::sleep(SETTLED).await;
            before = broker.resident()?;
        }
        let mut stream = dial.stream().await?;
        let id = format!("bench-i{number}");
        let filter = format!("bench/idle/{number}");
        wire::begin(&mut stream, &id, Some((&filter, 1))).await?;
        streams.push(stream);
    }
    tokio::time::sleep(SETTLED).await;
    Ok((broker.resident()? - before) / IDLE as f64)
}

const WARM_UP: usize = 50;
const SETTLED: Duration = Duration::from_millis(1_500);

async fn connects() -> Outcome<Row> {
    let (ours, theirs) = (
        connecting(Kind::Host).await?,
        connecting(Kind::Mosquitto).await?,
    );
    let row = Row::new("TLS: connects", Figure::PerSecond(ours));
    Ok(row.raw(Figure::PerSecond(theirs)))
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
async fn connecting(kind: Kind) -> Outcome<f64> {
    let broker = Broker::start(kind)?;
    let mut lines = JoinSet::new();
    let begun = Instant::now();
    for line in 0..CONNECTS_AT_ONCE {
        let dial = broker.tls();
        lines.spawn(async move {
            for number in 0..CONNECTS / CONNECTS_AT_ONCE {
                let mut stream = dial.stream().await?;
                wire::begin(&mut stream, &format!("bench-{line}-{number}"), None).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(line) = lines.join_next().await {
        line??;
    }
    Ok(CONNECTS as f64 / begun.elapsed().as_secs_f64())
}
