//! The raw thing: wasmtime with the host's settings, and nothing of the host.
//!
//! The same component, called with the same data; what it publishes is taken
//! and dropped; anything else it imports traps.

use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker, Lower, TypedFunc};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
};

use crate::Outcome;
use crate::world::PAYLOAD_BYTES;

/// What `wasi:config` says.
const CONFIG: &str = r#"{"to":"line/to"}"#;

/// `selvedge:bus/types.message`, as `bindgen!` would write it.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Message {
    topic: String,
    payload: Vec<u8>,
    #[component(name = "content-type")]
    content_type: Option<String>,
    #[component(name = "published-at")]
    published_at: u64,
    retain: bool,
    #[component(name = "reply-to")]
    reply_to: Option<String>,
    correlation: Option<Vec<u8>>,
    properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "only made by lifting")]
enum Delivery {
    #[component(name = "at-most-once")]
    AtMostOnce,
    #[component(name = "at-least-once")]
    AtLeastOnce,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "nothing is refused here")]
enum Refusal {
    #[component(name = "invalid-topic")]
    InvalidTopic,
    #[component(name = "not-granted")]
    NotGranted,
    #[component(name = "too-large")]
    TooLarge(u32),
    #[component(name = "malformed")]
    Malformed,
    #[component(name = "busy")]
    Busy(u32),
    #[component(name = "too-many-hops")]
    TooManyHops,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
struct PublishError {
    index: u32,
    reason: Refusal,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "looked at only to say that there was one")]
pub(crate) enum Disposition {
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "reject")]
    Reject(String),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "looked at only to say that there was one")]
pub(crate) struct Failure {
    index: u32,
    disposition: Disposition,
}

#[derive(Debug, Clone, ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "the configuration is always there")]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

pub(crate) type Handle<'a> = TypedFunc<(&'a [Message],), (Result<(), Vec<Failure>>,)>;
type Init = TypedFunc<(), (Result<(), String>,)>;

/// A compiled component, linked to next to nothing.
pub(crate) struct Raw {
    engine: Engine,
    pre: InstancePre<()>,
}

/// One instance.
pub(crate) struct RawInstance {
    store: Store<()>,
    instance: wasmtime::component::Instance,
}

impl Raw {
    pub(crate) fn new(wasm: &[u8], instances_max: u32) -> Outcome<Self> {
        let engine = Engine::new(&config(instances_max))?;
        let component = Component::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        let mut publisher = linker.instance("selvedge:bus/publisher@0.1.0")?;
        publisher.func_wrap(
            "publish",
            |_, (messages, _): (Vec<Message>, Delivery)| -> wasmtime::Result<_> {
                drop(messages);
                Ok((Ok::<(), PublishError>(()),))
            },
        )?;
        let mut store = linker.instance("wasi:config/store@0.2.0-rc.1")?;
        store.func_wrap("get", |_, (_,): (String,)| -> wasmtime::Result<_> {
            Ok((Ok::<_, ConfigError>(Some(CONFIG.to_owned())),))
        })?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        Ok(Self { engine, pre })
    }

    pub(crate) async fn instantiate(&self) -> Outcome<RawInstance> {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate_async(&mut store).await?;
        Ok(RawInstance { store, instance })
    }
}

impl RawInstance {
    pub(crate) async fn init(&mut self) -> Outcome<()> {
        let init: Init = self.function("selvedge:plugin/lifecycle@0.1.0", "init")?;
        let (outcome,) = init.call_async(&mut self.store, ()).await?;
        Ok(outcome?)
    }

    /// Looks `handle` up; to be done once.
    pub(crate) fn handle<'a>(&mut self) -> Outcome<Handle<'a>> {
        self.function("selvedge:bus/subscriber@0.1.0", "handle")
    }

    pub(crate) async fn call<'a>(
        &mut self,
        handle: &Handle<'a>,
        batch: &'a [Message],
    ) -> Outcome<()> {
        let (outcome,) = handle.call_async(&mut self.store, (batch,)).await?;
        outcome.map_err(|failures| format!("not handled: {failures:?}").into())
    }

    fn function<P, R>(&mut self, interface: &str, name: &str) -> Outcome<TypedFunc<P, R>>
    where
        P: wasmtime::component::ComponentNamedList + Lower,
        R: wasmtime::component::ComponentNamedList + Lift,
    {
        let (store, missing) = (&mut self.store, "not exported");
        let (_, interface) = self
            .instance
            .get_export(&mut *store, None, interface)
            .ok_or(missing)?;
        let (_, function) = self
            .instance
            .get_export(&mut *store, Some(&interface), name)
            .ok_or(missing)?;
        Ok(self.instance.get_typed_func(&mut *store, function)?)
    }
}

/// A batch of messages like those the host is given.
pub(crate) fn batch(count: usize) -> Vec<Message> {
    let message = Message {
        topic: "telemetry/plant/device-00001".to_owned(),
        payload: vec![7; PAYLOAD_BYTES],
        content_type: None,
        published_at: 1,
        retain: false,
        reply_to: None,
        correlation: None,
        properties: Vec::new(),
    };
    vec![message; count]
}

/// The settings of the host's engine that bear on speed.
fn config(instances_max: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances_max)
        .total_core_instances(instances_max.saturating_mul(8))
        .total_memories(instances_max.saturating_mul(2))
        .total_tables(instances_max.saturating_mul(4))
        .total_stacks(instances_max)
        .max_memory_size(64 << 20)
        .table_elements(10_000)
        .max_unused_warm_slots(0);
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
