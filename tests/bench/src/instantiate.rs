//! From a component in the cache to an instance at work.

use std::time::{Duration, Instant};

use selvedge::spec::Limits;
use serde_json::json;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{best_of_all, each, one_core};
use crate::raw::Raw;
use crate::report::{Bar, Figure, Row};
use crate::world::{Role, World};

const ROUNDS: u32 = 5;
const INSTANCES: usize = 1_000;
const LOADS: usize = 20;

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_pass")?;
    one_core()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let world = World::new(directory.path(), 4)?;
        let role = Role {
            name: "pass",
            from: &["a"],
            to: &["line/to"],
            config: json!({"to": "line/to"}),
            ..Role::default()
        };
        let prepared = world.prepare(&role, &wasm)?;
        let (_port, services) = world.join(&prepared)?;
        let raw = Raw::new(&wasm, 4)?;
        let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for _ in 0..INSTANCES {
                drop(prepared.instantiate(services.clone()).await?);
            }
            ours = ours.min(start.elapsed());
            let start = Instant::now();
            for _ in 0..INSTANCES {
                drop(raw.instantiate().await?);
            }
            theirs = theirs.min(start.elapsed());
        }
        let artifact = world.verify(&role, &wasm)?;
        // Or its code would be in memory already.
        drop(prepared);
        let hit = best_of_all(ROUNDS, LOADS, || {
            for _ in 0..LOADS {
                drop(world.compile(&role, &artifact, Limits::default())?);
            }
            Ok(())
        })?;
        let mut whole = Duration::MAX;
        for _ in 0..LOADS {
            let start = Instant::now();
            let prepared = world.compile(&role, &artifact, Limits::default())?;
            let mut instance = prepared.instantiate(services.clone()).await?;
            instance.init().await?;
            whole = whole.min(start.elapsed());
        }
        Ok(vec![
            Row::new("instantiate", Figure::Nanos(each(ours, INSTANCES)))
                .raw(Figure::Nanos(each(theirs, INSTANCES)))
                .bar(Bar::Times(1.5)),
            Row::new("prepared from the cache of native code", Figure::Nanos(hit)),
            Row::new(
                "from cache to initialised, all of it",
                Figure::Nanos(each(whole, 1)),
            )
            .bar(Bar::Figure(Figure::Nanos(1e6))),
        ])
    })
}
