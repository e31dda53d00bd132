//! Where jobs are remembered: a bucket, bounded, the oldest that were told first
//! to go.

use super::record::{Record, Stage};
use crate::storage::{Bucket, BucketError, Storage};

/// Executions that are remembered, so that none is done twice.
pub const RECORDS_MAX: usize = 64;
/// Bytes of all of it: one order, and the ends of the others.
const BYTES_MAX: u64 = 1 << 20;
/// What keys begin with; see [`super::record::ExecutionId::key`].
const PREFIX: &str = "job/";

/// The jobs that are remembered. Blocks.
#[derive(Clone, Debug)]
pub struct Store(Bucket);

impl Store {
    pub fn open(storage: &Storage) -> Result<Self, BucketError> {
        storage.bucket("cloud-jobs", BYTES_MAX).map(Self)
    }

    /// All of them. What cannot be read is as if it had never been.
    pub fn load(&self) -> Result<Vec<Record>, BucketError> {
        let (keys, _) = self.0.keys(0)?;
        let mut records = Vec::new();
        for key in keys.iter().filter(|key| key.starts_with(PREFIX)) {
            let value = self.0.get(key)?.unwrap_or_default();
            records.extend(serde_json::from_slice::<Record>(&value));
        }
        Ok(records)
    }

    /// Remembers `record`, and forgets what is too old, all at once.
    pub fn save(&self, record: &Record) -> Result<(), BucketError> {
        let mut records = self.load()?;
        records.retain(|other| other.id != record.id);
        records.sort_by_key(|record| record.serial);
        let too_many = (records.len() + 1).saturating_sub(RECORDS_MAX);
        let told = records
            .iter()
            .filter(|it| matches!(it.stage, Stage::Told { .. }));
        let old: Vec<_> = told.take(too_many).map(|it| it.id.key()).collect();
        let value = serde_json::to_vec(record).unwrap_or_default();
        let key = record.id.key();
        let mut changes: Vec<(&str, Option<&[u8]>)> = vec![(&key, Some(&value))];
        changes.extend(old.iter().map(|key| (key.as_str(), None)));
        self.0.apply(&changes)
    }
}

#[cfg(test)]
mod tests {
    use super::{RECORDS_MAX, Store};
    use crate::cloud::jobs::record::{ExecutionId, Outcome, Record, Stage};
    use crate::cloud::order::Order;
    use crate::storage::Storage;

    fn record(serial: u64, stage: Stage) -> Record {
        let job = format!("job-{serial}").parse().unwrap();
        let (number, queued_at) = (1, Some(serial));
        let id = ExecutionId {
            job,
            number,
            queued_at,
        };
        let version = Some(2);
        Record {
            id,
            serial,
            version,
            stage,
        }
    }

    #[test]
    fn what_is_unfinished_is_remembered_however_many_come_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Storage::open(directory.path()).unwrap()).unwrap();
        let order = Order::Rollback { to: None };
        let begun = record(1, Stage::Begun { order });
        store.save(&begun).unwrap();
        let outcome = Outcome::failed("x", "because");
        for serial in 2..200 {
            let outcome = outcome.clone();
            store
                .save(&record(serial, Stage::Told { outcome }))
                .unwrap();
        }
        let records = store.load().unwrap();
        assert_eq!(records.len(), RECORDS_MAX);
        assert!(records.contains(&begun));
        assert!(records.iter().any(|record| record.serial == 199));
        store.0.set("job/damaged/1", b"{").unwrap();
        assert_eq!(store.load().unwrap().len(), RECORDS_MAX);
    }

    #[test]
    fn a_record_without_the_time_of_its_execution_is_read_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&Storage::open(directory.path()).unwrap()).unwrap();
        let text = r#"{"id":{"job":"j-1","number":1},"serial":1,"stage":"begun",
            "order":{"operation":"rollback"}}"#;
        store.0.set("job/j-1/1", text.as_bytes()).unwrap();
        let mut records = store.load().unwrap();
        let mut record = records.pop().unwrap();
        assert_eq!(record.id.by(), "cloud job j-1/1");
        let outcome = Outcome::failed("x", "because");
        record.stage = Stage::Told { outcome };
        store.save(&record).unwrap();
        assert_eq!(store.load().unwrap(), [record]);
    }
}
