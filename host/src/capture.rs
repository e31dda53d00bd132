//! Keeps what models were given and gave, for training: as little as was asked for.
//!
//! Nothing is captured unless a deployment says so, model by model. Runs are taken
//! by count, at most so many in a second; what is taken waits in a queue with a
//! bound in records and bytes, from which the oldest is dropped when it is full. It
//! goes out on the bus as JSON, by a party of its own, and into files if the host
//! has them. A run never waits for any of it. Where messages go from there is the
//! business of whoever subscribes them, uplinks first of all.

mod files;
mod limiter;
mod outcomes;
mod queue;
mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::warn;

pub use self::files::{FilesConfig, StoreError};
pub use self::outcomes::Outcome;
pub use self::queue::QueueStatus;
pub use self::record::{Auxiliary, CaptureId, CaptureIdError, Captured, RecordError};

use self::files::Files;
use self::limiter::Limiter;
use self::outcomes::Outcomes;
use self::queue::Queue;
use self::record::Record;
use crate::bus::{Bus, Grant, Message, Party};
use crate::error_chain::ErrorChain;
use crate::inference::{ModelSet, RunObserver, RunRecord, Served};
use crate::names::{ModelName, PartyName, Topic};
use crate::spec::CaptureOptions;
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// By which name it publishes.
const PARTY: &str = "capture";
/// How long subscribers that make publishers wait may take.
const PUBLISH_MAX: Duration = Duration::from_secs(1);

/// What deployments let be captured. Clones are the same.
#[derive(Clone, Debug)]
pub struct Capture(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Bus,
    party: Mutex<Option<Party>>,
    /// None: the bus alone.
    files: Option<Mutex<Files>>,
    files_fail: AtomicBool,
    rules: ArcSwap<BTreeMap<ModelName, Arc<Rule>>>,
    queue: Queue,
    outcomes: Outcomes,
    counts: Counts,
    /// What the identifiers of this process begin with.
    mark: String,
    last: AtomicU64,
}

/// What is captured of one model.
#[derive(Debug)]
struct Rule {
    options: CaptureOptions,
    topic: Topic,
    limiter: Limiter,
}

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    published: AtomicU64,
    stored: AtomicU64,
    limited: AtomicU64,
    dropped: AtomicU64,
    too_large: AtomicU64,
    refused: AtomicU64,
    unstored: AtomicU64,
}

/// What is told of capturing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// Records that were put in line.
    pub queued_total: u64,
    /// Of these, those that the bus took.
    pub published_total: u64,
    /// Those that are in a file.
    pub stored_total: u64,
    /// Runs and data not taken, since there were so many in that second.
    pub limited_total: u64,
    /// Records that made room for newer ones.
    pub dropped_total: u64,
    /// Records larger than any, or than a message of the bus.
    pub too_large_total: u64,
    /// Records that the bus did not take for another reason.
    pub refused_total: u64,
    /// Records that could not be written to a file.
    pub unstored_total: u64,
    /// What waits now.
    pub waiting: QueueStatus,
}

/// Why data that was handed in is not captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("the deployment does not let data of the model `{model}` be captured")]
    NotAllowed { model: ModelName },
    #[error("there is more data of the model `{model}` than {max} in a second")]
    Limited { model: ModelName, max: u32 },
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl CaptureError {
    /// A stable name for API replies. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "capture-not-allowed",
            Self::Limited { .. } => "capture-limited",
            Self::Record(error) => error.code(),
        }
    }
}

impl Capture {
    /// Captures for a host with this bus; nothing, until a deployment says so.
    pub fn new(bus: &Bus, files: Option<FilesConfig>) -> Self {
        let mut mark = [0; 6];
        if let Err(error) = getrandom::fill(&mut mark) {
            warn!(error = %error, "identifiers of captured data may repeat");
        }
        Self(Arc::new(Inner {
            bus: bus.clone(),
            party: Mutex::default(),
            files: files.map(|config| Mutex::new(Files::new(config))),
            files_fail: AtomicBool::new(false),
            rules: ArcSwap::default(),
            queue: Queue::default(),
            outcomes: Outcomes::default(),
            counts: Counts::default(),
            mark: mark.iter().map(|byte| format!("{byte:02x}")).collect(),
            last: AtomicU64::new(0),
        }))
    }

    /// From now on `models` serve, and of them is captured what `asked` says; of all
    /// others nothing.
    pub fn apply<'a>(
        &self,
        models: &ModelSet,
        asked: impl IntoIterator<Item = (&'a ModelName, &'a CaptureOptions)>,
    ) {
        let before = self.0.rules.load_full();
        let rules = asked.into_iter().filter_map(|(name, options)| {
            let same = before.get(name).filter(|rule| rule.options == *options);
            let rule = match same {
                Some(rule) => Arc::clone(rule),
                None => Arc::new(Rule::new(name, options)?),
            };
            Some((name.clone(), rule))
        });
        let rules: BTreeMap<_, _> = rules.collect();
        for name in models.names() {
            let Some(served) = models.get(name) else {
                continue;
            };
            let sampled = rules
                .get(name)
                .filter(|rule| rule.options.fraction.ppm() > 0);
            served.observe(sampled.map(|rule| -> Box<dyn RunObserver> {
                Box::new(Watcher {
                    capture: self.clone(),
                    rule: Arc::clone(rule),
                    served: Arc::downgrade(served),
                })
            }));
        }
        self.0.rules.store(Arc::new(rules));
    }

    /// Whether programs may hand in data of this model.
    pub fn allows(&self, model: &ModelName) -> bool {
        self.0.rules.load().contains_key(model)
    }

    /// Puts data in line that a program hands in; what it is known by.
    ///
    /// # Errors
    ///
    /// If it is not allowed, too much, or too large.
    pub fn submit(&self, captured: Captured) -> Result<CaptureId, CaptureError> {
        let rules = self.0.rules.load();
        let Some(rule) = rules.get(&captured.model) else {
            let model = captured.model;
            return Err(CaptureError::NotAllowed { model });
        };
        let record = Record::new(captured, &rule.topic, || self.id());
        let record = record.inspect_err(|_| count(&self.0.counts.too_large))?;
        if !rule.limiter.admit() {
            count(&self.0.counts.limited);
            let max = rule.options.per_s_max.get();
            let model = record.model().clone();
            return Err(CaptureError::Limited { model, max });
        }
        let id = record.id().clone();
        self.queue(record);
        Ok(id)
    }

    /// What became of a record.
    pub fn outcome(&self, id: &CaptureId) -> Option<Outcome> {
        self.0.outcomes.get(id)
    }

    /// How capturing fares.
    pub fn status(&self) -> CaptureStatus {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.0.counts;
        CaptureStatus {
            queued_total: of(&counts.queued),
            published_total: of(&counts.published),
            stored_total: of(&counts.stored),
            limited_total: of(&counts.limited),
            dropped_total: of(&counts.dropped),
            too_large_total: of(&counts.too_large),
            refused_total: of(&counts.refused),
            unstored_total: of(&counts.unstored),
            waiting: self.0.queue.status(),
        }
    }

    /// Who brings records out.
    pub fn unit(&self) -> Unit {
        let policy = RestartPolicy {
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            failures_max: usize::MAX,
            window: Duration::from_secs(60),
            when_lost: WhenLost::KeepHost,
        };
        let capture = self.clone();
        Unit::new("capture", policy, move |context| {
            capture.clone().run(context)
        })
    }

    fn id(&self) -> CaptureId {
        let number = self.0.last.fetch_add(1, Ordering::Relaxed);
        CaptureId::made(&self.0.mark, number)
    }

    fn queue(&self, record: Record) {
        count(&self.0.counts.queued);
        self.0.outcomes.set(record.id(), Outcome::Queued);
        for lost in self.0.queue.push(record) {
            count(&self.0.counts.dropped);
            self.0.outcomes.set(lost.id(), Outcome::Dropped);
        }
    }

    async fn run(self, context: UnitContext) -> UnitResult {
        context.ready();
        loop {
            let record = tokio::select! {
                record = self.0.queue.next() => record,
                () = context.stop.cancelled() => break,
            };
            self.bring_out(record, true).await;
        }
        // The bus is closing; what waits can still be written.
        while let Some(record) = self.0.queue.pop().filter(|_| self.0.files.is_some()) {
            self.bring_out(record, false).await;
        }
        Ok(())
    }

    async fn bring_out(&self, record: Record, publish: bool) {
        let (capture, id, topic) = (self.clone(), record.id().clone(), record.topic().clone());
        let write = move || {
            let text = record.to_json();
            let stored = capture.store(&text);
            (text, stored)
        };
        let Ok((text, stored)) = tokio::task::spawn_blocking(write).await else {
            self.0.outcomes.set(&id, Outcome::Dropped);
            return count(&self.0.counts.unstored);
        };
        let published = publish && self.publish(topic, text).await;
        let outcome = if stored || published {
            Outcome::Published
        } else {
            Outcome::Dropped
        };
        self.0.outcomes.set(&id, outcome);
    }

    /// Whether it is in a file. Blocks.
    fn store(&self, text: &[u8]) -> bool {
        let Some(files) = &self.0.files else {
            return false;
        };
        let stored = files.lock().append(text);
        let failed_before = self.0.files_fail.swap(stored.is_err(), Ordering::Relaxed);
        match stored {
            Ok(()) => count(&self.0.counts.stored),
            Err(error) => {
                count(&self.0.counts.unstored);
                if !failed_before {
                    let (code, error) = (error.code(), ErrorChain(&error).to_string());
                    warn!(code, error, "captured data not written");
                }
                return false;
            }
        }
        true
    }

    async fn publish(&self, topic: Topic, text: Bytes) -> bool {
        let Some(party) = self.party() else {
            count(&self.0.counts.refused);
            return false;
        };
        let mut message = Message::new(topic, text);
        message.content_type = Some("application/json".into());
        message.utf8 = true;
        match timeout(PUBLISH_MAX, party.publish_waiting(message)).await {
            Ok(Ok(_)) => {
                count(&self.0.counts.published);
                true
            }
            Ok(Err(crate::bus::PublishError::TooLarge { .. })) => {
                count(&self.0.counts.too_large);
                false
            }
            Ok(Err(_)) | Err(_) => {
                count(&self.0.counts.refused);
                false
            }
        }
    }

    /// Its place on the bus, taken when it is first needed: a host on which nothing
    /// is captured has the name free.
    fn party(&self) -> Option<Party> {
        let mut party = self.0.party.lock();
        if party.is_none() {
            let name: PartyName = PARTY.parse().ok()?;
            let grant = Grant {
                publish: vec!["#".parse().ok()?],
                subscribe: Vec::new(),
            };
            match self.0.bus.attach(name, grant) {
                Ok(attached) => *party = Some(attached),
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "captured data not published");
                }
            }
        }
        party.clone()
    }
}

impl Rule {
    /// None if no topic can be made of the model's name, which is one level.
    fn new(model: &ModelName, options: &CaptureOptions) -> Option<Self> {
        let topic = match &options.topic {
            Some(topic) => topic.clone(),
            None => format!("capture/{model}").parse().ok()?,
        };
        Some(Self {
            options: options.clone(),
            topic,
            limiter: Limiter::new(options),
        })
    }
}

/// Takes some of the runs of one model.
struct Watcher {
    capture: Capture,
    rule: Arc<Rule>,
    /// Not held: it holds this.
    served: std::sync::Weak<Served>,
}

impl RunObserver for Watcher {
    fn wants(&self, _: &ModelName) -> bool {
        if !self.rule.limiter.sample() {
            return false;
        }
        let admitted = self.rule.limiter.admit();
        if !admitted {
            count(&self.capture.0.counts.limited);
        }
        admitted
    }

    fn ran(&self, run: RunRecord) {
        let served = self.served.upgrade().map(|served| served.current());
        let same = served.filter(|model| model.digest() == run.digest);
        let options = &self.rule.options;
        let record = Record::of_run(run, same.map(|model| model.backend()), options, || {
            (self.capture.id(), self.rule.topic.clone())
        });
        match record {
            Ok(record) => self.capture.queue(record),
            Err(_) => count(&self.capture.0.counts.too_large),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where a host with this data directory keeps files, if it is to.
pub fn files_config(
    data_directory: &std::path::Path,
    config: &crate::inference::CaptureConfig,
) -> FilesConfig {
    let directory: PathBuf = data_directory.join(&config.directory);
    FilesConfig {
        directory,
        bytes_max: config.bytes_max.get(),
        files_max: config.files_max.get(),
    }
}

#[cfg(test)]
mod tests;
