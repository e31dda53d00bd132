//! Hostile bytes for what parses foreign bytes: the targets.
//!
//! Each is a function that no bytes may make panic, with more that must hold:
//! what is accepted is the same after it was written and read again, and nothing
//! is believed that was not signed. `cargo xtask fuzz` runs them.

mod parts;
mod printable;
mod targets;
mod world;

pub use parts::{SEPARATOR, join};
pub use targets::{TARGETS, Target};
