//! The gate of a device that starts without the time.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use selvedge_artifact::{PackagePattern, Release};
use selvedge_signer::LocalPublisher;
use selvedge_signing::{Candidate, VerifiedArtifact, Verifier};

use super::{Gate, GateError, Local, Record, SHIPPED};
use crate::names::Reference;
use crate::storage::Storage;

/// A device in a folder, and what its site trusts.
struct Site {
    folder: tempfile::TempDir,
    publisher: LocalPublisher,
    verifier: Arc<Verifier>,
}

impl Site {
    fn new() -> Self {
        let packages = PackagePattern::Namespace("acme".to_owned());
        let now = Timestamp::now();
        let (publisher, verifier) = LocalPublisher::new("acme", &packages, now).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            publisher,
            verifier: Arc::new(verifier),
        }
    }

    /// The device, started.
    fn gate(&self) -> Gate {
        let record = Record::open(&Storage::open(self.folder.path()).unwrap()).unwrap();
        Gate {
            site: ArcSwapOption::from(Some(Arc::clone(&self.verifier))),
            config: None,
            shipped: Local::new(SHIPPED, record.now()).unwrap(),
            development: None,
            record: Mutex::new(record),
            unbelieved: Mutex::default(),
        }
    }

    /// Leaves the clock a day behind what the device has proof of.
    fn set_clock_back(&self) {
        let storage = Storage::open(self.folder.path()).unwrap();
        let ahead = Timestamp::now() + SignedDuration::from_hours(24);
        let bucket = storage.bucket("$trust", 1 << 20).unwrap();
        bucket
            .set("time", format!("\"{ahead}\"").as_bytes())
            .unwrap();
    }

    fn release(&self, version: &str) -> (Reference, Candidate) {
        let release = Release {
            package: "acme/thermostat".parse().unwrap(),
            version: version.parse().unwrap(),
            created: None,
            summary: Default::default(),
            plugin: None,
            component: b"\0asm\x0d\0\x01\0".as_slice().into(),
        };
        let component = release.component.clone();
        let packaged = release.package().unwrap();
        let reference = format!("localhost/acme/thermostat:{version}");
        let reference: Reference = reference.parse().unwrap();
        let candidate = Candidate {
            bundles: vec![self.publisher.release(&packaged).unwrap()],
            config: packaged.blobs[0].1.clone(),
            layers: vec![component],
            manifest: packaged.manifest.clone(),
        };
        (reference.with_digest(packaged.digest()), candidate)
    }
}

/// The candidate with no signature that could be verified.
fn unverifiable(candidate: &Candidate) -> Candidate {
    Candidate {
        bundles: Vec::new(),
        ..candidate.clone()
    }
}

fn code(admitted: Result<VerifiedArtifact, GateError>) -> &'static str {
    admitted.as_ref().map_or_else(GateError::code, |_| "ok")
}

fn run(gate: &Gate, (reference, candidate): &(Reference, Candidate)) {
    let admitted = gate.admit(reference, candidate).unwrap();
    gate.accept(&[admitted.origin()]).unwrap();
}

#[test]
fn what_ran_before_starts_again_on_a_device_without_the_time() {
    let site = Site::new();
    let (reference, candidate) = site.release("1.2.0");
    let unverifiable = unverifiable(&candidate);
    {
        let gate = site.gate();
        assert_eq!(code(gate.admit(&reference, &unverifiable)), "unsigned");
        let installed = gate.admit(&reference, &candidate).unwrap();
        assert!(!installed.origin().from_record());
        gate.accept(&[installed.origin()]).unwrap();
    }
    site.set_clock_back();
    // However often it starts.
    for _ in 0..2 {
        let gate = site.gate();
        let resumed = gate.admit(&reference, &unverifiable).unwrap();
        assert!(resumed.origin().from_record());
        gate.accept(&[resumed.origin()]).unwrap();
        // What can be verified is.
        let verified = gate.admit(&reference, &candidate).unwrap();
        assert!(!verified.origin().from_record());
        // What never ran does not start.
        let (other, candidate) = site.release("1.3.0");
        let candidate = self::unverifiable(&candidate);
        assert_eq!(code(gate.admit(&other, &candidate)), "unsigned");
    }
}

#[test]
fn a_device_that_knows_the_time_verifies_signatures() {
    let site = Site::new();
    let (reference, candidate) = site.release("1.2.0");
    let gate = site.gate();
    run(&gate, &(reference.clone(), candidate.clone()));
    let unverifiable = unverifiable(&candidate);
    assert_eq!(code(gate.admit(&reference, &unverifiable)), "unsigned");
}

#[test]
fn only_what_the_last_two_deployments_ran_is_remembered() {
    let site = Site::new();
    let releases = ["1.0.0", "1.1.0", "1.2.0"].map(|version| site.release(version));
    {
        let gate = site.gate();
        for release in &releases {
            run(&gate, release);
            // Starting it again puts nothing out of the record.
            run(&gate, release);
        }
    }
    site.set_clock_back();
    let gate = site.gate();
    let codes = releases.map(|(reference, candidate)| {
        let admitted = gate.admit(&reference, &unverifiable(&candidate));
        code(admitted)
    });
    assert_eq!(codes, ["unsigned", "ok", "ok"]);
}
