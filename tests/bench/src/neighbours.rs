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
/// The bad ones: what each does, its component, and where it publishes.
const BAD: [(&str, &str, &str); 3] = [
    ("loops", "bench_spin", "nowhere"),
    ("allocates", "bench_grow", "nowhere"),
    ("floods", "bench_flood", "flood/all"),
];

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let good = guests.read("bench_pass")?;
    let mut bad = Vec::new();
    for (does, guest, to) in BAD {
        bad.push((
            format!("beside one that {does}"),
            vec![(guests.read(guest)?, to)],
        ));
    }
    let all = bad.iter().flat_map(|(_, guests)| guests.clone()).collect();
    bad.push(("beside all three".to_owned(), all));

    let mut alone = Vec::new();
    let mut beside = vec![Vec::new(); bad.len()];
    // Taken in turns, so that all see the same machine.
    for _ in 0..ROUNDS {
        alone.push(round(&all_cores()?, &good, &[])?.p99);
        for ((_, bad), found) in bad.iter().zip(&mut beside) {
            found.push(round(&all_cores()?, &good, bad)?.p99);
        }
    }
    let alone = Figure::Nanos(median(alone));
    let rows = bad.into_iter().zip(beside).map(|((what, _), found)| {
        Row::new(
            format!("one plugin {what}: p99"),
            Figure::Nanos(median(found)),
        )
        .raw(alone)
        .bar(Bar::Times(2.0))
    });
    Ok(rows.collect())
}

/// How the good one fares. The limits are what a deployment gets unasked.
fn round(runtime: &Runtime, good: &[u8], bad: &[(Vec<u8>, &str)]) -> Outcome<Latency> {
    runtime.block_on(async {
        let directory = tempfile::tempdir()?;
        let world = World::new(directory.path(), 8)?;
        start(&world, "good", good).await?;
        for (index, (wasm, to)) in bad.iter().enumerate() {
            let name = format!("bad-{index}");
            let role = Role {
                name: &name,
                to: &[*to],
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
