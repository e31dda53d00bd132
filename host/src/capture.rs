//! Keeps what models were given and gave, for training: as little as was asked for.
//!
//! Nothing is captured unless a deployment says so, model by model. Runs are taken
//! by count, at most so many in a second; what is taken waits in a queue with a
//! bound in records and bytes, from which the oldest is dropped when it is full. It
//! goes out on the bus as JSON, by a party of its own, and into files if the host
//! has them. A run never waits for any of it. Where messages go from there is the
//! business of whoever subscribes them, uplinks first of all.

mod counts;
mod files;
mod limiter;
mod outcomes;
mod outlet;
mod queue;
mod record;
mod rule;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tracing::warn;

pub use self::counts::CaptureStatus;
pub use self::files::{FilesConfig, StoreError};
pub use self::outcomes::Outcome;
pub use self::queue::QueueStatus;
pub use self::record::{Auxiliary, CaptureId, CaptureIdError, Captured, RecordError};

use self::counts::{Counts, count};
use self::files::Files;
use self::outcomes::Outcomes;
use self::queue::Queue;
use self::record::Record;
use self::rule::{Rule, Watcher};
use crate::bus::{Bus, Party};
use crate::inference::{ModelSet, RunObserver};
use crate::names::ModelName;
use crate::spec::CaptureOptions;
use crate::supervisor::{RestartPolicy, Unit, WhenLost};

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
        self.0.counts.status(self.0.queue.status())
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
