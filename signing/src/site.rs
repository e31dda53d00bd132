//! What a site trusts, as a whole: its policy and the files that it names.
//!
//! Where it came from was checked before one is made: from the trust repository
//! it was authenticated there, and what a process makes for itself it vouches
//! for. What it means is [`crate::Verifier`]'s business.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::policy::{Faults, pointer};
use crate::{Policy, PolicyError, PolicyFaultKind};
use selvedge_artifact::foreign::cut;

/// A policy with the files that it names, authenticated.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) policy: Policy,
    /// What the policy names, by target.
    pub(crate) files: BTreeMap<String, Bytes>,
    /// When it ceases to decide about installing; `None` is never.
    pub(crate) expires: Option<Timestamp>,
}

impl Trust {
    /// A policy that this process vouches for itself, because it made it: for what
    /// is compiled into the binary, for development, and to try one before it is
    /// published. A device never reads it from a file. It does not expire.
    ///
    /// # Errors
    ///
    /// If the policy is none, or names a file that is not there.
    pub fn of_this_process(
        policy: &[u8],
        files: BTreeMap<String, Bytes>,
    ) -> Result<Self, PolicyError> {
        let policy = Policy::parse(policy)?;
        let mut faults = Faults::default();
        for (name, target) in &policy.trust {
            if !files.contains_key(target) {
                let kind = PolicyFaultKind::FileMissing(cut(target));
                faults.push(pointer(&["trust", name]), kind);
            }
        }
        faults.into_result()?;
        Ok(Self {
            policy,
            files,
            expires: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Trust;

    #[test]
    fn a_policy_whose_root_did_not_come_with_it_is_refused() {
        let policy = br#"{"v":1,"trust":{"main":"trusted_root.json"}}"#;
        let error = Trust::of_this_process(policy, BTreeMap::new()).unwrap_err();
        let faults = error.faults();
        assert_eq!(faults[0].at, "/trust/main");
        assert_eq!(faults[0].kind.code(), "policy-file-missing");

        let files = BTreeMap::from([("trusted_root.json".to_owned(), "{}".into())]);
        assert!(Trust::of_this_process(policy, files).is_ok());
    }
}
