//! A good plugin beside one that loops, one that allocates and one that floods.

use selvedge::spec::Limits;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{all_cores, median};
use crate::pace::{Latency, paced};
use crate::report::{Bar, Figure, Row};
use crate::world::{Role, World, running, subscribe, topic};

const ROUNDS: usize = 3;
/// Messages of one round, at 1,000 a second.
const PACED: usize = 2_200;
const BAD: [(&str, &[&str]); 3] = [
    ("bench_spin", &["spin"]),
    ("bench_grow", &["grow"]),
    ("bench_flood", &["flood", "flood/all"]),
];

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_pass")?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // Taken in turns, so that both see the same machine.
    for _ in 0..ROUNDS {
        alone.push(round(&all_cores()?, &wasm, &[])?);
        let bad: Result<Vec<_>, _> = BAD.iter().map(|(name, _)| guests.read(name)).collect();
        beside.push(round(&all_cores()?, &wasm, &bad?)?);
    }
    let nanos = |found: &[Latency], of: fn(&Latency) -> f64| {
        Figure::Nanos(median(found.iter().map(of).collect()))
    };
    Ok(vec![
        Row::new(
            "one plugin beside three bad ones: p50",
            nanos(&beside, |latency| latency.p50),
        )
        .raw(nanos(&alone, |latency| latency.p50)),
        Row::new(
            "one plugin beside three bad ones: p99",
            nanos(&beside, |latency| latency.p99),
        )
        .raw(nanos(&alone, |latency| latency.p99))
        .bar(Bar::Times(2.0)),
    ])
}

/// How the good one fares. The limits are what a deployment gets unasked.
fn round(runtime: &Runtime, good: &[u8], bad: &[Vec<u8>]) -> Outcome<Latency> {
    runtime.block_on(async {
        let directory = tempfile::tempdir()?;
        let world = World::new(directory.path(), 8)?;
        start(&world, "good", good).await?;
        for (wasm, (_, words)) in bad.iter().zip(BAD) {
            let (name, to) = words.split_first().ok_or("no name")?;
            let role = Role {
                name,
                to: if to.is_empty() { &["none"] } else { to },
                ..Role::default()
            };
            let prepared = world.prepare_within(&role, wasm, Limits::default())?;
            running(world.start(prepared)?).await?;
        }
        let party = world.party("bench")?;
        let inbox = subscribe(&party, "good/out")?;
        let taken = paced(&world.supervisor, party, topic("good/in")?, inbox, PACED);
        let latency = taken.await?;
        world.supervisor.shut_down().await;
        Ok(latency)
    })
}

async fn start(world: &World, name: &str, wasm: &[u8]) -> Outcome<()> {
    let role = Role {
        name,
        from: &["good/in"],
        to: &["good/out"],
        config: json!({"to": "good/out"}),
        ..Role::default()
    };
    let prepared = world.prepare_within(&role, wasm, Limits::default())?;
    running(world.start(prepared)?).await
}
