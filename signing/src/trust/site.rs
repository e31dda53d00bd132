//! A policy with the files that it names.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Policy, PolicyError};

/// A policy with the files that it names, authenticated.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) policy: Policy,
    /// What the policy names, by target.
    pub(crate) files: BTreeMap<String, Bytes>,
    pub(crate) expires: Option<Timestamp>,
}

impl Trust {
    /// A policy that the host vouches for itself, because it made it: for what
    /// is compiled into the binary and for development. Never read from a file.
    ///
    /// # Errors
    ///
    /// If the policy is none, or names a file that is not there.
    pub fn of_this_process(
        policy: &[u8],
        files: BTreeMap<String, Bytes>,
    ) -> Result<Self, PolicyError> {
        todo!()
    }
}
