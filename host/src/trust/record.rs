//! What the device remembers of what it accepted.
//!
//! One value in the store for each package and one for the time, each written
//! whole. Losing them would let older versions in again, and what was verified
//! stands in for signatures while the clock is behind, so they are security
//! state: they are in the data directory, which only the host may write to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use selvedge_signing::{AcceptedRelease, Origin, Purpose, StoredTrust};
use semver::Version;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::names::{Digest, PackageName};
use crate::storage::{Bucket, BucketError, Storage};

/// Names of plugins have no `$`.
const BUCKET: &str = "$trust";
/// Bytes: a trust repository, and a few thousand for each package ever accepted.
const BYTES_MAX: u64 = 64 << 20;
/// What the keys of packages begin with.
const PACKAGE: &str = "package/";
/// No clock is believed that is before this: when this was written.
const TIME_MIN: Timestamp = Timestamp::constant(1_795_305_600, 0);

/// Why the device does not know what it accepted.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot read or write what this device accepted before")]
    Bucket(#[from] BucketError),
    #[error("what this device accepted before cannot be understood: `{key}` in the data directory")]
    Unreadable {
        key: String,
        source: serde_json::Error,
    },
}

/// What is remembered of a package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Accepted {
    highest: Option<Version>,
    /// What the last deployment runs of it.
    current: BTreeSet<Digest>,
    /// What the one before ran, to go back to.
    previous: BTreeSet<Digest>,
    /// What was verified of these two.
    releases: Vec<AcceptedRelease>,
}

/// What the device remembers.
#[derive(Debug)]
pub(super) struct Record {
    bucket: Bucket,
    time_min: Timestamp,
}

impl Record {
    pub(super) fn open(storage: &Storage) -> Result<Self, RecordError> {
        let bucket = storage.bucket(BUCKET, BYTES_MAX)?;
        let mut record = Self {
            bucket,
            time_min: TIME_MIN,
        };
        let kept: Option<Timestamp> = record.get("time")?;
        record.time_min = TIME_MIN.max(kept.unwrap_or(TIME_MIN));
        Ok(record)
    }

    /// The time: the clock's, but never before what the device has proof of.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now().max(self.time_min)
    }

    /// Whether the clock says less than what the device has proof of.
    fn clock_is_behind(&self) -> bool {
        Timestamp::now() < self.time_min
    }

    /// Remembers that it was at least `time`, by a policy that `expires`.
    fn seen(&mut self, time: Timestamp, expires: Option<Timestamp>) -> Result<(), RecordError> {
        if time > self.time_min && time <= latest(Timestamp::now(), self.time_min, expires) {
            self.time_min = time;
            self.set("time", &time)?;
        }
        Ok(())
    }

    pub(super) fn highest(&self, package: &PackageName) -> Result<Option<Version>, RecordError> {
        Ok(self.accepted(package)?.highest)
    }

    /// What it means for this device to run `digest`.
    pub(super) fn purpose(
        &self,
        package: &PackageName,
        digest: &Digest,
    ) -> Result<Purpose, RecordError> {
        let accepted = self.accepted(package)?;
        Ok(match digest {
            _ if accepted.current.contains(digest) => Purpose::Resume,
            _ if accepted.previous.contains(digest) => Purpose::Return,
            _ => Purpose::Install,
        })
    }

    /// What was verified of `digest` when the device accepted it, while its clock
    /// is behind; nothing while it is not, for then signatures can be verified.
    pub(super) fn standing_in(
        &self,
        package: &PackageName,
        digest: &Digest,
    ) -> Result<Vec<AcceptedRelease>, RecordError> {
        if !self.clock_is_behind() {
            return Ok(Vec::new());
        }
        let mut releases = self.accepted(package)?.releases;
        releases.retain(|release| release.artifact() == *digest);
        Ok(releases)
    }

    /// What the last two deployments of each package ran.
    pub(super) fn all_accepted(&self) -> Result<Vec<Digest>, RecordError> {
        let mut digests = Vec::new();
        let mut seen = 0;
        loop {
            let (keys, more) = self.bucket.keys(seen)?;
            seen += keys.len() as u64;
            for key in keys.iter().filter(|key| key.starts_with(PACKAGE)) {
                let accepted: Accepted = self.get(key)?.unwrap_or_default();
                digests.extend(accepted.current.into_iter().chain(accepted.previous));
            }
            if !more {
                return Ok(digests);
            }
        }
    }

    /// Remembers what a deployment runs, by a policy that `expires`.
    pub(super) fn accept(
        &mut self,
        artifacts: &[&Origin],
        expires: Option<Timestamp>,
    ) -> Result<(), RecordError> {
        let packages: BTreeSet<_> = artifacts
            .iter()
            .map(|artifact| artifact.package())
            .collect();
        for package in packages {
            let of_package = || {
                let of_package = artifacts.iter();
                of_package.filter(|artifact| artifact.package() == package)
            };
            let known = self.accepted(package)?;
            let mut accepted = known.clone();
            let versions = of_package().map(|artifact| artifact.version().clone());
            accepted.highest = versions.chain(accepted.highest).max();
            let current = of_package().map(|artifact| artifact.digest()).collect();
            if current != accepted.current {
                accepted.previous = std::mem::replace(&mut accepted.current, current);
            }
            let verified = of_package().flat_map(|artifact| artifact.accepted());
            accepted.remember(&verified.collect::<Vec<_>>(), self.clock_is_behind());
            // It is said again as a whole whenever a part of it changes.
            if accepted != known {
                self.set(&format!("{PACKAGE}{package}"), &accepted)?;
            }
        }
        let signed = artifacts.iter().map(|artifact| artifact.signed_at()).max();
        signed.map_or(Ok(()), |signed| self.seen(signed, expires))
    }

    /// What was kept of the trust repository.
    pub(super) fn trust(&self) -> Result<StoredTrust, RecordError> {
        Ok(self.get("repository")?.unwrap_or_default())
    }

    pub(super) fn keep_trust(&mut self, trust: &StoredTrust) -> Result<(), RecordError> {
        self.set("repository", trust)
    }

    fn accepted(&self, package: &PackageName) -> Result<Accepted, RecordError> {
        Ok(self
            .get(&format!("{PACKAGE}{package}"))?
            .unwrap_or_default())
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, RecordError> {
        let value = self.bucket.get(key)?;
        // Taking it for nothing would let older versions in again.
        let read = value
            .map(|value| serde_json::from_slice(&value))
            .transpose();
        read.map_err(|source| RecordError::Unreadable {
            key: key.to_owned(),
            source,
        })
    }

    fn set(&self, key: &str, value: &impl Serialize) -> Result<(), RecordError> {
        let value = serde_json::to_vec(value).expect("records are plain data");
        Ok(self.bucket.set(key, &value)?)
    }
}

impl Accepted {
    /// Remembers what was `verified` in place of what was before. By a clock that
    /// is behind, not all could be: then only of the same publishers.
    fn remember(&mut self, verified: &[&AcceptedRelease], clock_is_behind: bool) {
        let (current, previous) = (&self.current, &self.previous);
        self.releases.retain(|old| {
            let digest = old.artifact();
            let again = verified.iter().any(|new| {
                let by_another = new.publisher() != old.publisher();
                new.artifact() == digest && !(clock_is_behind && by_another)
            });
            !again && (current.contains(&digest) || previous.contains(&digest))
        });
        for release in verified {
            // Several plugins may be of one artifact.
            if !self.releases.contains(release) {
                self.releases.push((*release).clone());
            }
        }
    }
}

/// The latest time that a proof may be from: one from far ahead would make
/// everything expire, for ever. A clock that is behind what there was proof of
/// says nothing; then only the policy does, which the next one outlives.
fn latest(clock: Timestamp, time_min: Timestamp, expires: Option<Timestamp>) -> Timestamp {
    match expires {
        Some(expires) if clock < time_min => time_min.max(expires),
        _ => clock.max(time_min),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use selvedge_signing::AcceptedRelease;

    use super::{Accepted, Record, RecordError, TIME_MIN, latest};
    use crate::names::Digest;
    use crate::storage::Storage;

    fn record(directory: &tempfile::TempDir) -> Record {
        Record::open(&Storage::open(directory.path()).unwrap()).unwrap()
    }

    #[test]
    fn proofs_from_the_future_are_not_believed() {
        let at = |second: i64| Timestamp::constant(second, 0);
        // A clock that goes.
        assert_eq!(latest(at(500), at(100), Some(at(900))), at(500));
        // One that was set back, or has no battery.
        assert_eq!(latest(at(0), at(100), Some(at(900))), at(900));
        assert_eq!(latest(at(0), at(100), Some(at(50))), at(100));
        assert_eq!(latest(at(0), at(100), None), at(100));
    }

    #[test]
    fn the_time_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = Timestamp::now();
        {
            let storage = Storage::open(folder.path()).unwrap();
            let mut record = Record::open(&storage).unwrap();
            record.seen(earlier, None).unwrap();
            record.seen(TIME_MIN, None).unwrap();
            record.seen(Timestamp::MAX, Some(Timestamp::MAX)).unwrap();
        }
        let storage = Storage::open(folder.path()).unwrap();
        assert_eq!(Record::open(&storage).unwrap().time_min, earlier);
    }

    #[test]
    fn a_clock_that_is_set_back_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let ahead = Timestamp::now() + SignedDuration::from_hours(24);
        {
            let record = record(&directory);
            assert!(record.now() >= TIME_MIN);
            // As a host kept it before its clock was set back a day.
            record.set("time", &ahead).unwrap();
        }
        let mut record = record(&directory);
        assert_eq!(record.now(), ahead);
        record
            .seen(ahead - SignedDuration::from_hours(1), None)
            .unwrap();
        assert_eq!(record.now(), ahead);
    }

    #[test]
    fn a_proof_from_the_future_moves_no_clock() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = record(&directory);
        let ahead = Timestamp::now() + SignedDuration::from_hours(24 * 365);
        record.seen(ahead, None).unwrap();
        assert!(record.now() < ahead);
    }

    #[test]
    fn what_a_clock_that_is_behind_cannot_verify_again_is_not_forgotten() {
        let release = |artifact: &[u8], publisher: &str, signed_at: &str| -> AcceptedRelease {
            let key = serde_json::json!({ "key": { "key": Digest::of(publisher.as_bytes()) } });
            let release = serde_json::json!({
                "artifact": Digest::of(artifact),
                "entry": Digest::of(b"entry"),
                "release": { "publisher": publisher, "signer": key, "signed_at": signed_at },
            });
            serde_json::from_value(release).unwrap()
        };
        let (first, later) = ("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z");
        let kept = || Accepted {
            current: [Digest::of(b"current")].into(),
            previous: [Digest::of(b"previous")].into(),
            releases: vec![
                release(b"current", "acme", first),
                release(b"current", "builder", first),
                release(b"previous", "acme", first),
                release(b"older", "acme", first),
            ],
            ..Accepted::default()
        };
        let again = release(b"current", "acme", later);
        let previous = || release(b"previous", "acme", first);
        // One artifact for two plugins.
        let verified = [&again, &again];
        let mut behind = kept();
        behind.remember(&verified, true);
        let by_another = release(b"current", "builder", first);
        assert_eq!(behind.releases, [by_another, previous(), again.clone()]);
        let mut right = kept();
        right.remember(&verified, false);
        assert_eq!(right.releases, [previous(), again.clone()]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let record = record(&directory);
        let package = "acme/thermostat".parse().unwrap();
        assert_eq!(record.highest(&package).unwrap(), None);
        record.bucket.set("package/acme/thermostat", b"{").unwrap();
        let refused = record.highest(&package);
        assert!(matches!(refused, Err(RecordError::Unreadable { .. })));
        let known = Accepted {
            highest: Some("1.2.0".parse().unwrap()),
            ..Accepted::default()
        };
        record.set("package/acme/thermostat", &known).unwrap();
        let highest = record.highest(&package).unwrap();
        assert_eq!(highest, Some("1.2.0".parse().unwrap()));
    }
}
