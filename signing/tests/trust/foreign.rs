//! python-tuf writes and we read; we write and python-tuf's client reads.
//!
//! `tests/peers/tuf/write.py` says what each case is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use jiff::Timestamp;
use selvedge_signer::Lifetimes;
use selvedge_signing::Trust;

use crate::world::{
    Device, Folder, Site, files, keys, now, number, policy, read, read_files, write,
};

/// What `write.py` wrote.
static WRITTEN: LazyLock<Folder> = LazyLock::new(|| {
    let folder = Folder::new();
    let output = python("write.py").arg(&folder.0).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn python(script: &str) -> Command {
    let python = root().join("target/peers/bin/python");
    let there = Command::new(&python).args(["-c", "import tuf"]).output();
    assert!(
        there.is_ok_and(|output| output.status.success()),
        "no Python with tuf at {}: run `cargo xtask peers`",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root().join("tests/peers/tuf").join(script));
    command
}

fn case(name: &str) -> selvedge_signing::RepositoryFiles {
    read_files(&WRITTEN.0.join(name))
}

fn device(root: &str) -> Device {
    Device::new(&read(&WRITTEN.0.join(root)))
}

/// A device that has seen the second state.
fn seen() -> Device {
    let mut device = device("root.json");
    assert_eq!(device.update(case("good-1")).unwrap(), 1);
    assert_eq!(device.update(case("good-2")).unwrap(), 2);
    device
}

#[test]
fn what_python_tuf_writes_is_believed() {
    for (name, expected) in [("good-1", 1), ("good-2", 2), ("flat-2", 2)] {
        let mut new = device("root.json");
        assert_eq!(new.update(case(name)).unwrap(), expected, "{name}");
    }
    for (name, expected) in [("delegating", 3), ("rotated", 3), ("recovered", 4)] {
        assert_eq!(seen().update(case(name)).unwrap(), expected, "{name}");
    }
    let mut plain = device("plain-root.json");
    assert_eq!(plain.update(case("plain-1")).unwrap(), 1);
    assert_eq!(plain.update(case("plain-2")).unwrap(), 2);
}

#[test]
fn every_attack_has_its_own_refusal() {
    for (name, code) in [
        ("good-1", "trust-rollback"),
        ("targets-back", "trust-rollback"),
        ("snapshot-back", "trust-rollback"),
        ("timestamp-expired", "trust-expired"),
        ("snapshot-expired", "trust-expired"),
        ("targets-expired", "trust-expired"),
        ("root-expired", "trust-expired"),
        ("delegated-policy", "trust-target-delegated"),
        ("no-policy", "trust-target-not-listed"),
        ("no-root-file", "trust-target-not-listed"),
        ("other-policy", "trust-policy-invalid"),
        ("tampered", "trust-target-tampered"),
        ("unknown-signer", "trust-unsigned"),
        ("too-few", "trust-unsigned"),
        ("usurped", "trust-unsigned"),
        ("stranger", "trust-root-other"),
    ] {
        let device = seen();
        assert_eq!(device.refuses(case(name)), code, "{name}");
    }
    let mut plain = device("plain-root.json");
    plain.update(case("plain-1")).unwrap();
    for (name, code) in [
        ("mixed-snapshot", "trust-mixed"),
        ("mixed-targets", "trust-mixed"),
        ("mixed-policy", "trust-target-tampered"),
        ("plain-1", "none"),
    ] {
        match Trust::update(&plain.root, &plain.stored, case(name), now()) {
            Err(error) => assert_eq!(error.code(), code, "{name}"),
            Ok((_, stored)) => assert_eq!((number(&stored), code), (1, "none"), "{name}"),
        }
    }
}

#[test]
fn versions_that_a_thief_drove_up_are_taken_back_by_new_online_keys() {
    let mut device = seen();
    device.update(case("fast-forward")).unwrap();
    assert_eq!(device.refuses(case("good-2")), "trust-rollback");
    assert_eq!(device.update(case("recovered")).unwrap(), 4);
}

#[test]
fn python_tufs_client_reads_what_we_write() {
    let mut site = Site::at(Timestamp::now(), keys());
    let folder = Folder::new();
    let given = folder.0.join("root.json");
    write(&given, &site.root);
    let store = folder.0.join("store");
    let check = |site: &Site, expected: u32| {
        let output = python("read.py")
            .args([&given, &site.path(), &store])
            .args(["policy.json", "roots/trusted_root.json"])
            .output()
            .unwrap();
        let mut text = policy(expected).to_bytes();
        text.extend_from_slice(&files(expected)[0].1);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&text),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    check(&site, 1);
    for number in [2, 3] {
        let lifetimes = Lifetimes::default();
        site.repository
            .publish(
                &site.keys,
                &policy(number),
                &files(number),
                lifetimes,
                Timestamp::now(),
            )
            .unwrap();
        check(&site, number);
        // New keys for every role; the client still has the first root.
        let new = keys();
        site.repository
            .rotate(&site.keys.root, &new, lifetimes, Timestamp::now())
            .unwrap();
        site.keys = new;
        check(&site, number);
        site.repository
            .refresh(&site.keys.online, lifetimes, Timestamp::now())
            .unwrap();
        check(&site, number);
    }
}
