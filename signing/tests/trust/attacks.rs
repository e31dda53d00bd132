//! What whoever carries a repository to a device may do to it.

use bytes::Bytes;
use selvedge_signing::{RepositoryFiles, StoredTrust, Trust, TrustError};

use crate::world::{Device, Site, days, now};

/// A site at its second policy, the copy of its first, and a device that has seen
/// the second.
fn second() -> (Site, RepositoryFiles, Device) {
    let mut site = Site::new();
    let first = site.copy();
    site.publish(2);
    let mut device = Device::new(&site.root);
    device.update(site.copy()).unwrap();
    (site, first, device)
}

/// `files` with the one of this name changed.
fn with(
    mut files: RepositoryFiles,
    name: &str,
    change: impl FnOnce(&Bytes) -> Vec<u8>,
) -> RepositoryFiles {
    let file = files.get_mut(name).unwrap();
    *file = Bytes::from(change(file));
    files
}

#[test]
fn what_was_current_before_is_refused() {
    let (_, first, device) = second();
    assert_eq!(device.refuses(first), "trust-rollback");
}

#[test]
fn a_root_that_went_back_is_refused() {
    let (mut site, _, mut device) = second();
    let before = site.copy();
    // The same keys, so that all that was signed before is still signed.
    let lifetimes = selvedge_signer::Lifetimes::default();
    site.repository
        .rotate(&site.keys.root, &site.keys, lifetimes, now())
        .unwrap();
    device.update(site.copy()).unwrap();
    assert_eq!(device.refuses(before), "trust-rollback");
    let mut without = site.copy();
    without.remove("metadata/2.root.json");
    assert_eq!(device.refuses(without), "trust-rollback");
    // An older root under the name of the next.
    let mut renamed = site.copy();
    let first = renamed["metadata/1.root.json"].clone();
    renamed.insert("metadata/3.root.json".to_owned(), first);
    assert_eq!(device.refuses(renamed), "trust-rollback");
}

#[test]
fn a_repository_that_is_no_longer_renewed_freezes_nothing() {
    let (site, _, mut device) = second();
    let error = device.update_at(site.copy(), now() + days(31)).unwrap_err();
    assert!(matches!(&error, TrustError::Expired { role, .. } if role == "timestamp"));
    // What was believed is still known, to refuse what was revoked.
    Trust::resume(&device.root, &device.stored).unwrap();
}

#[test]
fn a_policy_that_was_changed_is_refused() {
    let (site, _, device) = second();
    let files = site.copy();
    let name = files
        .keys()
        .filter(|name| name.ends_with(".policy.json"))
        .find(|name| String::from_utf8_lossy(&files[*name]).contains("1.0.2"))
        .unwrap()
        .clone();
    let wider = with(files, &name, |policy| {
        let text = String::from_utf8(policy.to_vec()).unwrap();
        text.replace("1.0.2", "0.0.1").into_bytes()
    });
    assert_eq!(device.refuses(wider), "trust-target-tampered");
}

#[test]
fn anything_missing_is_named() {
    let (site, _, device) = second();
    for name in [
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
        "1.root.json",
    ] {
        let mut files = site.copy();
        files.remove(&format!("metadata/{name}")).unwrap();
        if name == "timestamp.json" {
            // Without it, it is not known where the metadata is.
            assert_eq!(device.refuses(files), "trust-file-missing");
            continue;
        }
        match Trust::update(&device.root, &device.stored, files, now()) {
            Err(TrustError::Missing { file }) => assert_eq!(file, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut files = site.copy();
    files.retain(|name, _| !name.ends_with("policy.json"));
    assert_eq!(device.refuses(files), "trust-file-missing");
    assert_eq!(device.refuses(RepositoryFiles::new()), "trust-file-missing");
}

#[test]
fn a_gap_in_the_roots_is_no_end_of_them() {
    let (mut site, _, device) = second();
    site.rotate();
    site.rotate();
    let mut files = site.copy();
    files.remove("metadata/2.root.json").unwrap();
    assert_eq!(device.refuses(files), "trust-file-missing");
}

#[test]
fn another_operators_repository_is_refused() {
    let (_, _, device) = second();
    let other = Site::new();
    assert_eq!(device.refuses(other.copy()), "trust-root-other");
    let new = Device::new(&device.root);
    assert_eq!(new.refuses(other.copy()), "trust-root-other");
    // Even where it hides its root.
    let mut files = other.copy();
    let root = Bytes::from(device.root.clone());
    files.insert("metadata/1.root.json".to_owned(), root);
    assert_eq!(device.refuses(files), "trust-unsigned");
}

#[test]
fn a_next_root_that_only_itself_vouches_for_is_refused() {
    let (site, _, device) = second();
    let mut other = Site::new();
    other.rotate();
    let mut files = site.copy();
    let root = other.copy()["metadata/2.root.json"].clone();
    files.insert("metadata/2.root.json".to_owned(), root);
    assert_eq!(device.refuses(files), "trust-unsigned");
}

#[test]
fn a_root_that_is_none_is_said_to_be_the_devices() {
    let site = Site::new();
    for root in [&b""[..], b"{}", b"[[[[", &site.root[1..]] {
        let device = Device::new(root);
        assert_eq!(device.refuses(site.copy()), "trust-root-invalid");
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let (site, _, device) = second();
    let mut many = site.copy();
    for number in 0..Trust::REPOSITORY_FILES_MAX {
        many.insert(format!("targets/{number}"), Bytes::new());
    }
    assert_eq!(device.refuses(many), "trust-too-large");

    let mut heavy = site.copy();
    let zeros = vec![b' '; Trust::REPOSITORY_BYTES_MAX];
    heavy.insert("targets/zeros".to_owned(), Bytes::from(zeros));
    assert_eq!(device.refuses(heavy), "trust-too-large");

    // White space changes no signature.
    for name in ["timestamp.json", "2.snapshot.json", "1.root.json"] {
        let padded = with(site.copy(), &format!("metadata/{name}"), |file| {
            let mut file = file.to_vec();
            file.resize(2 << 20, b' ');
            file
        });
        assert_eq!(device.refuses(padded), "trust-too-large", "{name}");
    }
}

#[test]
fn a_root_of_the_last_version_is_followed_by_none() {
    let (site, _, device) = second();
    let mut files = site.copy();
    let root = files["metadata/1.root.json"].clone();
    files.insert(format!("metadata/{}.root.json", u64::MAX), root);
    assert_eq!(device.refuses(files), "trust-file-missing");
}

#[test]
fn more_roots_than_any_operator_makes_are_not_followed() {
    let mut site = Site::new();
    let device = Device::new(&site.root);
    let keys = crate::world::keys();
    let lifetimes = selvedge_signer::Lifetimes::default();
    site.rotate();
    site.repository
        .rotate(&site.keys.root, &keys, lifetimes, now())
        .unwrap();
    for _ in 0..128 {
        site.repository
            .rotate(&keys.root, &keys, lifetimes, now())
            .unwrap();
    }
    assert_eq!(device.refuses(site.copy()), "trust-root-chain-too-long");
}

#[test]
fn what_is_kept_is_verified_whenever_it_is_used() {
    let (site, _, device) = second();
    let mut other = Site::new();
    other.publish(3);
    let mut foreign = Device::new(&other.root);
    foreign.update(other.copy()).unwrap();

    let kept = serde_json::to_value(&device.stored).unwrap();
    let theirs = serde_json::to_value(&foreign.stored).unwrap();
    for field in ["timestamp", "snapshot", "targets", "files"] {
        for value in [theirs[field].clone(), empty(&kept[field])] {
            let mut changed = kept.clone();
            changed[field] = value;
            let stored: StoredTrust = serde_json::from_value(changed).unwrap();
            let error = Trust::resume(&device.root, &stored).unwrap_err();
            assert_eq!(error.code(), "trust-kept-invalid", "{field}");
            let updated = Trust::update(&device.root, &stored, site.copy(), now());
            match updated {
                Err(error) => assert_eq!(error.code(), "trust-kept-invalid"),
                // Targets can be had again; what was seen of versions cannot.
                Ok(_) => assert_eq!(field, "files"),
            }
        }
    }
    let mut changed = kept.clone();
    changed["root_version"] = 7.into();
    let stored: StoredTrust = serde_json::from_value(changed).unwrap();
    let error = Trust::resume(&device.root, &stored).unwrap_err();
    assert_eq!(error.code(), "trust-kept-invalid");
}

/// Nothing, of the kind that `value` is.
fn empty(value: &serde_json::Value) -> serde_json::Value {
    if value.is_object() {
        serde_json::json!({})
    } else {
        "".into()
    }
}

#[test]
fn nothing_kept_is_not_resumed() {
    let site = Site::new();
    let error = Trust::resume(&site.root, &StoredTrust::default()).unwrap_err();
    assert_eq!(error.code(), "trust-nothing-kept");
}

#[test]
fn a_device_with_another_root_does_not_believe_what_was_kept() {
    let (_, _, device) = second();
    let other = Site::new();
    let error = Trust::resume(&other.root, &device.stored).unwrap_err();
    assert_eq!(error.code(), "trust-kept-invalid");
    let error = Trust::update(&other.root, &device.stored, other.copy(), now()).unwrap_err();
    assert_eq!(error.code(), "trust-kept-invalid");
}

#[test]
fn errors_say_what_was_wrong_and_the_cause_only_once() {
    let (site, _, device) = second();
    let broken = with(site.copy(), "metadata/2.targets.json", |_| b"{}".to_vec());
    let error = Trust::update(&device.root, &device.stored, broken, now()).unwrap_err();
    let text = error.to_string();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("2.targets.json"), "{text}");
    assert!(!text.contains(&source), "{text}: {source}");
}
