//! Makes what `selvedge-signing` checks: signatures, timestamps, and trust
//! repositories.
//!
//! The counterpart of the verifier and the only other crate that knows the
//! sigstore libraries. It runs on the machine of a publisher or operator, talks
//! to signing services where asked to, and decides nothing: whatever it makes is
//! judged like anyone else's.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod key;
mod keyless;
mod local_publisher;
#[cfg(test)]
mod loopback;
mod managed;
mod service;
mod statement;
mod timestamp;
mod trust_repository;
mod trusted_root;

pub use key::{KeyError, SigningKey};
pub use keyless::{Instance, KeylessSigner};
pub use local_publisher::LocalPublisher;
pub use managed::{KeySigner, SignError};
pub use service::{Said, Service, ServiceError};
pub use statement::{attestation, release};
pub use timestamp::{TimeSource, TimestampAuthority, TimestampError};
pub use trust_repository::{Lifetimes, RepositoryError, RepositoryKeys, TrustRepository};
pub use trusted_root::TrustedRootBuilder;
