//! What a guest may call: one file for each capability.
//!
//! Each has up to three moments: *link* (once: its functions go into the
//! linker), *admit* (per deployment: do a component's imports fit its grants? no
//! instance needed) and *grant* (per instance: its state). Nothing is reachable
//! that was not granted; everything a guest hands over is checked here.

mod admit;
mod bindings;
pub mod bus;
mod clock;
mod config;
pub mod foreign_text;
pub mod keyvalue;
mod limiter;
mod logging;
pub mod network;
pub mod nn;
pub mod port;
pub mod rate;
mod wasi;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use config::ConfigEntries;
use keyvalue::KeyValue;
use network::NetworkPolicy;
use nn::{NnCtx, NnLimits, NnView};
use port::Port;
use rate::Rate;

use crate::inference::ModelSet;
use crate::spec::InstanceSpec;

pub use admit::{AdmitError, admit, admit_by_policy, grant_for, interface_of, is_admitted};
pub use limiter::Limiter;

/// What one instance holds of the host: one field for each capability.
pub struct PluginState {
    pub(crate) limiter: Limiter,
    table: ResourceTable,
    wasi: WasiCtx,
    config: ConfigEntries,
    keyvalue: Option<Arc<dyn KeyValue>>,
    keyvalue_writes: Rate,
    network: Arc<NetworkPolicy>,
    nn: NnCtx,
    port: Arc<dyn Port>,
    /// Messages that a service has taken and not yet acknowledged.
    taken: usize,
    /// Whether it has taken messages since it was last asked.
    progress: bool,
}

/// What the host gives an instance to reach it through.
#[derive(Clone)]
pub struct Services {
    pub port: Arc<dyn Port>,
    pub keyvalue: Option<Arc<dyn KeyValue>>,
    pub models: Arc<ModelSet>,
    pub hosts: Arc<network::Hosts>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Services")
    }
}

impl std::fmt::Debug for PluginState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginState")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}

impl PluginState {
    /// The state of a new instance of `spec`.
    pub fn grant(spec: &InstanceSpec, services: Services) -> Self {
        let (grants, limits) = (&spec.grants, &spec.limits);
        let network = NetworkPolicy::new(&grants.tcp, &grants.udp, services.hosts);
        let network = Arc::new(network);
        let nn_limits = NnLimits {
            tensor_bytes_max: limits.tensor_bytes_max,
            resources_max: limits.resources_max,
        };
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.resources_max.get()).unwrap_or(usize::MAX));
        Self {
            limiter: Limiter::new(
                limits.memory_bytes_max.get(),
                limits.table_elements_max.get(),
            ),
            table,
            wasi: wasi::grant(&services.port, &network),
            config: ConfigEntries::new(&spec.config),
            keyvalue: services.keyvalue,
            keyvalue_writes: Rate::new(keyvalue::WRITES_PER_S_MAX),
            network,
            nn: NnCtx::new(services.models, grants.models.clone(), nn_limits),
            port: services.port,
            taken: 0,
            progress: false,
        }
    }

    /// Whether the guest has taken messages since this was last asked.
    pub(crate) fn progressed(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }
}

impl PluginState {
    /// A call into the guest begins that may take `wait_max`, if that is limited:
    /// what it asks of a
    /// model is answered before that, so that it hears of a slow one instead of
    /// being ended with it.
    pub(crate) fn set_deadline(&mut self, wait_max: Option<Duration>) {
        let deadline = wait_max.map(|wait_max| Instant::now() + wait_max / 2);
        self.nn.set_deadline(deadline);
    }
}

impl WasiView for PluginState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Puts every capability into `linker`. Whether a component may use it is
/// decided by [`admit()`].
pub fn link(linker: &mut Linker<PluginState>) -> wasmtime::Result<()> {
    wasi::link(linker)?;
    network::link(linker)?;
    bus::link(linker)?;
    config::link(linker)?;
    logging::link(linker)?;
    keyvalue::link(linker)?;
    nn::link(linker, |state: &mut PluginState| NnView {
        ctx: &mut state.nn,
        table: &mut state.table,
    })
}
