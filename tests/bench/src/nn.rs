//! A small model through `wasi:nn` against the same model called natively.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use selvedge::bus::Message;
use selvedge::demo::ASSETS;
use selvedge::inference::{InferenceLimits, ModelSource, ModelStore, Tensor, TensorKind};
use selvedge::spec::BackendChoice;
use serde_json::json;

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{each, one_core};
use crate::report::{Bar, Figure, Row};
use crate::world::{Role, World, topic};

const ROUNDS: usize = 7;
const RUNS: usize = 2_000;
/// A model of the demo and its input.
const MODEL: &str = "pump.onnx";
const INPUT: &str = "input";
const VALUES: u32 = 20;

pub(crate) fn measure(guests: &Guests) -> Outcome<Vec<Row>> {
    let wasm = guests.read("bench_infer")?;
    let bytes = ASSETS.iter().find(|(name, _)| *name == MODEL);
    let bytes = Bytes::from_static(bytes.ok_or("no such model")?.1);
    one_core()?.block_on(async {
        let directory = tempfile::tempdir()?;
        let mut world = World::new(directory.path(), 2)?;
        let source = ModelSource {
            backend: BackendChoice::Tract,
            ..ModelSource::onnx(bytes)
        };
        let store = ModelStore::new(InferenceLimits::default());
        let model = store.prepare(&source)?;
        let change = ("pump".parse()?, Some(Arc::clone(&model)));
        world.models = store.change(&world.models, [change])?;
        let role = Role {
            name: "infer",
            from: &["infer"],
            models: &["pump"],
            config: json!({"model": "pump", "input": INPUT, "size": VALUES.to_string()}),
            ..Role::default()
        };
        let prepared = world.prepare(&role, &wasm)?;
        let (_port, services) = world.join(&prepared)?;
        let mut instance = prepared.instantiate(services).await?;
        instance.init().await?;
        let batch = [Message::new(topic("infer")?, RUNS.to_string()).into()];
        let values = vec![0.5; VALUES as usize];
        let input = Tensor::of_values(vec![1, VALUES], TensorKind::Fp32, &values)?;

        let (mut ours, mut native) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for _ in 0..RUNS {
                model
                    .run(vec![(INPUT.to_owned(), input.clone())], None)
                    .await?;
            }
            native = native.min(start.elapsed());
            let start = Instant::now();
            let done = instance.handle(&batch).await?;
            ours = ours.min(start.elapsed());
            if done != [selvedge::capabilities::port::Disposition::Done] {
                return Err(format!("the model did not run: {done:?}").into());
            }
        }
        let row = Row::new(
            "a small model through wasi:nn",
            Figure::Nanos(each(ours, RUNS)),
        )
        .raw(Figure::Nanos(each(native, RUNS)))
        .bar(Bar::Over(Figure::Nanos(10e3)));
        Ok(vec![row])
    })
}
