//! A site's policy, and a verifier made of it.

use selvedge_signing::Policy;

use crate::printable::{accepted, check as check_printable};
use crate::world::verifier;

pub(super) fn check(bytes: &[u8]) {
    let policy = match Policy::parse(bytes) {
        Ok(policy) => policy,
        Err(error) => {
            check_printable(&error);
            for fault in error.faults() {
                check_printable(&fault.kind);
            }
            return;
        }
    };
    let written = policy.to_bytes();
    assert_eq!(Policy::parse(&written).unwrap(), policy);
    assert_eq!(policy.diff(&policy), []);
    for change in policy.diff(&Policy::default()) {
        assert!(!change.to_string().chars().any(char::is_control));
    }
    accepted(policy.check()).expect("`parse` checks too");
    drop(verifier(bytes));
}
