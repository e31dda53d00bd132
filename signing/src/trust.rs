//! Which policy is current: a trust repository (TUF 1.0.34), read from files.
//!
//! The repository is a directory of signed metadata that anyone may carry to the
//! device: the operator's keys protect it, not its way. What the device has seen
//! of it is handed back to be kept, so that nothing older is ever believed.
//!
//! TUF vouches for bytes, the policy says what they mean. Only the operator's own
//! targets role counts: nothing that it delegates can sign a policy.

mod chain;
mod error;
mod offered;
mod stored;

use selvedge_artifact::foreign::cut;
use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use sigstore_tuf::TargetFile;

use self::chain::{Chain, is_listed};
pub use self::error::TrustError;
use self::offered::{Offered, missing};
pub use self::stored::StoredTrust;
use crate::Policy;
use crate::Trust;

/// The target that is the policy.
const POLICY: &str = "policy.json";

/// The files of a repository, by their names relative to its directory:
/// `metadata/timestamp.json`, `targets/<hash>.policy.json`.
pub type RepositoryFiles = BTreeMap<String, Bytes>;

impl Trust {
    /// The most files that a repository may have: room for the metadata of a
    /// version a day and more than two years, where nothing is tidied up.
    pub const REPOSITORY_FILES_MAX: usize = 2_048;

    /// The most that they may take together, in bytes.
    pub const REPOSITORY_BYTES_MAX: usize = 16 << 20;

    /// Updates from `offered`, beginning with the pinned `root`
    /// (`root.json` as given to the device), never going back behind `stored`.
    /// What it returns is to be kept in place of `stored`.
    ///
    /// Roots are followed one by one, expired or not; the last one, timestamp,
    /// snapshot and targets must be current at `now`. Where a newer root
    /// exchanged the keys of timestamp or snapshot, their versions begin anew.
    ///
    /// # Errors
    ///
    /// If the repository is not the operator's, is older than what was seen, is
    /// expired at `now`, or mixed from several states; if `stored` does not hold.
    pub fn update(
        root: &[u8],
        stored: &StoredTrust,
        offered: RepositoryFiles,
        now: Timestamp,
    ) -> Result<(Self, StoredTrust), TrustError> {
        let offered = Offered::new(offered)?;
        let mut chain = Chain::begin(root)?;
        let known = !stored.is_empty();
        let mut recalled = true;
        if known {
            recalled = recall(&mut chain, stored).map_err(TrustError::kept)?;
        }
        let moved = chain.follow_offered(&offered)?;
        if known && (moved || !recalled) {
            chain
                .recall_under_newer_root(stored)
                .map_err(TrustError::kept)?;
        }
        chain.advance(&offered, now)?;

        let consistent = chain.consistent();
        let find =
            |target: &str, listed: &TargetFile| offered.target(target, listed, consistent).cloned();
        let (trust, policy) = read(&chain, find)?;
        let files = trust.files.clone().into_iter();
        let stored = chain.into_stored(files.chain([(POLICY.to_owned(), policy)]));
        stored.bounded()?;
        Ok((trust, stored))
    }

    /// What was believed last, however long ago: for resuming and for refusing
    /// what was revoked. It says itself until when it may decide about installs.
    ///
    /// # Errors
    ///
    /// If nothing was kept, or it is not what the pinned `root` vouches for.
    pub fn resume(root: &[u8], stored: &StoredTrust) -> Result<Self, TrustError> {
        if stored.is_empty() {
            return Err(TrustError::NothingKept);
        }
        let chain = Chain::begin(root)?;
        resume(chain, stored).map_err(TrustError::kept)
    }
}

/// Believes `stored` as a whole. `false` if the pinned root is newer than all of
/// it, so that the roots it was believed under no longer matter.
fn recall(chain: &mut Chain, stored: &StoredTrust) -> Result<bool, TrustError> {
    stored.bounded()?;
    chain.follow_kept(stored)?;
    if chain.root_version() > stored.root_version {
        return Ok(false);
    }
    if chain.root_version() < stored.root_version {
        return Err(missing(&offered::root_name(stored.root_version)));
    }
    chain.recall(stored)?;
    for target in stored.files.keys() {
        authentic(chain, target, &kept(stored, target)?)?;
    }
    Ok(true)
}

fn resume(mut chain: Chain, stored: &StoredTrust) -> Result<Trust, TrustError> {
    if !recall(&mut chain, stored)? {
        chain.recall(stored)?;
    }
    let (trust, _) = read(&chain, |target, _| kept(stored, target))?;
    Ok(trust)
}

/// The policy and what it names, from wherever `find` has the targets; and the
/// policy's bytes.
fn read(
    chain: &Chain,
    find: impl Fn(&str, &TargetFile) -> Result<Bytes, TrustError>,
) -> Result<(Trust, Bytes), TrustError> {
    let get = |target: &str| {
        let bytes = find(target, chain.listed(target)?)?;
        authentic(chain, target, &bytes)?;
        Ok(bytes)
    };
    let bytes = get(POLICY)?;
    let policy = Policy::parse(&bytes).map_err(|source| TrustError::Policy { source })?;
    let mut files = BTreeMap::new();
    for target in policy.trust.values() {
        files.insert(target.clone(), get(target)?);
    }
    let trust = Trust {
        policy,
        files,
        expires: chain.expires(),
    };
    Ok((trust, bytes))
}

fn authentic(chain: &Chain, target: &str, bytes: &[u8]) -> Result<(), TrustError> {
    if is_listed(bytes, chain.listed(target)?) {
        return Ok(());
    }
    Err(TrustError::Tampered {
        target: cut(target),
    })
}

fn kept(stored: &StoredTrust, target: &str) -> Result<Bytes, TrustError> {
    let file = stored.files.get(target).ok_or_else(|| missing(target))?;
    Ok(file.0.clone())
}
