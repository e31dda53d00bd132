//! Is this artifact trusted?
//!
//! The only way to a [`VerifiedArtifact`] or a [`VerifiedModel`]: an artifact's bytes, the signature
//! bundles that came with it and a site's [`Policy`] in, a verdict out. A
//! device needs nothing else to decide, no network and no other service, and
//! this crate has no input or output of its own: what it reads is handed to it,
//! and so is the time.
//!
//! Bundles say who built an artifact, the policy says who may, and the trust
//! repository (TUF) says which policy is current. None is enough alone.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bundle;
mod candidate;
mod decision;
mod identity;
mod policy;
mod publisher;
mod refusal;
mod site;
mod statement;
mod trust;
mod verified;
mod verified_model;

pub use bundle::{
    BundleError, Content, Evidence, PublicKey, SignatureBundle, Signer, TrustedRoot,
    TrustedRootError, is_claim,
};
pub use candidate::{AcceptedRelease, Candidate, Device, Purpose, Request};
pub use decision::Verifier;
pub use identity::{IdentityPattern, IdentityPatternError};
pub use policy::{
    Effect, Grant, KeyPublisher, KeylessPublisher, Need, Policy, PolicyChange, PolicyError,
    PolicyFault, PolicyFaultKind, PolicySubject, Publisher, Revoked,
};
pub use publisher::PublisherError;
pub use refusal::{BundleRefusal, Refusal, Step, Unreleased, VersionMark};
pub use site::Trust;
pub use statement::{Statement, StatementError, predicate_type};
pub use trust::{RepositoryFiles, StoredTrust, TrustError};
pub use verified::{Attestation, Origin, VerifiedArtifact};
pub use verified_model::VerifiedModel;
