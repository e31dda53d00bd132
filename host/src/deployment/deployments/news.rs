//! Tells how deployments fare: to clients as events, and on the bus as the kept
//! value of `$selvedge/deployment`.

use parking_lot::Mutex;
use selvedge_registry::Progress;
use tokio::sync::broadcast;
use tracing::warn;

use crate::bus::{Message, Party};
use crate::deployment::report::{DeploymentId, DeploymentReport, Event, Phase};
use crate::names::{Digest, PluginName};

/// Events that a slow listener may be behind; older ones it misses.
const EVENTS_MAX: usize = 1024;
/// Where the newest report is kept.
const TOPIC: &str = "$selvedge/deployment";
/// Bytes of a pull between two events.
const STEP_BYTES: u64 = 256 << 10;

/// Who tells. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct News {
    events: broadcast::Sender<Event>,
    host: Party,
}

impl News {
    pub(super) fn new(host: Party) -> Self {
        let events = broadcast::channel(EVENTS_MAX).0;
        Self { events, host }
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody may be listening.
        drop(self.events.send(event));
    }

    /// A deployment entered its phase.
    pub(super) fn phase(&self, report: &DeploymentReport) {
        let mut told = report.clone();
        // Large, and asked for by those who want it.
        told.plan = None;
        let payload = serde_json::to_vec(&told).expect("reports are plain data");
        let topic = TOPIC.parse().expect("a constant that is a topic");
        let mut message = Message::new(topic, payload);
        message.content_type = Some("application/json".into());
        message.retain = true;
        if let Err(error) = self.host.publish_lossy(message) {
            warn!(error = %error, "report not published");
        }
        let (deployment, phase) = (report.id, report.phase);
        self.tell(Event::Phase { deployment, phase });
    }

    /// A plugin was compiled.
    pub(super) fn compiled(&self, deployment: DeploymentId, plugin: &PluginName) {
        self.tell(Event::Progress {
            deployment,
            what: plugin.to_string(),
            phase: Phase::Compile,
            done: 1,
            total: 1,
        });
    }

    /// Tells how far the pull of a plugin is.
    pub(super) fn pull(&self, deployment: DeploymentId, plugin: &PluginName) -> Pull {
        Pull {
            news: self.clone(),
            deployment,
            what: plugin.to_string(),
            bytes: Mutex::default(),
        }
    }
}

/// The pull of one plugin: all its blobs together.
#[derive(Debug)]
pub(super) struct Pull {
    news: News,
    deployment: DeploymentId,
    what: String,
    bytes: Mutex<Bytes>,
}

#[derive(Debug, Default)]
struct Bytes {
    done: u64,
    total: u64,
    told: u64,
}

impl Pull {
    fn tell(&self, at_once: bool, change: impl FnOnce(&mut Bytes)) {
        let mut bytes = self.bytes.lock();
        change(&mut bytes);
        if at_once || bytes.done.saturating_sub(bytes.told) >= STEP_BYTES {
            bytes.told = bytes.done;
            self.news.tell(Event::Progress {
                deployment: self.deployment,
                what: self.what.clone(),
                phase: Phase::Pull,
                done: bytes.done,
                total: bytes.total,
            });
        }
    }
}

impl Progress for Pull {
    fn begin(&self, _: &Digest, size: u64, done: u64) {
        self.tell(false, |bytes| {
            bytes.total = bytes.total.saturating_add(size);
            bytes.done = bytes.done.saturating_add(done);
        });
    }

    fn advance(&self, _: &Digest, more: u64) {
        self.tell(false, |bytes| bytes.done = bytes.done.saturating_add(more));
    }

    fn finish(&self, _: &Digest) {
        self.tell(true, |_| {});
    }
}
