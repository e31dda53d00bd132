//! What is true: a site, its repository and what was signed for it.
//!
//! Made once by `cargo run --example seeds`, which forgets the keys: nobody can
//! sign anything else for this site, so what is believed beside this is a
//! finding.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::Timestamp;
use selvedge_artifact::Digest;
use selvedge_signing::{Candidate, PublicKey, RepositoryFiles, StoredTrust, Trust, TrustedRoot};
use selvedge_signing::{Policy, Verifier};

use crate::parts::{named, split};

/// The root that the site's devices were given.
pub(crate) const ROOT: &[u8] = include_bytes!("../world/root.json");
/// The policies that were ever published, oldest first, one a part.
const POLICIES: &[u8] = include_bytes!("../world/policies.parts");
const REPOSITORY: &[u8] = include_bytes!("../world/repository.parts");
const STORED: &[u8] = include_bytes!("../world/stored.json");
const CANDIDATE: &[u8] = include_bytes!("../world/candidate.parts");
/// The site's timestamp authorities.
pub(crate) const TRUSTED_ROOT: &[u8] = include_bytes!("../world/trusted_root.json");
const KEY: &str = include_str!("../world/acme.pem");

/// When the repository is current.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_768_435_200, 0);

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(World::read);

/// What is true.
pub(crate) struct World {
    pub(crate) policies: Vec<Policy>,
    pub(crate) repository: RepositoryFiles,
    /// What a device keeps that has seen the newest policy.
    pub(crate) stored: StoredTrust,
    /// Decides by the newest policy.
    pub(crate) verifier: Verifier,
    /// What was released.
    pub(crate) candidate: Candidate,
    pub(crate) digest: Digest,
    pub(crate) trusted_root: TrustedRoot,
    /// Who released it.
    pub(crate) key: PublicKey,
}

impl World {
    fn read() -> Self {
        let parts = split(CANDIDATE);
        let candidate = Candidate {
            manifest: parts[0].clone(),
            config: parts[1].clone(),
            layers: vec![parts[2].clone()],
            bundles: parts[3..].to_vec(),
        };
        let policies = split(POLICIES);
        let newest = policies.last().expect("there is always a part");
        let read = |bytes: &Bytes| Policy::parse(bytes).expect("it was published");
        Self {
            policies: policies.iter().map(read).collect(),
            repository: named(REPOSITORY).into_iter().collect(),
            stored: serde_json::from_slice(STORED).expect("it was kept"),
            verifier: verifier(newest).expect("it was published"),
            digest: Digest::of(&candidate.manifest),
            candidate,
            trusted_root: TrustedRoot::parse(TRUSTED_ROOT).expect("it was published"),
            key: PublicKey::parse(KEY).expect("it was published"),
        }
    }
}

/// A verifier by a policy whose trusted roots are all this site's.
pub(crate) fn verifier(policy: &[u8]) -> Option<Verifier> {
    let targets = Policy::parse(policy).ok()?.trust.into_values();
    let root = Bytes::from_static(TRUSTED_ROOT);
    let files: BTreeMap<_, _> = targets.map(|target| (target, root.clone())).collect();
    let trust = Trust::of_this_process(policy, files).expect("all its files are there");
    crate::printable::accepted(Verifier::new(trust))
}
