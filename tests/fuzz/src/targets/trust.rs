//! A trust repository of which some files are the input's: name and contents by
//! turns; an empty file is one that is not there.

use selvedge_signing::{StoredTrust, Trust, Verifier};

use crate::parts::named;
use crate::printable::accepted;
use crate::world::{NOW, ROOT, WORLD};

pub(super) fn check(bytes: &[u8]) {
    let world = &*WORLD;
    let mut offered = world.repository.clone();
    for (name, file) in named(bytes) {
        if file.is_empty() {
            offered.remove(&name);
        } else {
            offered.insert(name, file);
        }
    }
    let update = |stored: &StoredTrust| {
        let (trust, kept) = accepted(Trust::update(ROOT, stored, offered.clone(), NOW))?;
        let resumed = Trust::resume(ROOT, &kept).expect("it was just believed");
        let (now, later) = (Verifier::new(trust), Verifier::new(resumed));
        let (now, later) = (now.expect("it is usable"), later.expect("it is usable"));
        assert_eq!(now.policy(), later.policy());
        Some(now.policy().clone())
    };
    if let Some(policy) = update(&StoredTrust::default()) {
        assert!(world.policies.contains(&policy), "{policy:?}");
    }
    if let Some(policy) = update(&world.stored) {
        assert_eq!(Some(&policy), world.policies.last());
    }
}
