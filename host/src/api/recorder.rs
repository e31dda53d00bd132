//! Remembers what passes under `$selvedge/`: log lines, dead letters, states, and
//! how deployments go.
//!
//! For whoever asks later. Bounded in plugins, entries and bytes; the oldest
//! goes first. It reads from an inbox that drops when it is full, so nobody on
//! the bus ever waits for it. Of the host's own log only lines about deployments
//! and units are kept: the journal keeps more and outlives the process.

mod entries;
mod of_host;
mod ring;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::ring::Ring;
use super::wire::{DeadLetter, LogLine};
use crate::bus::{Bus, InboxLimits, Message};
use crate::deployment::deployments::Deployments;
use crate::deployment::report::{DeploymentId, Event, Phase};
use crate::names::TopicFilter;
use crate::spec::Overflow;
use crate::supervisor::{UnitContext, UnitResult};

/// Whose lines those of the host are; no plugin is called this.
const HOST: &str = "";
/// Plugins of which something is remembered; the one that was silent longest is
/// forgotten.
const PLUGINS_MAX: usize = 256;
/// Lines of one plugin, and their bytes.
const LINES_MAX: usize = 256;
const LINES_BYTES_MAX: usize = 64 << 10;
/// Dead letters of one plugin, and their bytes.
const DEAD_MAX: usize = 64;
const DEAD_BYTES_MAX: usize = 256 << 10;
/// Entries that one who follows may be behind.
const FOLLOW_MAX: usize = 1024;
/// Units whose states are remembered.
const UNITS_MAX: usize = 1024;
/// What waits to be remembered.
const INBOX: InboxLimits = InboxLimits {
    messages_max: 4096,
    bytes_max: 8 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};
/// Messages taken at once.
const BATCH: usize = 256;
/// How often it looks at the inboxes of plugins, and shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// Pauses of swaps up to so many microseconds, for the histogram.
pub(super) const PAUSES_US: [u64; 8] = [100, 250, 500, 1_000, 2_500, 5_000, 25_000, 250_000];

/// Remembers.
#[derive(Debug)]
pub(super) struct Recorder {
    rings: Mutex<Rings>,
    watched: Mutex<Watched>,
    lines: broadcast::Sender<Arc<LogLine>>,
    dead: broadcast::Sender<Arc<DeadLetter>>,
}

#[derive(Debug, Default)]
struct Rings {
    /// Numbers all entries in their order.
    next: u64,
    by_plugin: BTreeMap<String, Rows>,
}

#[derive(Debug)]
struct Rows {
    touched: u64,
    lines: Ring<LogLine>,
    dead: Ring<DeadLetter>,
}

/// What is seen of units, plugins and deployments.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) units: BTreeMap<String, SeenUnit>,
    pub(super) inboxes: BTreeMap<String, SeenInbox>,
    /// Deployments that ended, by outcome.
    pub(super) outcomes: BTreeMap<&'static str, u64>,
    pub(super) pauses: Pauses,
    /// Deployments whose end was counted last.
    counted: Vec<DeploymentId>,
    /// When it last showed that it is alive.
    pub(super) beat: Option<Instant>,
}

/// How a unit fared so far.
#[derive(Clone, Debug)]
pub(super) struct SeenUnit {
    pub(super) since: Instant,
    pub(super) failures_total: u64,
    pub(super) failed_at: Option<Instant>,
    pub(super) error: Option<String>,
}

/// How the inbox of a party fared so far.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenInbox {
    pub(super) dropped_total: u64,
    pub(super) dropped_at: Option<Instant>,
    pub(super) full_since: Option<Instant>,
}

/// Pauses of swaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Pauses {
    /// How many were no longer than each of [`PAUSES_US`].
    pub(super) up_to: [u64; PAUSES_US.len()],
    pub(super) count: u64,
    pub(super) sum_us: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            rings: Mutex::default(),
            watched: Mutex::default(),
            lines: broadcast::channel(FOLLOW_MAX).0,
            dead: broadcast::channel(FOLLOW_MAX).0,
        }
    }
}

impl Recorder {
    /// Remembers what passes, until told to stop.
    pub(super) async fn run(
        self: Arc<Self>,
        bus: Bus,
        deployments: Deployments,
        context: UnitContext,
    ) -> UnitResult {
        let system = |part: &str| -> TopicFilter {
            let filter = format!("$selvedge/{part}/#").parse();
            filter.expect("a constant that is a filter")
        };
        let filters = ["log", "dead-letter", "state"].map(system);
        let mut inbox = bus.host_party().subscribe(&filters, INBOX)?;
        let mut events = deployments.events();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        context.ready();
        loop {
            tokio::select! {
                () = context.stop.cancelled() => return Ok(()),
                () = inbox.receive(BATCH, &mut batch) => {
                    batch.drain(..).for_each(|message| self.take(&message));
                }
                event = events.recv() => match event {
                    Ok(event) => self.count(&event, &deployments),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                _ = beat.tick() => self.look(&bus, &deployments),
            }
        }
    }

    fn take(&self, message: &Message) {
        let mut levels = message.topic.as_str().splitn(3, '/').skip(1);
        match (levels.next(), levels.next()) {
            (Some("log"), Some(plugin)) => {
                let Some(line) = entries::line(plugin, message) else {
                    return;
                };
                self.keep(plugin, line);
            }
            (Some("dead-letter"), Some(plugin)) => {
                let letter = Arc::new(entries::dead_letter(plugin, message, DEAD_BYTES_MAX));
                let mut rings = self.rings.lock();
                let (number, rows) = rings.rows(plugin);
                rows.dead.push(
                    number,
                    Arc::clone(&letter),
                    entries::dead_letter_bytes(&letter),
                );
                drop(self.dead.send(letter));
            }
            (Some("state"), Some(unit)) => {
                self.watched.lock().state(unit, message);
                if let Some(line) = of_host::unit(unit, message) {
                    self.keep(HOST, line);
                }
            }
            _ => {}
        }
    }

    fn keep(&self, source: &str, line: LogLine) {
        let line = Arc::new(line);
        let mut rings = self.rings.lock();
        let (number, rows) = rings.rows(source);
        rows.lines
            .push(number, Arc::clone(&line), entries::line_bytes(&line));
        // Nobody may be following.
        drop(self.lines.send(line));
    }

    fn count(&self, event: &Event, deployments: &Deployments) {
        match event {
            Event::Phase { deployment, phase } => {
                self.watched.lock().ended(*deployment, *phase);
                if let Some(report) = deployments.report(*deployment) {
                    let lines = of_host::deployment(&report, *phase).into_iter();
                    lines.for_each(|line| self.keep(HOST, line));
                }
            }
            Event::Swapped { swap, .. } => self.watched.lock().pauses.add(swap.pause_us),
            Event::Progress { .. } => {}
        }
    }

    /// Looks which inboxes are full, and which drop.
    fn look(&self, bus: &Bus, deployments: &Deployments) {
        let parties = bus.parties();
        let plugins = deployments.plugins();
        let now = Instant::now();
        let mut watched = self.watched.lock();
        watched.beat = Some(now);
        watched
            .inboxes
            .retain(|name, _| plugins.iter().any(|plugin| plugin.plugin.as_str() == name));
        for plugin in plugins {
            let name = plugin.plugin.as_str();
            let Some(party) = parties.iter().find(|party| party.name.as_str() == name) else {
                continue;
            };
            let is_new = !watched.inboxes.contains_key(name);
            let seen = watched.inboxes.entry(name.to_owned()).or_default();
            if party.dropped_total > seen.dropped_total && !is_new {
                seen.dropped_at = Some(now);
            }
            seen.dropped_total = party.dropped_total;
            let is_full = party.inbox_messages >= u64::from(plugin.inbox_messages_max);
            seen.full_since = is_full.then(|| seen.full_since.unwrap_or(now));
        }
    }

    /// What is seen of units, plugins and deployments.
    pub(super) fn watched<T>(&self, look: impl FnOnce(&Watched) -> T) -> T {
        look(&self.watched.lock())
    }

    /// The last `max` lines, oldest first, and those to come.
    pub(super) fn lines(
        &self,
        plugin: Option<&str>,
        max: usize,
    ) -> (Vec<Arc<LogLine>>, broadcast::Receiver<Arc<LogLine>>) {
        let rings = self.rings.lock();
        let last = rings.last(plugin, max, |rows| &rows.lines);
        (last, self.lines.subscribe())
    }

    /// The same for dead letters.
    pub(super) fn dead_letters(
        &self,
        plugin: Option<&str>,
        max: usize,
    ) -> (Vec<Arc<DeadLetter>>, broadcast::Receiver<Arc<DeadLetter>>) {
        let rings = self.rings.lock();
        let last = rings.last(plugin, max, |rows| &rows.dead);
        (last, self.dead.subscribe())
    }
}

impl Rings {
    /// The rows of `plugin`, with a number for what comes into them.
    fn rows(&mut self, plugin: &str) -> (u64, &mut Rows) {
        let number = self.next;
        self.next += 1;
        if self.by_plugin.len() >= PLUGINS_MAX && !self.by_plugin.contains_key(plugin) {
            let silent = self.by_plugin.iter().min_by_key(|(_, rows)| rows.touched);
            if let Some(silent) = silent.map(|(name, _)| name.clone()) {
                self.by_plugin.remove(&silent);
            }
        }
        let rows = self.by_plugin.entry(plugin.to_owned());
        let rows = rows.or_insert_with(|| Rows {
            touched: number,
            lines: Ring::new(LINES_MAX, LINES_BYTES_MAX),
            dead: Ring::new(DEAD_MAX, DEAD_BYTES_MAX),
        });
        rows.touched = number;
        (number, rows)
    }

    fn last<T>(
        &self,
        plugin: Option<&str>,
        max: usize,
        ring: impl Fn(&Rows) -> &Ring<T>,
    ) -> Vec<Arc<T>> {
        let wanted = self.by_plugin.iter();
        let wanted = wanted.filter(|(name, _)| plugin.is_none_or(|plugin| plugin == *name));
        let mut found: Vec<_> = wanted.flat_map(|(_, rows)| ring(rows).iter()).collect();
        found.sort_unstable_by_key(|(number, _)| *number);
        let skip = found.len().saturating_sub(max);
        found
            .into_iter()
            .skip(skip)
            .map(|(_, entry)| entry)
            .collect()
    }
}

impl Watched {
    fn state(&mut self, unit: &str, message: &Message) {
        if self.units.len() >= UNITS_MAX && !self.units.contains_key(unit) {
            return;
        }
        let state = entries::state(message);
        let now = Instant::now();
        let seen = self.units.entry(unit.to_owned()).or_insert(SeenUnit {
            since: now,
            failures_total: 0,
            failed_at: None,
            error: None,
        });
        seen.since = now;
        // A kept value is no event.
        if let Some(error) = state.filter(|_| !message.retain) {
            seen.failures_total += 1;
            seen.failed_at = Some(now);
            seen.error = Some(error);
        }
    }

    fn ended(&mut self, deployment: DeploymentId, phase: Phase) {
        if !phase.is_final() || self.counted.contains(&deployment) {
            return;
        }
        let outcome = match phase {
            Phase::Committed => "committed",
            Phase::RolledBack => "rolled-back",
            Phase::Failed => "failed",
            _ => "superseded",
        };
        *self.outcomes.entry(outcome).or_default() += 1;
        self.counted.push(deployment);
        let excess = self.counted.len().saturating_sub(64);
        self.counted.drain(..excess);
    }
}

impl Pauses {
    fn add(&mut self, pause_us: u64) {
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(pause_us);
        for (bound, count) in PAUSES_US.iter().zip(&mut self.up_to) {
            *count += u64::from(pause_us <= *bound);
        }
    }
}

#[cfg(test)]
mod tests;
