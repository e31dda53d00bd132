//! Keeps the bus's retained values on the disk.
//!
//! Values below `$selvedge/` are the host's own account of itself and begin
//! afresh with it; all others are there again before anything runs. A value is
//! on the disk before its publisher is told that it is: changes of many publishers
//! are written together. Values for which nobody waits are written a little later,
//! because most are soon replaced.

mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use self::record::{Now, OVERHEAD_BYTES_MAX, Read};
use crate::bus::{Bus, BusLimits, KeptChange, KeptChanges, KeptPending, KeptValue};
use crate::names::{Digest, Topic};
use crate::storage::{Bucket, BucketError, Storage};
use crate::supervisor::{RestartPolicy, Unit, UnitContext, UnitResult, WhenLost};

/// Whose bucket it is; no plugin can have this name.
const BUCKET: &str = "$retained";

/// Changes written together, and their bytes.
const BATCH_MESSAGES_MAX: usize = 1024;
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// How long a change that nobody waits for may wait for others.
const DELAY: Duration = Duration::from_millis(250);

/// How often expired values are looked for.
const SWEEP: Duration = Duration::from_secs(10);

const POLICY: RestartPolicy = RestartPolicy {
    delay_min: Duration::from_millis(500),
    delay_max: Duration::from_secs(30),
    // What cannot be written now may be written later; publishers wait until then.
    failures_max: usize::MAX,
    window: Duration::from_secs(600),
    when_lost: WhenLost::KeepHost,
};

/// Why the values kept before are not known.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error("cannot read the retained values")]
    Read(#[source] BucketError),
}

impl RetentionError {
    /// A stable name for API replies, metrics and alerts. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "retention-unreadable",
        }
    }
}

/// What became of values on the way to the disk and back. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct RetentionStatus(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    restored: AtomicU64,
    unrestored: AtomicU64,
    saved: AtomicU64,
    unsaved: AtomicU64,
}

impl RetentionStatus {
    /// Values that were there again at the start.
    pub fn restored(&self) -> u64 {
        self.0.restored.load(Ordering::Relaxed)
    }

    /// Values that were on the disk but could not be read or had no room.
    pub fn unrestored(&self) -> u64 {
        self.0.unrestored.load(Ordering::Relaxed)
    }

    /// Changes written.
    pub fn saved_total(&self) -> u64 {
        self.0.saved.load(Ordering::Relaxed)
    }

    /// Values that the quota did not let onto the disk: they are kept in memory alone.
    pub fn unsaved_total(&self) -> u64 {
        self.0.unsaved.load(Ordering::Relaxed)
    }
}

/// Puts the values kept before onto `bus`, before anybody publishes there, and makes
/// the unit that keeps them from now on.
pub fn open(
    storage: &Storage,
    bus: &Bus,
    limits: &BusLimits,
) -> Result<(RetentionStatus, Unit), RetentionError> {
    let bytes_max = limits
        .retained_bytes_max
        .saturating_add(OVERHEAD_BYTES_MAX.saturating_mul(limits.retained_messages_max.into()));
    let bucket = storage.bucket(BUCKET, bytes_max);
    let keeper = Keeper {
        bucket: bucket.map_err(RetentionError::Read)?,
        bus: bus.clone(),
        status: RetentionStatus::default(),
    };
    keeper.restore().map_err(RetentionError::Read)?;
    let status = keeper.status.clone();
    let unit = Unit::new("retention", POLICY, move |context| {
        keep(keeper.clone(), context)
    });
    Ok((status, unit))
}

async fn keep(keeper: Keeper, context: UnitContext) -> UnitResult {
    context.ready();
    let mut sweep = Instant::now() + SWEEP;
    while !context.stop.is_cancelled() {
        tokio::select! {
            () = context.stop.cancelled() => {}
            () = due(&keeper.bus) => {}
            () = sleep_until(sweep) => {
                keeper.bus.expire_kept();
                sweep = Instant::now() + SWEEP;
            }
        }
        save(&keeper).await?;
    }
    // What came while the last was written.
    save(&keeper).await
}

/// Waited for, so that nothing older is written after something newer.
async fn save(keeper: &Keeper) -> UnitResult {
    let keeper = keeper.clone();
    tokio::task::spawn_blocking(move || keeper.save()).await??;
    Ok(())
}

/// Until something is to be written.
async fn due(bus: &Bus) {
    let mut latest = None;
    loop {
        let until = match bus.kept_pending() {
            KeptPending::Awaited => return,
            KeptPending::Nothing => None,
            KeptPending::Some => Some(*latest.get_or_insert_with(|| Instant::now() + DELAY)),
        };
        tokio::select! {
            () = bus.kept_changed() => {}
            () = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            } => return,
        }
    }
}

/// Writes what is kept. Its methods touch the disk.
#[derive(Clone)]
struct Keeper {
    bucket: Bucket,
    bus: Bus,
    status: RetentionStatus,
}

impl Keeper {
    fn restore(&self) -> Result<(), BucketError> {
        let now = Now::read();
        let (mut values, mut gone) = (Vec::new(), Vec::new());
        for key in self.all_keys()? {
            let Some(found) = self.bucket.get(&key)? else {
                continue;
            };
            match record::read(&found, now) {
                Read::Value(value) if key == key_of(&value.message.topic) => values.push(value),
                Read::Expired => gone.push(key),
                Read::Value(_) | Read::Unreadable => {
                    warn!(key, "retained value unreadable");
                    self.status.0.unrestored.fetch_add(1, Ordering::Relaxed);
                    gone.push(key);
                }
            }
        }
        for keys in gone.chunks(BATCH_MESSAGES_MAX) {
            let removals: Vec<_> = keys.iter().map(|key| (key.as_str(), None)).collect();
            self.bucket.apply(&removals)?;
        }
        // As they were published, whatever their keys.
        values.sort_by_key(|value| value.message.published_at);
        let count = values.len();
        let refused = self.bus.restore_kept(values);
        for topic in &refused {
            warn!(%topic, "retained value has no room");
        }
        let status = &self.status.0;
        status
            .unrestored
            .fetch_add(refused.len() as u64, Ordering::Relaxed);
        let restored = count - refused.len();
        status
            .restored
            .fetch_add(restored as u64, Ordering::Relaxed);
        info!(values = restored, "retained values restored");
        Ok(())
    }

    /// Writes all that is to be written.
    fn save(&self) -> Result<(), BucketError> {
        loop {
            match self.bus.kept_changes(BATCH_MESSAGES_MAX, BATCH_BYTES_MAX) {
                KeptChanges::Some(changes) if changes.is_empty() => return Ok(()),
                KeptChanges::Some(changes) => {
                    let entries = changes.iter().map(entry);
                    self.write(entries)?;
                    self.bus.saved_kept(&changes);
                }
                KeptChanges::All { values, upto } => {
                    self.save_all(&values)?;
                    self.bus.saved_all_kept(upto);
                }
            }
        }
    }

    /// Makes the disk hold these values and no others.
    fn save_all(&self, values: &[KeptValue]) -> Result<(), BucketError> {
        let wanted: std::collections::HashSet<_> = values
            .iter()
            .map(|value| key_of(&value.message.topic))
            .collect();
        let keys = self.all_keys()?.into_iter();
        let gone: Vec<_> = keys.filter(|key| !wanted.contains(key)).collect();
        for keys in gone.chunks(BATCH_MESSAGES_MAX) {
            let removals: Vec<_> = keys.iter().map(|key| (key.as_str(), None)).collect();
            self.bucket.apply(&removals)?;
        }
        let mut rest = values;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |value: &&KeptValue| {
                bytes += value.message.size();
                bytes <= BATCH_BYTES_MAX
            };
            let count = rest
                .iter()
                .take(BATCH_MESSAGES_MAX)
                .take_while(fits)
                .count();
            let (batch, later) = rest.split_at(count.max(1));
            let entries = batch
                .iter()
                .map(|value| (&value.message.topic, Some(value)));
            self.write(entries)?;
            rest = later;
        }
        Ok(())
    }

    /// Writes entries together or, where that is beyond the quota, as many as fit.
    fn write<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Topic, Option<&'a KeptValue>)>,
    ) -> Result<(), BucketError> {
        let now = Now::read();
        let records: Vec<_> = entries
            .map(|(topic, value)| {
                let record = value.map(|value| record::write(value, now));
                (topic, key_of(topic), record)
            })
            .collect();
        let changes: Vec<_> = records
            .iter()
            .map(|(_, key, record)| (key.as_str(), record.as_deref()))
            .collect();
        match self.bucket.apply(&changes) {
            Err(BucketError::Quota { .. }) => {
                for (topic, key, record) in &records {
                    self.write_one(topic, key, record.as_deref())?;
                }
            }
            written => written?,
        }
        let saved = &self.status.0.saved;
        saved.fetch_add(records.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// What does not fit is not on the disk, and nothing older in its place either.
    fn write_one(
        &self,
        topic: &Topic,
        key: &str,
        record: Option<&[u8]>,
    ) -> Result<(), BucketError> {
        match self.bucket.apply(&[(key, record)]) {
            Err(BucketError::Quota { bytes_max, .. }) => {
                warn!(%topic, bytes_max, "retained value beyond the quota of the disk");
                self.status.0.unsaved.fetch_add(1, Ordering::Relaxed);
                self.bucket.delete(key)
            }
            written => written,
        }
    }

    fn all_keys(&self) -> Result<Vec<String>, BucketError> {
        let mut all = Vec::new();
        loop {
            let (mut keys, more) = self.bucket.keys(all.len() as u64)?;
            all.append(&mut keys);
            if !more {
                return Ok(all);
            }
        }
    }
}

fn entry(change: &KeptChange) -> (&Topic, Option<&KeptValue>) {
    (&change.topic, change.value.as_ref())
}

/// Topics may be longer than keys.
fn key_of(topic: &Topic) -> String {
    Digest::of(topic.as_str().as_bytes()).to_string()
}

#[cfg(test)]
mod tests;
