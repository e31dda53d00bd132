//! Repositories as `TrustRepository` writes them.

use bytes::Bytes;
use jiff::SignedDuration;
use selvedge_signer::{Lifetimes, RepositoryError, RepositoryKeys, TrustRepository};
use selvedge_signing::{Trust, TrustError};

use crate::world::{
    Device, Folder, Site, days, files, key, keys, now, number, policy, read_files, target,
};

#[test]
fn a_new_device_believes_the_policy_and_its_files() {
    let site = Site::new();
    let mut device = Device::new(&site.root);

    assert_eq!(device.update(site.copy()).unwrap(), 1);
    assert_eq!(
        target(&device.stored, "roots/trusted_root.json"),
        br#"{"number": 1}"#
    );
}

#[test]
fn the_metadata_may_lie_beside_the_targets() {
    let site = Site::new();
    let beside = |name: String| match name.strip_prefix("metadata/") {
        Some(name) => name.to_owned(),
        None => name,
    };
    let files = site.copy().into_iter();
    let files = files.map(|(name, file)| (beside(name), file)).collect();
    assert_eq!(Device::new(&site.root).update(files).unwrap(), 1);
}

#[test]
fn a_device_follows_each_version_and_misses_some() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    for number in [2, 3] {
        site.publish(number);
        assert_eq!(device.update(site.copy()).unwrap(), number);
    }
    for number in 4..10 {
        site.publish(number);
    }
    assert_eq!(device.update(site.copy()).unwrap(), 9);
}

#[test]
fn nothing_new_is_no_error() {
    let site = Site::new();
    let mut device = Device::new(&site.root);
    device.update(site.copy()).unwrap();
    let before = device.stored.clone();
    device.update(site.copy()).unwrap();
    assert_eq!(device.stored, before);
}

#[test]
fn a_refreshed_repository_is_believed_longer() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    let later = now() + days(29);
    site.repository
        .refresh(&site.keys.online, Lifetimes::default(), later)
        .unwrap();

    device.update_at(site.copy(), later + days(29)).unwrap();
    assert_eq!(device.number(), 1);
    let error = device.update_at(site.copy(), later + days(31)).unwrap_err();
    assert_eq!(error.code(), "trust-expired");
}

#[test]
fn a_refresh_within_the_life_of_the_snapshot_leaves_it() {
    let mut site = Site::new();
    let lifetimes = Lifetimes {
        timestamp: days(7),
        ..Lifetimes::default()
    };
    site.repository
        .refresh(&site.keys.online, lifetimes, now() + days(1))
        .unwrap();
    let names = site.copy();
    assert!(!names.contains_key("metadata/2.snapshot.json"));
    assert_eq!(Device::new(&site.root).update(names).unwrap(), 1);
}

#[test]
fn a_device_that_was_off_for_several_rotations_finds_its_way() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    device.update(site.copy()).unwrap();
    for number in 2..6 {
        site.rotate();
        site.publish(number);
    }
    assert_eq!(device.update(site.copy()).unwrap(), 5);
    // What is kept holds without the repository, and goes on from there.
    site.rotate();
    site.publish(6);
    assert_eq!(device.update(site.copy()).unwrap(), 6);
}

#[test]
fn an_expired_root_is_only_a_step_on_the_way() {
    let long_ago = now() - days(3 * 365);
    let mut site = Site::at(long_ago, keys());
    let mut device = Device::new(&site.root);
    device.update_at(site.copy(), long_ago).unwrap();
    assert_eq!(device.refuses(site.copy()), "trust-expired");
    let error = site
        .repository
        .publish(
            &site.keys,
            &policy(2),
            &files(2),
            Lifetimes::default(),
            now(),
        )
        .unwrap_err();
    assert!(matches!(error, RepositoryError::RootExpired { .. }));

    site.rotate();
    assert_eq!(device.update(site.copy()).unwrap(), 1);
}

#[test]
fn a_device_that_falls_back_to_an_older_image_still_believes_what_it_kept() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    site.rotate();
    device.update(site.copy()).unwrap();
    let newer = site.repository.root().to_vec();
    site.rotate();
    let older = std::mem::replace(&mut device.root, newer);
    device.update(site.copy()).unwrap();

    device.root = older;
    Trust::resume(&device.root, &device.stored).unwrap();
    assert_eq!(device.update(site.copy()).unwrap(), 1);
}

#[test]
fn an_image_with_a_newer_root_keeps_the_versions_that_were_seen() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    let old = site.copy();
    site.publish(2);
    device.update(site.copy()).unwrap();
    // The root is prolonged with the same keys.
    site.repository
        .rotate(&site.keys.root, &site.keys, Lifetimes::default(), now())
        .unwrap();
    device.root = site.repository.root().to_vec();
    Trust::resume(&device.root, &device.stored).unwrap();

    let mut back = old;
    let root = site.copy()["metadata/2.root.json"].clone();
    back.insert("metadata/2.root.json".to_owned(), root);
    assert_eq!(device.refuses(back), "trust-rollback");
    assert_eq!(device.update(site.copy()).unwrap(), 2);
}

#[test]
fn an_image_with_a_newer_root_and_other_online_keys_needs_the_repository() {
    let mut site = Site::new();
    let mut device = Device::new(&site.root);
    device.update(site.copy()).unwrap();
    site.rotate();
    device.root = site.repository.root().to_vec();

    // Nothing leads from the new root to what the old one vouched for.
    let error = Trust::resume(&device.root, &device.stored).unwrap_err();
    assert_eq!(error.code(), "trust-kept-invalid");
    assert_eq!(device.update(site.copy()).unwrap(), 1);
}

#[test]
fn more_than_half_of_the_keys_sign() {
    let mut site = Site::at(
        now(),
        RepositoryKeys {
            root: vec![key(), key(), key()],
            targets: vec![key(), key(), key()],
            online: key(),
        },
    );
    let spare = site.keys.targets.pop().unwrap();
    site.publish(2);
    let mut device = Device::new(&site.root);
    assert_eq!(device.update(site.copy()).unwrap(), 2);

    let alone = RepositoryKeys {
        root: Vec::new(),
        targets: vec![spare],
        online: key(),
    };
    let refused = |keys: &RepositoryKeys, repository: &mut TrustRepository| {
        repository
            .publish(keys, &policy(3), &files(3), Lifetimes::default(), now())
            .unwrap_err()
    };
    assert!(matches!(
        refused(&alone, &mut site.repository),
        RepositoryError::TooFewKeys {
            role: "targets",
            found: 1,
            threshold: 2
        }
    ));
    assert!(matches!(
        refused(&keys(), &mut site.repository),
        RepositoryError::UnknownKey { role: "targets" }
    ));
    let few = &site.keys.root[..1];
    assert!(matches!(
        site.repository
            .rotate(few, &site.keys, Lifetimes::default(), now())
            .unwrap_err(),
        RepositoryError::TooFewKeys { role: "root", .. }
    ));
}

#[test]
fn an_opened_repository_is_the_one_that_was_written() {
    let mut site = Site::new();
    site.publish(2);
    let opened = TrustRepository::open(&site.path()).unwrap();
    assert_eq!(opened.policy(), &policy(2));
    assert_eq!(opened.files(), files(2));
    assert_eq!(opened.root(), site.root);
}

#[test]
fn a_repository_that_is_not_whole_is_not_opened() {
    let site = Site::new();
    let copy = Folder::new();
    assert!(matches!(
        TrustRepository::open(&copy.0),
        Err(RepositoryError::Files { .. })
    ));
    let other = Site::new();
    crate::world::write(
        &site.path().join("metadata/1.targets.json"),
        &other.copy()["metadata/1.targets.json"],
    );
    assert!(matches!(
        TrustRepository::open(&site.path()),
        Err(RepositoryError::NotWhole { .. })
    ));
}

#[test]
fn a_repository_is_made_in_a_directory_of_its_own() {
    let site = Site::new();
    let error = TrustRepository::create(
        &site.path(),
        &keys(),
        &policy(1),
        &files(1),
        Lifetimes::default(),
        now(),
    )
    .unwrap_err();
    assert!(matches!(error, RepositoryError::NotEmpty { .. }));
}

#[test]
fn exactly_the_files_that_the_policy_names_are_published() {
    let mut site = Site::new();
    let mut publish = |files: &[(String, Bytes)]| {
        site.repository
            .publish(&site.keys, &policy(2), files, Lifetimes::default(), now())
            .unwrap_err()
    };
    assert!(matches!(publish(&[]), RepositoryError::FileMissing { .. }));
    let mut more = files(2);
    more.push(("other.json".to_owned(), Bytes::new()));
    assert!(matches!(
        publish(&more),
        RepositoryError::FileUnnamed { .. }
    ));
}

#[test]
fn a_role_lives_for_some_time() {
    let mut site = Site::new();
    let lifetimes = Lifetimes {
        snapshot: SignedDuration::ZERO,
        ..Lifetimes::default()
    };
    let before = site.copy();
    let error = site
        .repository
        .publish(&site.keys, &policy(2), &files(2), lifetimes, now())
        .unwrap_err();
    assert!(matches!(
        error,
        RepositoryError::Lifetime {
            role: "snapshot",
            ..
        }
    ));
    assert_eq!(site.copy(), before);
}

#[test]
fn old_files_outlive_two_versions_and_no_more() {
    let mut site = Site::new();
    let mut copies = vec![site.copy()];
    for number in 2..7 {
        site.publish(number);
        copies.push(site.copy());
    }
    let last = copies.last().unwrap();
    // Whoever has an old timestamp finds the rest of that version.
    for back in 0..3 {
        let old = &copies[copies.len() - 1 - back];
        let mut torn = last.clone();
        let timestamp = old["metadata/timestamp.json"].clone();
        torn.insert("metadata/timestamp.json".to_owned(), timestamp);
        let mut device = Device::new(&site.root);
        assert_eq!(
            device.update(torn).unwrap(),
            6 - u32::try_from(back).unwrap()
        );
    }
    // A root, a timestamp, and of three versions: two roles, two targets.
    assert_eq!(last.len(), 2 + 3 * 4);
}

#[test]
fn a_copy_under_way_is_the_old_state_the_new_one_or_refused() {
    let mut site = Site::new();
    let old = site.copy();
    site.publish(2);
    let new = site.copy();
    let names: Vec<&String> = new.keys().collect();
    // Every subset of what changed may have been copied before the change.
    let changed: Vec<&&String> = names
        .iter()
        .filter(|name| old.get(**name) != new.get(**name))
        .collect();
    for taken in 0..1_u32 << changed.len() {
        let mut copy = old.clone();
        for (index, name) in changed.iter().enumerate() {
            if taken & (1 << index) != 0 {
                copy.insert((***name).clone(), new[**name].clone());
            }
        }
        let device = Device::new(&site.root);
        match Trust::update(&device.root, &device.stored, copy, now()) {
            Ok((_, stored)) => assert!([1, 2].contains(&number(&stored))),
            Err(TrustError::Missing { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_writer_that_died_is_written_over() {
    let mut site = Site::new();
    // It got as far as the targets of version 2.
    crate::world::write(&site.path().join("metadata/2.targets.json"), b"{}");
    site.publish(2);
    let mut device = Device::new(&site.root);
    assert_eq!(device.update(read_files(&site.path())).unwrap(), 2);
}

#[test]
fn of_two_writers_at_once_one_is_told() {
    let mut site = Site::new();
    let mut other = TrustRepository::open(&site.path()).unwrap();
    site.publish(2);
    let error = other
        .publish(
            &site.keys,
            &policy(3),
            &files(3),
            Lifetimes::default(),
            now(),
        )
        .unwrap_err();
    assert!(matches!(error, RepositoryError::Concurrent));
    assert_eq!(Device::new(&site.root).update(site.copy()).unwrap(), 2);
}
