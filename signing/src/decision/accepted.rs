//! Step 4 on a device that does not know the time: what it verified before.
//!
//! Signatures are verified by the system's clock, too, and one that starts in
//! 1970 verifies none from later. To start again what the device accepted, what
//! was verified then stands in, as long as the policy says the same about who
//! signed. That the clock is behind is for the host to find; whoever sets it back
//! gains no more than that what ran here runs again, if it is not revoked.

use selvedge_artifact::Digest;

use crate::decision::Findings;
use crate::verified::Release;
use crate::{AcceptedRelease, Device, Grant, Policy, Publisher, Purpose, Verifier};

/// What `policy` says about `publisher`: its entry and which target its trusted
/// root is. The root's contents are left out: logs and authorities come and go,
/// and what they vouched for stays. A site that distrusts one of them revokes
/// what it vouched for, or gives the root another target.
pub(super) fn entry(policy: &Policy, publisher: &Publisher) -> Digest {
    let root = policy.trust.get(publisher.trust());
    // Fields are written in one order, and maps are sorted.
    let entry = serde_json::to_vec(&(publisher, root));
    Digest::of(&entry.expect("policies are plain data"))
}

impl Verifier {
    /// Takes in what the device remembers of `artifact`, if it may and no
    /// release is left by what was found. Whether anything stands in.
    pub(super) fn stand_in(
        &self,
        grant: &Grant,
        artifact: Digest,
        device: &Device<'_>,
        findings: &mut Findings,
    ) -> bool {
        let left = self.revocations.leave_any(findings.releases.values());
        if device.purpose == Purpose::Install || left || !grant.need.is_empty() {
            return false;
        }
        let is_as_accepted = |publisher: &str, entry: Digest| {
            let known = self.publishers.get(publisher);
            known.is_some_and(|known| known.entry == entry)
        };
        let mut stands_in = false;
        for accepted in device.accepted {
            let AcceptedRelease { entry, release, .. } = accepted;
            if accepted.artifact == artifact
                && grant.by.contains(&release.publisher)
                && is_as_accepted(&release.publisher, *entry)
            {
                findings.released(release.clone());
                stands_in = true;
            }
        }
        stands_in
    }

    /// What a device that accepts the artifact remembers of its `releases`.
    pub(super) fn to_remember(
        &self,
        artifact: Digest,
        releases: &[Release],
    ) -> Vec<AcceptedRelease> {
        let remember = |release: &Release| {
            let known = self.publishers.get(&release.publisher)?;
            Some(AcceptedRelease {
                artifact,
                entry: known.entry,
                release: release.clone(),
            })
        };
        releases.iter().filter_map(remember).collect()
    }
}
