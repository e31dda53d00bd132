//! How an uplink fares: what its handle, the API and metrics tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use super::config::Profile;
use crate::names::PartyName;

/// Different reasons that are counted apart.
const REASONS_MAX: usize = 32;

/// How an uplink fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UplinkStatus {
    /// Its name.
    pub name: PartyName,
    /// Where it leads.
    pub endpoint: String,
    /// What kind of target that is.
    pub profile: Profile,
    /// Who the gateway is there.
    pub client_id: String,
    /// Whether it works.
    pub state: LinkState,
    /// Since when it is connected.
    #[schemars(with = "Option<String>")]
    pub connected_since: Option<Timestamp>,
    /// What last went wrong; also if it works again.
    pub last_error: Option<UplinkFault>,
    /// Messages waiting on the disk.
    pub queue_messages: u64,
    /// Their bytes.
    pub queue_bytes: u64,
    /// The most bytes that may wait.
    pub queue_bytes_max: u64,
    /// How long the oldest has waited, in seconds.
    pub queue_oldest_s: Option<u64>,
    /// Messages sent and not yet acknowledged.
    pub in_flight: u64,
    /// Connections made.
    pub connections_total: u64,
    /// Messages sent, repetitions included.
    pub sent_total: u64,
    /// Messages that the target acknowledged.
    pub acknowledged_total: u64,
    /// Messages that came from the target.
    pub received_total: u64,
    /// Messages dropped, by reason.
    pub dropped_total: BTreeMap<String, u64>,
    /// Messages given up and published as dead letters, by reason.
    pub dead_letters_total: BTreeMap<String, u64>,
}

/// Whether an uplink works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It is not connected, and tries to.
    #[default]
    Connecting,
    /// It is connected, and what it subscribes is confirmed.
    Connected,
    /// Another client uses its identity: an operator must act.
    TakenOver,
    /// It does not run.
    Stopped,
}

impl LinkState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::TakenOver => "taken-over",
            Self::Stopped => "stopped",
        }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UplinkFault {
    /// A stable name.
    pub code: String,
    /// What it was, causes included.
    pub message: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What is counted while the host runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    dead_letters: Mutex<BTreeMap<&'static str, u64>>,
    link: Mutex<Link>,
    /// When it was last told that messages reach nobody.
    told_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Link {
    state: LinkState,
    connected_since: Option<Timestamp>,
    last_error: Option<UplinkFault>,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn count(counts: &Mutex<BTreeMap<&'static str, u64>>, reason: &'static str, more: u64) {
    let mut counts = counts.lock();
    if more > 0 && (counts.len() < REASONS_MAX || counts.contains_key(reason)) {
        *counts.entry(reason).or_default() += more;
    }
}

fn told(counts: &Mutex<BTreeMap<&'static str, u64>>) -> BTreeMap<String, u64> {
    let counts = counts.lock();
    let pairs = counts.iter();
    pairs
        .map(|(reason, count)| ((*reason).to_owned(), *count))
        .collect()
}

impl Counters {
    pub(crate) fn dropped(&self, reason: &'static str, more: u64) {
        count(&self.dropped, reason, more);
    }

    /// Whether it was not told within `every` that messages reach nobody; it is now.
    pub(crate) fn is_to_be_told(&self, every: Duration) -> bool {
        let mut told_at = self.told_at.lock();
        let due = told_at.is_none_or(|at| at.elapsed() >= every);
        if due {
            *told_at = Some(Instant::now());
        }
        due
    }

    pub(crate) fn dead_letter(&self, reason: &'static str) {
        count(&self.dead_letters, reason, 1);
    }

    pub(crate) fn enter(&self, state: LinkState) {
        let mut link = self.link.lock();
        if state == LinkState::Connected && link.connected_since.is_none() {
            link.connected_since = Some(Timestamp::now());
        } else if state != LinkState::Connected {
            link.connected_since = None;
        }
        link.state = state;
    }

    pub(crate) fn failed(&self, code: &str, message: String) {
        self.link.lock().last_error = Some(UplinkFault {
            code: code.to_owned(),
            message,
            at: Timestamp::now(),
        });
    }

    /// Fills in what is counted here.
    pub(crate) fn tell(&self, status: &mut UplinkStatus) {
        let link = self.link.lock();
        status.state = link.state;
        status.connected_since = link.connected_since;
        status.last_error.clone_from(&link.last_error);
        drop(link);
        status.in_flight = read(&self.in_flight);
        status.connections_total = read(&self.connections);
        status.sent_total = read(&self.sent);
        status.acknowledged_total = read(&self.acknowledged);
        status.received_total = read(&self.received);
        status.dropped_total = told(&self.dropped);
        status.dead_letters_total = told(&self.dead_letters);
    }
}
