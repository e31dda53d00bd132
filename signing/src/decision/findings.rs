//! Step 4: what the bundles prove, and whether one of them is a release.
//!
//! A bundle that verifies is not yet a release: a bill of materials by the right
//! publisher is signed just as well. What counts as a release is the artifact's
//! own signature or a statement of the release's type, by someone who may
//! release; every other statement is kept for what it says.

use std::collections::{BTreeMap, BTreeSet};

use selvedge_artifact::PackageName;

use crate::decision::Known;
use crate::policy::Predicate;
use crate::verified::Release;
use crate::{
    Attestation, BundleRefusal, Candidate, Content, Evidence, Grant, Refusal, SignatureBundle,
    Unreleased, predicate_type,
};
use selvedge_artifact::foreign::cut;

/// Bundles that are looked at. Anyone may attach one to an artifact.
const BUNDLES_MAX: usize = 32;
/// Reasons that are kept why bundles do not count.
const REFUSALS_MAX: usize = 64;

/// What the bundles prove.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The first release by each publisher.
    pub(super) releases: BTreeMap<String, Release>,
    pub(super) statements: Vec<Attestation>,
    refused: Vec<Refused>,
    found: usize,
    ignored: usize,
}

/// A bundle that did not count.
#[derive(Debug)]
struct Refused {
    /// The type of the statement it claims to be; `None` if it claims none or
    /// cannot be read.
    claimed: Option<String>,
    refusal: BundleRefusal,
}

impl Findings {
    /// Tries every bundle as each publisher's who may state what it claims.
    pub(super) fn collect(
        grant: &Grant,
        publishers: &BTreeMap<String, Known>,
        candidate: &Candidate,
    ) -> Self {
        let mut findings = Self {
            found: candidate.bundles.len().min(BUNDLES_MAX),
            ignored: candidate.bundles.len().saturating_sub(BUNDLES_MAX),
            ..Self::default()
        };
        let bundles = candidate.bundles.iter().take(BUNDLES_MAX);
        for (number, bytes) in (1..).zip(bundles) {
            let bundle = match SignatureBundle::parse(bytes) {
                Ok(bundle) => bundle,
                Err(source) => {
                    let bundle = number;
                    findings.refuse(None, BundleRefusal::Unreadable { bundle, source });
                    continue;
                }
            };
            let claimed = bundle.predicate_type_claimed();
            for name in may_state(grant, claimed.as_deref()) {
                let Some(known) = publishers.get(name) else {
                    continue;
                };
                match known.prepared.verify(&bundle, &candidate.manifest) {
                    Ok(evidence) => findings.accept(grant, number, name, evidence),
                    Err(source) => findings.refuse(
                        claimed.clone(),
                        BundleRefusal::NotBy {
                            bundle: number,
                            publisher: name.clone(),
                            wanted: known.wanted.clone(),
                            source,
                        },
                    ),
                }
            }
        }
        findings
    }

    /// Takes in what a bundle proves as signed by `publisher`, if he may.
    pub(super) fn accept(
        &mut self,
        grant: &Grant,
        number: usize,
        publisher: &str,
        evidence: Evidence,
    ) {
        let Evidence {
            signer,
            signed_at,
            content,
        } = evidence;
        let statement = match content {
            Content::Artifact => None,
            Content::Statement(statement) => Some(statement),
        };
        let stated = statement.as_ref().map(|s| s.predicate_type.as_str());
        // What was verified decides, and not what was claimed.
        if !may_state(grant, stated).contains(publisher) {
            return;
        }
        match statement {
            Some(statement) if statement.predicate_type != predicate_type::RELEASE => {
                let refusal = BundleRefusal::NotARelease {
                    bundle: number,
                    publisher: publisher.to_owned(),
                    predicate_type: cut(&statement.predicate_type),
                };
                self.refuse(Some(statement.predicate_type.clone()), refusal);
                self.statements.push(Attestation {
                    predicate_type: statement.predicate_type,
                    publisher: publisher.to_owned(),
                    signer,
                    signed_at,
                    predicate: statement.predicate,
                });
            }
            _ => {
                let release = Release {
                    publisher: publisher.to_owned(),
                    signer,
                    signed_at,
                };
                self.released(release);
            }
        }
    }

    /// Takes in a release by someone who may release.
    pub(super) fn released(&mut self, release: Release) {
        let first = self.releases.entry(release.publisher.clone());
        let first = first.or_insert_with(|| release.clone());
        if release.signed_at < first.signed_at {
            *first = release;
        }
    }

    /// Whether someone who may has released it.
    pub(super) fn check_released(
        &mut self,
        package: &PackageName,
        grant: &Grant,
    ) -> Result<(), Refusal> {
        if !self.releases.is_empty() {
            return Ok(());
        }
        if self.found == 0 {
            return Err(Refusal::Unsigned(package.clone()));
        }
        // What is said to be a release tells more than what is said to be
        // something else, and what can be read more than what cannot.
        let mut refused = std::mem::take(&mut self.refused);
        refused.sort_by_key(|refused| match (&refused.refusal, &refused.claimed) {
            (BundleRefusal::NotBy { .. }, None) => 0,
            (BundleRefusal::NotBy { .. }, Some(claimed)) if claimed == predicate_type::RELEASE => 0,
            (BundleRefusal::NotARelease { .. }, _) => 1,
            (BundleRefusal::Unreadable { .. }, _) => 2,
            (BundleRefusal::NotBy { .. }, _) => 3,
        });
        let mut refused = refused.into_iter().map(|refused| refused.refusal);
        Err(Box::new(Unreleased {
            package: package.clone(),
            by: grant.by.iter().cloned().collect(),
            found: self.found,
            ignored: self.ignored,
            first: refused.next(),
            others: refused.collect(),
        })
        .into())
    }

    /// What became of the bundles that claim to satisfy a need, and of those
    /// that cannot be read.
    pub(super) fn refused(&mut self, need: &Predicate) -> Vec<BundleRefusal> {
        let is_about = |refused: &mut Refused| match (&refused.refusal, &refused.claimed) {
            (BundleRefusal::Unreadable { .. }, _) => true,
            (BundleRefusal::NotBy { .. }, Some(claimed)) => need.includes(claimed),
            _ => false,
        };
        let refused = self.refused.extract_if(.., is_about);
        refused.map(|refused| refused.refusal).collect()
    }

    fn refuse(&mut self, claimed: Option<String>, refusal: BundleRefusal) {
        if self.refused.len() < REFUSALS_MAX {
            self.refused.push(Refused { claimed, refusal });
        }
    }
}

/// Who may state something of this type, `None` being the artifact itself: by
/// the grant's need for it, else whoever may release.
fn may_state<'a>(grant: &'a Grant, predicate_type: Option<&str>) -> &'a BTreeSet<String> {
    let needed = predicate_type.and_then(|stated| {
        let mut needs = grant.need.iter();
        needs.find(|(name, _)| Predicate::named(name).is_some_and(|need| need.includes(stated)))
    });
    match needed {
        Some((_, need)) if !need.by.is_empty() => &need.by,
        _ => &grant.by,
    }
}
