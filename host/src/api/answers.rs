//! What each route does, once it is known that it may be done.

pub(super) mod changes;
pub(super) mod deployments;
pub(super) mod devices;
pub(super) mod messages;
pub(super) mod probes;
pub(super) mod records;
pub(super) mod state;
