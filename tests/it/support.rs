//! A host in this process: a bus, an engine and a supervisor, put together as a
//! deployment does it, and a good neighbour that must answer whatever happens.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use selvedge::bus::{
    Bus, BusLimits, Inbox, InboxLimits, Message, Party, PartyStatus, Receipt, Settled,
};
use selvedge::capabilities::keyvalue::KeyValue;
use selvedge::inference::{InferenceLimits, ModelSet, ModelSource, ModelStore};
use selvedge::names::TopicFilter;
use selvedge::runtime::{
    Ceilings, CodeCache, Engine, Generation, PrepareError, Prepared, Seat, Surroundings,
};
use selvedge::spec::{Grants, InstanceSpec, Limits, Overflow};
use selvedge::storage::{DeviceKey, Storage};
use selvedge::supervisor::{RestartPolicy, Supervisor, Unit, UnitState, WhenLost};
use selvedge::trust::Gate;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::guests::guest;

/// After this a test fails. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// What a unit gets to stop.
const GRACE: Duration = Duration::from_millis(500);

/// A plugin to be started, hostile unless said otherwise.
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    pub(crate) wasm: Vec<u8>,
    pub(crate) config: serde_json::Value,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
}

impl Plugin {
    /// The guest and its mode, `guest:mode`, as `offender`. It gets `offence/#`,
    /// may publish `seen/#` and `flood/#`, and is given up at its second failure.
    pub(crate) fn guest(which: &str) -> Self {
        let (name, mode) = which.split_once(':').unwrap_or((which, ""));
        Self::new(guest(name), mode)
    }

    /// A component in the text format, from `tests/guests/text`.
    pub(crate) fn text(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/text");
        Self::new(wat::parse_file(folder.join(file)).unwrap(), "")
    }

    fn new(wasm: Vec<u8>, mode: &str) -> Self {
        Self {
            name: "offender",
            wasm,
            config: serde_json::json!({ "mode": mode }),
            grants: Grants {
                publish: filters(&["seen/#", "flood/#"]),
                subscribe: filters(&["offence/#"]),
                ..Grants::default()
            },
            limits: Limits {
                call_ms_max: 250.try_into().unwrap(),
                restarts_max: 1,
                retries_max: 1,
                ..Limits::default()
            },
        }
    }

    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn grants(mut self, change: impl FnOnce(&mut Grants)) -> Self {
        change(&mut self.grants);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }
}

pub(crate) fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// How each unit fared so far.
type States = BTreeMap<String, Vec<UnitState>>;

/// A running host.
pub(crate) struct Host {
    pub(crate) bus: Bus,
    pub(crate) hosts: BTreeMap<String, IpAddr>,
    models: Mutex<Arc<ModelSet>>,
    model_store: Arc<ModelStore>,
    party: Party,
    engine: Engine,
    cache: Arc<CodeCache>,
    storage: Storage,
    gate: Gate,
    supervisor: Supervisor,
    states: watch::Receiver<States>,
    observed: Arc<watch::Sender<States>>,
    _directory: TempDir,
}

impl Host {
    /// A host on which only the neighbour runs: it answers `in/#` on `echo/`.
    pub(crate) async fn start() -> Self {
        let host = Self::empty(8);
        let neighbour = Plugin::guest("echo").named("neighbour").grants(|grants| {
            grants.publish = filters(&["echo/#"]);
            grants.subscribe = filters(&["in/#"]);
        });
        let patient = neighbour.limits(|limits| *limits = Limits::default());
        host.run(patient).await.unwrap();
        host
    }

    /// A host for so many instances, on which nothing runs.
    pub(crate) fn empty(instances_max: u32) -> Self {
        drop(
            tracing_subscriber::fmt()
                .with_test_writer()
                .with_max_level(tracing::Level::WARN)
                .try_init(),
        );
        let directory = tempfile::tempdir().unwrap();
        let (observed, states) = watch::channel(States::new());
        let observed = Arc::new(observed);
        let observe = Arc::clone(&observed);
        let observer = move |unit: &str, state: &UnitState| {
            observe.send_modify(|states| {
                states
                    .entry(unit.to_owned())
                    .or_default()
                    .push(state.clone());
            });
        };
        let bus = Bus::new(BusLimits::default());
        let storage = Storage::open(directory.path()).unwrap();
        Self {
            party: bus.host_party(),
            bus,
            hosts: BTreeMap::new(),
            models: Mutex::default(),
            model_store: Arc::new(ModelStore::new(InferenceLimits::default())),
            engine: Engine::new(Ceilings {
                instances_max,
                memory_bytes_max: 64 << 20,
                table_elements_max: 20_000,
            })
            .unwrap(),
            cache: Arc::new(code_cache()),
            gate: Gate::open(&storage, None, true).unwrap(),
            storage,
            supervisor: Supervisor::new(GRACE, Arc::new(observer)),
            states,
            observed,
            _directory: directory,
        }
    }

    /// Starts a plugin, unless it is refused.
    pub(crate) async fn run(&self, plugin: Plugin) -> Result<(), PrepareError> {
        self.try_join(plugin).await.map(Joined::begin)
    }

    /// A plugin that gets messages, and does not run yet.
    pub(crate) async fn join(&self, plugin: Plugin) -> Joined<'_> {
        self.try_join(plugin).await.unwrap()
    }

    async fn try_join(&self, plugin: Plugin) -> Result<Joined<'_>, PrepareError> {
        let name = plugin.name;
        let generation = self.generation(&self.seat(name), plugin).await?;
        generation.join().unwrap();
        let (supervisor, unit) = (&self.supervisor, Self::unit(name.to_owned(), generation));
        Ok(Joined { supervisor, unit })
    }

    /// A place on the bus for a plugin of this name.
    pub(crate) fn seat(&self, name: &str) -> Arc<Seat> {
        Seat::new(&self.bus, name.parse().unwrap())
    }

    /// A plugin that may come to have `seat`.
    pub(crate) async fn generation(
        &self,
        seat: &Arc<Seat>,
        plugin: Plugin,
    ) -> Result<Arc<Generation>, PrepareError> {
        let name = plugin.name.parse().unwrap();
        let artifact = self.gate.development(&name, plugin.wasm.into()).unwrap();
        let spec = InstanceSpec {
            plugin: name,
            digest: artifact.origin().component_digest(),
            config: plugin.config.as_object().unwrap().clone(),
            grants: plugin.grants,
            limits: plugin.limits,
        };
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let prepare = move || Prepared::new(&engine, &cache, spec, &artifact);
        let prepared = tokio::task::spawn_blocking(prepare).await.unwrap()?;
        let quota = prepared.spec().grants.keyvalue_bytes_max;
        let bucket = (quota > 0).then(|| self.storage.bucket(plugin.name, quota).unwrap());
        let surroundings = Surroundings {
            keyvalue: bucket.map(|bucket| Arc::new(bucket) as Arc<dyn KeyValue>),
            models: self.models(),
            hosts: Arc::new(self.hosts.clone()),
        };
        Ok(Generation::new(prepared, seat, surroundings))
    }

    /// Puts a model into service for whatever is started from now on.
    pub(crate) async fn serve(&self, name: &str, source: ModelSource) {
        let store = Arc::clone(&self.model_store);
        let prepare = move || store.prepare(&source).unwrap();
        let model = tokio::task::spawn_blocking(prepare).await.unwrap();
        let mut models = self.models.lock();
        let change = (name.parse().unwrap(), Some(model));
        *models = self.model_store.change(&models, [change]).unwrap();
    }

    /// The models in service.
    pub(crate) fn models(&self) -> Arc<ModelSet> {
        Arc::clone(&self.models.lock())
    }

    fn unit(name: String, generation: Arc<Generation>) -> Unit {
        let spec = generation.prepared().spec();
        let policy = RestartPolicy {
            delay_min: Duration::from_millis(10),
            delay_max: Duration::from_secs(1),
            failures_max: spec.limits.restarts_max as usize,
            window: Duration::from_secs(600),
            when_lost: WhenLost::KeepHost,
        };
        Unit::new(name, policy, move |context| {
            let (generation, ready) = (Arc::clone(&generation), context.clone());
            async move {
                generation.run(context.stop, || ready.ready()).await?;
                Ok(())
            }
        })
    }

    /// Lets the generation that has its seat work.
    pub(crate) fn begin(&self, generation: &Arc<Generation>) {
        let name = generation.prepared().spec().plugin.to_string();
        self.observed
            .send_modify(|states| drop(states.remove(&name)));
        self.supervisor
            .start(Self::unit(name, Arc::clone(generation)));
    }

    /// Stops the unit of a plugin; its instance is parked if it is well.
    pub(crate) async fn stop(&self, name: &str) {
        within("a unit to stop", self.supervisor.stop(name)).await;
    }

    /// Everything that is published from now on and matches.
    pub(crate) fn listen(&self, filter: &str) -> Listener {
        let limits = InboxLimits {
            messages_max: 100_000,
            bytes_max: 256 << 20,
            overflow: Overflow::DropNewest,
            answers: false,
        };
        Listener(self.party.subscribe(&filters(&[filter]), limits).unwrap())
    }

    /// Publishes, and waits for room if need be.
    pub(crate) async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let message = Message::new(topic.parse().unwrap(), payload.into());
        within("room for a message", self.party.publish_waiting(message))
            .await
            .unwrap();
    }

    /// Publishes, and waits for room if need be; when it is done with.
    pub(crate) async fn ask_for_receipt(&self, topic: &str, payload: &str) -> Settled {
        let (receipt, settled) = Receipt::new();
        let mut message = Message::new(topic.parse().unwrap(), payload.to_owned());
        message.receipt = Some(receipt);
        within("room for a message", self.party.publish_waiting(message))
            .await
            .unwrap();
        settled
    }

    /// Publishes a value to be kept for later subscribers.
    pub(crate) async fn keep(&self, topic: &str, payload: &str) {
        let mut message = Message::new(topic.parse().unwrap(), payload.to_owned());
        message.retain = true;
        within("room for a message", self.party.publish_waiting(message))
            .await
            .unwrap();
    }

    /// Publishes a question to be answered elsewhere.
    pub(crate) async fn ask(&self, topic: &str, reply_to: &str) {
        let mut message = Message::new(topic.parse().unwrap(), "");
        message.reply_to = Some(reply_to.parse().unwrap());
        within("room for a message", self.party.publish_waiting(message))
            .await
            .unwrap();
    }

    /// Publishes if there is room at once.
    pub(crate) fn try_publish(&self, topic: &str, payload: impl Into<Vec<u8>>) -> bool {
        let message = Message::new(topic.parse().unwrap(), payload.into());
        self.party.publish(message).is_ok()
    }

    /// The neighbour answers, to everything and in order.
    pub(crate) async fn neighbour_answers(&self) {
        let mut answers = self.listen("echo/in/check");
        for number in 0..50 {
            self.publish("in/check", number.to_string()).await;
        }
        for number in 0..50 {
            assert_eq!(answers.next().await, number.to_string());
        }
        assert_eq!(self.state("neighbour"), UnitState::Running);
    }

    /// How a plugin fares now.
    pub(crate) fn state(&self, plugin: &str) -> UnitState {
        self.states.borrow()[plugin].last().unwrap().clone()
    }

    /// Waits for a state of a plugin, present or past.
    async fn reached<T>(&self, plugin: &str, wanted: impl Fn(&UnitState) -> Option<T>) -> T {
        let find = |states: &States| states.get(plugin)?.iter().find_map(&wanted);
        let mut states = self.states.clone();
        let found = within("a state", states.wait_for(|states| find(states).is_some())).await;
        find(&found.unwrap()).unwrap()
    }

    /// Waits until a plugin has begun to work.
    pub(crate) async fn running(&self, plugin: &str) {
        self.reached(plugin, |state| (*state == UnitState::Running).then_some(()))
            .await;
    }

    /// Waits for a plugin's first failure; the error.
    pub(crate) async fn failed(&self, plugin: &str) -> String {
        self.reached(plugin, |state| match state {
            UnitState::BackingOff { error, .. } | UnitState::GivenUp { error } => {
                Some(error.clone())
            }
            _ => None,
        })
        .await
    }

    /// Waits until a plugin is given up; the last error.
    pub(crate) async fn given_up(&self, plugin: &str) -> String {
        self.reached(plugin, |state| match state {
            UnitState::GivenUp { error } => Some(error.clone()),
            _ => None,
        })
        .await
    }

    /// What the bus counts for a plugin.
    pub(crate) fn counted(&self, plugin: &str) -> PartyStatus {
        let mut parties = self.bus.parties().into_iter();
        parties.find(|party| party.name.as_str() == plugin).unwrap()
    }

    /// Waits until what the bus counts for a plugin is as asked.
    pub(crate) async fn until_counted(&self, plugin: &str, wanted: impl Fn(&PartyStatus) -> bool) {
        let counted = async {
            while !wanted(&self.counted(plugin)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("a count", counted).await;
    }

    /// Stops everything; that it ends is part of every promise.
    pub(crate) async fn shut_down(&self) {
        within("the shut-down", self.supervisor.shut_down()).await;
    }
}

/// A plugin about to run.
pub(crate) struct Joined<'a> {
    supervisor: &'a Supervisor,
    unit: Unit,
}

impl Joined<'_> {
    pub(crate) fn begin(self) {
        self.supervisor.start(self.unit);
    }
}

/// The code of all hosts, so that each guest is compiled once over all tests
/// and runs.
fn code_cache() -> CodeCache {
    static KEY: OnceLock<DeviceKey> = OnceLock::new();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let device = || Storage::open(&kept.join("device")).unwrap().device_key();
    let key = KEY.get_or_init(|| device().unwrap());
    CodeCache::open(kept.join("native"), key.clone()).unwrap()
}

/// A subscription of the test.
pub(crate) struct Listener(Inbox);

impl Listener {
    /// The next message.
    pub(crate) async fn message(&mut self) -> Arc<Message> {
        let mut received = Vec::new();
        within("a message", self.0.receive(1, &mut received)).await;
        received.remove(0)
    }

    /// The payload of the next message.
    pub(crate) async fn next(&mut self) -> String {
        String::from_utf8(self.message().await.payload.to_vec()).unwrap()
    }

    /// The payloads of all messages that have arrived.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let mut received = Vec::new();
        self.0.try_receive(usize::MAX, &mut received);
        let text = |message: &Arc<Message>| String::from_utf8(message.payload.to_vec()).unwrap();
        received.iter().map(text).collect()
    }
}

/// Fails the test if it takes too long.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = timeout(DEADLINE, wait).await;
    waited.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}
