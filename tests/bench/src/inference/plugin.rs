//! A plugin that runs a model, and the host around it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge::bus::Message;
use selvedge::capabilities::port::Disposition;
use selvedge::inference::{Model, ModelStore};
use selvedge::runtime::{Instance, LocalPort};
use serde_json::json;

use super::models::Case;
use crate::Outcome;
use crate::world::{Role, World, topic};

/// The name under which plugins have the model.
pub(super) const MODEL: &str = "model";

/// A host with one model.
pub(super) fn world(directory: &Path, store: &ModelStore, model: &Arc<Model>) -> Outcome<World> {
    let mut world = World::new(directory, 16)?;
    let change = (MODEL.parse()?, Some(Arc::clone(model)));
    world.models = store.change(&world.models, [change])?;
    Ok(world)
}

/// One of its plugins.
pub(super) struct Plugin {
    instance: Instance,
    _port: Arc<LocalPort>,
}

impl Plugin {
    pub(super) async fn start(
        world: &World,
        wasm: &[u8],
        name: &str,
        case: &Case,
    ) -> Outcome<Self> {
        let role = Role {
            name,
            from: &["infer"],
            models: &[MODEL],
            config: json!({"model": MODEL, "input": case.input, "shape": case.dimensions()}),
            ..Role::default()
        };
        let prepared = world.prepare(&role, wasm)?;
        let (port, services) = world.join(&prepared)?;
        let mut instance = prepared.instantiate(services).await?;
        instance.init().await?;
        Ok(Self {
            instance,
            _port: port,
        })
    }

    /// So many runs, from within the guest.
    pub(super) async fn run(&mut self, count: usize) -> Outcome<Duration> {
        let batch = [Message::new(topic("infer")?, count.to_string()).into()];
        let start = Instant::now();
        let done = self.instance.handle(&batch).await?;
        let took = start.elapsed();
        if done != [Disposition::Done] {
            return Err(format!("the model did not run: {done:?}").into());
        }
        Ok(took)
    }
}
