//! What one version of a plugin hands to the next.
//!
//! The bytes are the guest's and mean nothing here; they are copied once out of its
//! memory and once into its successor's, and shared in between.

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

/// `selvedge:plugin/stateful.state`.
#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct State {
    schema: u32,
    data: Bytes,
}

/// Never the data: it belongs in no log.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("schema", &self.schema)
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }
}
