//! A host to measure: what `app` puts together, with a bench's own limits.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use selvedge::bus::{Bus, BusLimits, Grant, Inbox, InboxLimits, Party};
use selvedge::capabilities::Services;
use selvedge::capabilities::port::Port;
use selvedge::inference::ModelSet;
use selvedge::names::{Topic, TopicFilter};
use selvedge::runtime::{
    Ceilings, CodeCache, Engine, Generation, LocalPort, Prepared, Seat, Surroundings,
};
use selvedge::spec::{Grants, InstanceSpec, Limits, Overflow};
use selvedge::storage::Storage;
use selvedge::supervisor::{RestartPolicy, Supervisor, Unit, UnitState, WhenLost};
use selvedge::trust::Gate;
use selvedge_signing::VerifiedArtifact;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Outcome;

/// Bytes of a payload, as in the bars.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Messages that wait in an inbox at most.
pub(crate) const INBOX_MESSAGES_MAX: u32 = 16_384;
/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(30);

/// One host.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) cache: CodeCache,
    pub(crate) bus: Bus,
    pub(crate) supervisor: Supervisor,
    pub(crate) models: Arc<ModelSet>,
    /// Signs and verifies what is measured, as `selvedge dev` does.
    gate: Gate,
}

/// What a plugin is to be: its name, what it takes, what it gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Role<'a> {
    pub(crate) name: &'a str,
    pub(crate) from: &'a [&'a str],
    pub(crate) to: &'a [&'a str],
    pub(crate) models: &'a [&'a str],
    pub(crate) config: Value,
}

impl World {
    /// A host whose data is in `directory`, for so many instances.
    pub(crate) fn new(directory: &Path, instances_max: u32) -> Outcome<Self> {
        let storage = Storage::open(directory)?;
        let key = storage.device_key()?;
        let engine = Engine::new(Ceilings {
            instances_max,
            memory_bytes_max: 64 << 20,
            table_elements_max: 10_000,
        })?;
        let limits = BusLimits::default();
        Ok(Self {
            engine,
            cache: CodeCache::open(directory.join("compiled"), key)?,
            bus: Bus::new(limits),
            supervisor: Supervisor::new(Duration::from_secs(5), Arc::new(|_, _| {})),
            models: Arc::default(),
            gate: Gate::open(&storage, None, true)?,
        })
    }

    /// The plugin in `role`, made from `wasm`, with wide limits.
    pub(crate) fn prepare(&self, role: &Role<'_>, wasm: &[u8]) -> Outcome<Prepared> {
        let limits = Limits {
            batch_messages_max: NonZeroU32::new(64).ok_or("zero")?,
            inbox_messages_max: NonZeroU32::new(INBOX_MESSAGES_MAX).ok_or("zero")?,
            inbox_bytes_max: NonZeroU64::new(1 << 30).ok_or("zero")?,
            publish_per_s_max: NonZeroU32::MAX,
            call_ms_max: NonZeroU32::new(20_000).ok_or("zero")?,
            ..Limits::default()
        };
        self.prepare_within(role, wasm, limits)
    }

    /// The plugin in `role`, made from `wasm`, within `limits`.
    pub(crate) fn prepare_within(
        &self,
        role: &Role<'_>,
        wasm: &[u8],
        limits: Limits,
    ) -> Outcome<Prepared> {
        self.compile(role, &self.verify(role, wasm)?, limits)
    }

    /// `wasm`, signed and verified.
    pub(crate) fn verify(&self, role: &Role<'_>, wasm: &[u8]) -> Outcome<VerifiedArtifact> {
        Ok(self
            .gate
            .development(&role.name.parse()?, wasm.to_vec().into())?)
    }

    /// The plugin in `role`, made from what was verified, within `limits`.
    pub(crate) fn compile(
        &self,
        role: &Role<'_>,
        artifact: &VerifiedArtifact,
        limits: Limits,
    ) -> Outcome<Prepared> {
        let models: Result<_, _> = role.models.iter().map(|name| name.parse()).collect();
        let spec = InstanceSpec {
            plugin: role.name.parse()?,
            digest: artifact.origin().component_digest(),
            config: role.config.as_object().cloned().unwrap_or_default(),
            grants: Grants {
                publish: filters(role.to)?,
                subscribe: filters(role.from)?,
                models: models?,
                ..Grants::default()
            },
            limits,
        };
        Ok(Prepared::new(&self.engine, &self.cache, spec, artifact)?)
    }

    /// A plugin's place on the bus, and what its instance reaches.
    pub(crate) fn join(&self, prepared: &Prepared) -> Outcome<(Arc<LocalPort>, Services)> {
        let port = LocalPort::join(&self.bus, prepared.spec())?;
        let services = Services {
            port: Arc::clone(&port) as Arc<dyn Port>,
            keyvalue: None,
            models: Arc::clone(&self.models),
            hosts: Arc::default(),
        };
        Ok((port, services))
    }

    /// Runs a plugin as a deployment does, and starts it again with the same delays.
    pub(crate) fn start(&self, prepared: Prepared) -> Outcome<watch::Receiver<UnitState>> {
        let seat = Seat::new(&self.bus, prepared.spec().plugin.clone());
        let surroundings = Surroundings {
            keyvalue: None,
            models: Arc::clone(&self.models),
            hosts: Arc::default(),
        };
        let policy = RestartPolicy {
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_secs(60),
            failures_max: prepared.spec().limits.restarts_max.try_into()?,
            window: Duration::from_secs(600),
            when_lost: WhenLost::KeepHost,
        };
        let name = prepared.spec().plugin.to_string();
        let generation = Generation::new(prepared, &seat, surroundings);
        generation.join()?;
        let unit = Unit::new(name, policy, move |context| {
            let generation = Arc::clone(&generation);
            async move {
                let stop = context.stop.clone();
                generation.run(stop, || context.ready()).await?;
                Ok(())
            }
        });
        Ok(self.supervisor.start(unit))
    }

    /// A native party that may do anything a guest may.
    pub(crate) fn party(&self, name: &str) -> Outcome<Party> {
        let all = filters(&["#"])?;
        let grant = Grant {
            publish: all.clone(),
            subscribe: all,
        };
        Ok(self.bus.attach(name.parse()?, grant)?)
    }
}

/// What is in `party`'s inbox for `filter` makes publishers wait.
pub(crate) fn subscribe(party: &Party, filter: &str) -> Outcome<Inbox> {
    let limits = InboxLimits {
        messages_max: INBOX_MESSAGES_MAX,
        bytes_max: 1 << 30,
        overflow: Overflow::Block,
        answers: false,
    };
    Ok(party.subscribe(&filters(&[filter])?, limits)?)
}

/// Waits until a unit is at work.
pub(crate) async fn running(mut state: watch::Receiver<UnitState>) -> Outcome<()> {
    let is_settled = |state: &UnitState| !matches!(state, UnitState::Starting);
    let state = timeout(PATIENCE, state.wait_for(is_settled))
        .await??
        .clone();
    match state {
        UnitState::Running => Ok(()),
        other => Err(format!("a plugin does not run: {other:?}").into()),
    }
}

pub(crate) fn topic(text: &str) -> Outcome<Topic> {
    Ok(text.parse()?)
}

fn filters(texts: &[&str]) -> Outcome<Vec<TopicFilter>> {
    let filters: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
    Ok(filters?)
}
