//! TLS with certificates on both sides: files, their reloading, revocation, and
//! who the other side is.
//!
//! Only the holder of a certificate that an authority of the configuration
//! vouches for gets in. What such a holder may do is decided elsewhere.

mod identity;

pub use identity::{Fingerprint, Identity};
