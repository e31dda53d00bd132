//! Hostile bytes for what parses foreign bytes: the targets.
//!
//! Each is a function that no bytes may make panic, with more that must hold:
//! what is accepted is the same after it was written and read again, and nothing
//! is believed that was not signed. `cargo xtask fuzz` runs them.

/// The codec and what it needs, from its sources: the host as a whole would have to
/// be instrumented, its WebAssembly engine included.
#[path = "../../../host/src"]
pub mod host {
    pub mod mqtt;
    pub mod names;
}

mod packets;
mod parts;
mod printable;
mod targets;
mod world;

// Where its modules look for each other.
pub(crate) use host::{mqtt, names};
pub use parts::{SEPARATOR, join};
pub use targets::{TARGETS, Target};
