//! The compiler and allocator that all plugins share, and the clock that
//! preempts them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::capabilities::{self, PluginState};

/// How often a guest yields.
const TICK: Duration = Duration::from_millis(1);
/// Bytes of a guest's stack; running out of it is a trap.
const GUEST_STACK_BYTES: usize = 512 << 10;
/// Bytes of the fiber a guest and the host functions it calls run on; the host
/// keeps what the guest cannot have, enough for running a model in place.
const FIBER_STACK_BYTES: usize = 2 << 20;
/// Core instances, memories and tables of one component. Python and JavaScript
/// components are made of many core modules.
const CORE_INSTANCES_MAX: u32 = 64;
const MEMORIES_MAX: u32 = 8;
const TABLES_MAX: u32 = 32;

/// What all plugins together may take.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    /// Instances at once; a plugin that is being replaced counts twice.
    pub instances_max: u32,
    /// Bytes of one linear memory.
    pub memory_bytes_max: u64,
    /// Elements of one table.
    pub table_elements_max: u32,
}

/// Why the engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot set up the WebAssembly engine")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot start the preemption clock")]
    Clock(#[source] std::io::Error),
}

/// Compiles and instantiates; shared by all plugins.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Arc<Linker<PluginState>>,
    // Keeps the clock going while there is an engine.
    _clock: Arc<AtomicBool>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine for at most `ceilings`, with every capability linked.
    pub fn new(ceilings: Ceilings) -> Result<Self, EngineError> {
        let make = || {
            let wasmtime = wasmtime::Engine::new(&config(ceilings))?;
            let mut linker = Linker::new(&wasmtime);
            capabilities::link(&mut linker)?;
            Ok((wasmtime, linker))
        };
        let (wasmtime, linker) =
            make().map_err(|error: wasmtime::Error| EngineError::Engine(error.into()))?;
        let clock = Arc::new(AtomicBool::new(true));
        start_clock(wasmtime.clone(), Arc::downgrade(&clock)).map_err(EngineError::Clock)?;
        Ok(Self {
            wasmtime,
            linker: Arc::new(linker),
            _clock: clock,
        })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(super) fn linker(&self) -> &Linker<PluginState> {
        &self.linker
    }
}

/// A thread of its own: when every worker is busy with guests, it alone still
/// gets them to yield.
fn start_clock(engine: wasmtime::Engine, alive: Weak<AtomicBool>) -> std::io::Result<()> {
    let tick = move || {
        while alive
            .upgrade()
            .is_some_and(|alive| alive.load(Ordering::Relaxed))
        {
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    };
    std::thread::Builder::new()
        .name("preemption".to_owned())
        .spawn(tick)
        .map(drop)
}

fn config(ceilings: Ceilings) -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // Threads, GC and component-model async are not even compiled in.
        // Concurrency doubles the cost of a call, and nothing here needs it.
        .concurrency_support(false)
        .wasm_memory64(false)
        .relaxed_simd_deterministic(true)
        // As many cores as the operator gives, not all there are: plugins run
        // while others are compiled.
        .parallel_compilation(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(ceilings)));
    config
}

fn pool(ceilings: Ceilings) -> PoolingAllocationConfig {
    let instances = ceilings.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_module(TABLES_MAX)
        // Each may have its most, so that none can take what another needs in
        // order to start. What is not used is address space only.
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(instances.saturating_mul(MEMORIES_MAX))
        .total_tables(instances.saturating_mul(TABLES_MAX))
        .total_stacks(instances)
        .max_memory_size(usize::try_from(ceilings.memory_bytes_max).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(ceilings.table_elements_max).unwrap_or(usize::MAX))
        // Nothing of a stopped instance stays in memory.
        .max_unused_warm_slots(0)
        .pagemap_scan(Enabled::Auto);
    pool
}
