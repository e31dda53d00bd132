//! Whatever is changed in a repository, the policy is not.

use bytes::Bytes;
use proptest::prelude::*;
use selvedge_signing::{RepositoryFiles, StoredTrust, Trust};

use crate::world::{Device, Site, now, target};

/// A repository with a rotation behind it, and a device that has yet to see it.
fn rotated() -> (Device, RepositoryFiles) {
    let mut site = Site::new();
    let device = Device::new(&site.root);
    site.rotate();
    (device, site.copy())
}

/// The policy and its file, if `files` are believed.
fn believed(device: &Device, files: RepositoryFiles) -> Option<[Vec<u8>; 2]> {
    let (_, stored) = Trust::update(&device.root, &device.stored, files, now()).ok()?;
    Some(["policy.json", "roots/trusted_root.json"].map(|name| target(&stored, name)))
}

fn flipped(file: &Bytes, at: usize, bits: u8) -> Bytes {
    let mut file = file.to_vec();
    file[at] ^= bits;
    Bytes::from(file)
}

#[test]
fn no_flipped_byte_changes_the_policy() {
    let (device, files) = rotated();
    let truth = believed(&device, files.clone()).unwrap();
    let mut refused = 0;
    for (name, file) in &files {
        for at in 0..file.len() {
            // One bit, another at each place, and all of them.
            for bits in [1 << (at % 8), 0xff] {
                let mut changed = files.clone();
                changed.insert(name.clone(), flipped(file, at, bits));
                match believed(&device, changed) {
                    Some(found) => assert_eq!(found, truth, "{name} at {at}"),
                    None => refused += 1,
                }
            }
        }
    }
    // Most of what is there counts.
    let all: usize = 2 * files.values().map(Bytes::len).sum::<usize>();
    println!("{refused} of {all} flips were refused");
    assert!(refused * 2 > all, "only {refused} of {all} were refused");
}

#[test]
fn no_flipped_byte_of_the_store_is_believed_or_panics() {
    let (mut device, files) = rotated();
    device.update(files.clone()).unwrap();
    let names = ["policy.json", "roots/trusted_root.json"];
    let truth = names.map(|name| target(&device.stored, name));
    let json = serde_json::to_vec(&device.stored).unwrap();
    for at in 0..json.len() {
        let mut changed = json.clone();
        changed[at] ^= 1 << (at % 8);
        let Ok(stored) = serde_json::from_slice::<StoredTrust>(&changed) else {
            continue;
        };
        if Trust::resume(&device.root, &stored).is_ok() {
            assert_eq!(names.map(|name| target(&stored, name)), truth, "{at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_garbage_is_believed_or_panics(
        index in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..256),
        cut in any::<prop::sample::Index>(),
    ) {
        thread_local! {
            static SITE: (Device, RepositoryFiles) = rotated();
        }
        SITE.with(|(device, files)| {
            let name = files.keys().nth(index.index(files.len())).unwrap();
            let mut file = files[name].to_vec();
            let cut = cut.index(file.len());
            file.splice(cut.., bytes);
            let mut changed = files.clone();
            changed.insert(name.clone(), Bytes::from(file));
            if let Some(found) = believed(device, changed) {
                assert_eq!(Some(found), believed(device, files.clone()));
            }
        });
    }
}
