//! Where a panic of the sigstore library ends.
//!
//! The library is young and parses what strangers wrote: ASN.1, certificates,
//! signed notes. A panic there must refuse one artifact and not end the host,
//! which is why it is built to unwind. All it borrows is read-only, so nothing
//! is left half done.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The work panicked. The panic's message went to the log of panics.
#[derive(Debug)]
pub(super) struct Panicked;

/// Does `work`; a panic in it is an error.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::contained;

    #[test]
    fn a_panic_ends_here() {
        assert!(contained(|| panic!("hostile bytes")).is_err());
        assert_eq!(contained(|| 1).unwrap(), 1);
    }
}
