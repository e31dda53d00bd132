//! Which records can go, by the time that the host lived through.
//!
//! What is forgotten comes off the list of what is revoked, and never back on. A
//! clock that jumped forward says of everything that it ended long ago; so a record
//! goes only after the clock has said so for many hours of the host's own life,
//! which no clock can skip, and took nothing back meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::records::{self, Record};
use super::{Authority, AuthorityError};
use crate::devices::disk::{self, PRIVATE};

/// How long a record is kept after the certificate's end: a revocation list must
/// name it at least once after that (RFC 5280, 3.3).
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 60);
/// Hours of the host's life for which the clock must have said that this is over.
const HOURS: u32 = 24 * 30;
const FILE: &str = "ended.toml";
/// Bytes of the file, with every record in it.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What has ended long ago, as far as the clock can be believed.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    /// Hours that the host has lived.
    hours: u32,
    /// By serial number: how many there were when the clock first said so.
    since: BTreeMap<String, u32>,
}

impl Ended {
    /// One more hour has passed; the serial numbers of what can go.
    fn pass(&mut self, records: &[Record], now: Timestamp) -> Vec<String> {
        self.hours = self.hours.saturating_add(1);
        let hours = self.hours;
        let ended = records
            .iter()
            .filter(|record| now.duration_since(record.not_after) > KEPT);
        let since = |record: &Record| {
            let known = self.since.get(&record.serial).copied();
            let since = known.filter(|since| *since <= hours).unwrap_or(hours);
            (record.serial.clone(), since)
        };
        self.since = ended.map(since).collect();
        let over = self.since.iter();
        let over = over.filter(|(_, since)| hours.saturating_sub(**since) >= HOURS);
        over.map(|(serial, _)| serial.clone()).collect()
    }
}

impl Authority {
    /// Counts an hour that the host lived through, and removes the records that
    /// ended long ago by that too.
    pub(super) fn pass_an_hour(&self, now: Timestamp) -> Result<(), AuthorityError> {
        let (folder, _lock) = self.lock()?;
        let mut ended = self.ended();
        let had_any = !ended.since.is_empty();
        let over = ended.pass(&self.records()?, now);
        if !had_any && ended.since.is_empty() {
            return Ok(());
        }
        let issued = folder.within(Path::new(records::FOLDER))?;
        for serial in over {
            issued.remove(&records::file(&serial))?;
        }
        let path = self.folder.join(FILE);
        let text = toml::to_string(&ended);
        let text = text.map_err(|error| AuthorityError::file(&path, error))?;
        Ok(folder.replace(FILE, text.as_bytes(), PRIVATE)?)
    }

    /// Without a file that can be read it begins anew: what ended is kept longer.
    fn ended(&self) -> Ended {
        let bytes = disk::read(&self.folder.join(FILE), FILE_BYTES_MAX);
        let ended = bytes.ok().and_then(|bytes| toml::from_slice(&bytes).ok());
        ended.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::super::records::Record;
    use super::super::tests::{new, oven, request};
    use super::super::{Authority, KeyType, RequestKey};
    use super::{Ended, FILE, HOURS};
    use crate::tls::Fingerprint;

    fn years(years: i64) -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(24 * 365 * years)
    }

    #[test]
    fn what_ended_can_go_after_a_month_in_which_the_clock_took_nothing_back() {
        let records = [Record {
            device: oven(),
            serial: "4f".to_owned(),
            fingerprint: Fingerprint([7; 32]),
            not_after: years(1),
            revoked: None,
        }];
        let mut ended = Ended::default();
        let pass = |ended: &mut Ended, now| !ended.pass(&records, now).is_empty();
        for _ in 0..HOURS {
            assert!(!pass(&mut ended, years(2)));
        }
        // The clock is set right for a while.
        assert!(!pass(&mut ended, years(1)));
        for _ in 0..HOURS {
            assert!(!pass(&mut ended, years(2)));
        }
        assert!(pass(&mut ended, years(2)));
        // A count that was lost begins anew.
        ended.hours = 0;
        assert!(!pass(&mut ended, years(2)));
    }

    #[test]
    fn a_clock_that_jumps_forward_takes_nothing_off_the_list() {
        let data = tempfile::tempdir().unwrap();
        let authority = Authority::create(data.path(), &new()).unwrap();
        let device = oven();
        let key = RequestKey::New(KeyType::default());
        let serial = authority.issue(&request(&device, key)).unwrap().serial;
        authority
            .revoke(&device, Timestamp::now(), "keyCompromise", |_| true)
            .unwrap();
        let is_listed = || authority.list().unwrap().serials.contains(&serial);
        for now in [years(5), years(0), years(5)] {
            authority.keep(now).unwrap();
            authority.pass_an_hour(now).unwrap();
            authority.keep(now).unwrap();
            assert!(is_listed());
        }
        // What has lived through it all the same goes.
        let lived = format!("hours = {HOURS}\n[since]\n{serial} = 1\n");
        fs_err::write(data.path().join("ca").join(FILE), lived).unwrap();
        authority.pass_an_hour(years(5)).unwrap();
        assert!(authority.records().unwrap().is_empty());
        authority.keep(years(5)).unwrap();
        assert!(!is_listed());
    }
}
