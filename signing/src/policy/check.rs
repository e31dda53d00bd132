//! Whether a policy holds together: everything it names is there, and nothing
//! in it can be read in two ways.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::{
    FORMAT, Grant, KeylessPublisher, Policy, PolicyFault, PolicyFaultKind, Predicate, Publisher,
    pointer,
};
use crate::{PublicKey, is_claim};
use selvedge_artifact::foreign::{cut, cut_chain};

/// Trusted roots of a policy.
const ROOTS_MAX: usize = 32;
/// Publishers of a policy.
const PUBLISHERS_MAX: usize = 1000;
/// Grants of a policy.
const GRANTS_MAX: usize = 1000;
/// Publishers of a grant or a need. Each may cost one verification a bundle.
const BY_MAX: usize = 32;
/// Statements that a grant needs.
const NEEDS_MAX: usize = 16;
/// Imports that a grant leaves.
const IMPORTS_MAX: usize = 256;
/// Characters of the name of a publisher or root.
const NAME_CHARS_MAX: usize = 63;
/// Bytes of the name of a file in the repository.
const TARGET_BYTES_MAX: usize = 255;
/// Bytes of an identity provider's address.
const ISSUER_BYTES_MAX: usize = 1024;

/// What is wrong with `policy`, all of it.
pub(super) fn check(policy: &Policy) -> Vec<PolicyFault> {
    let mut check = Check {
        policy,
        faults: Vec::new(),
    };
    if policy.format != FORMAT {
        check.fault(&["v"], PolicyFaultKind::Format(policy.format));
    }
    check.roots();
    check.publishers();
    check.grants();
    check.downgrades();
    check.known(policy.revoked.publishers.keys(), |name| {
        pointer(&["revoked", "publishers", name])
    });
    check.faults
}

struct Check<'a> {
    policy: &'a Policy,
    faults: Vec<PolicyFault>,
}

impl Check<'_> {
    fn fault(&mut self, at: &[&str], kind: PolicyFaultKind) {
        let at = pointer(at);
        self.faults.push(PolicyFault { at, kind });
    }

    fn at_most(&mut self, at: &[&str], found: usize, max: usize) {
        if found > max {
            self.fault(at, PolicyFaultKind::TooMany { found, max });
        }
    }

    fn known<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n String>,
        at: impl Fn(&str) -> String,
    ) {
        let unknown = |name: &&String| !self.policy.publishers.contains_key(*name);
        let faults = names.into_iter().filter(unknown).map(|name| PolicyFault {
            at: at(name),
            kind: PolicyFaultKind::NoSuchPublisher(cut(name)),
        });
        self.faults.extend(faults);
    }

    fn roots(&mut self) {
        let policy = self.policy;
        self.at_most(&["trust"], policy.trust.len(), ROOTS_MAX);
        for (name, target) in &policy.trust {
            if !is_name(name) {
                self.fault(&["trust", name], PolicyFaultKind::Name(cut(name)));
            }
            if !is_target(target) {
                self.fault(&["trust", name], PolicyFaultKind::Target(cut(target)));
            }
        }
    }

    fn publishers(&mut self) {
        let policy = self.policy;
        self.at_most(&["publishers"], policy.publishers.len(), PUBLISHERS_MAX);
        for (name, publisher) in &policy.publishers {
            let at = ["publishers", name];
            if !is_name(name) {
                self.fault(&at, PolicyFaultKind::Name(cut(name)));
            }
            if !policy.trust.contains_key(publisher.trust()) {
                let root = PolicyFaultKind::NoSuchRoot(cut(publisher.trust()));
                self.fault(&["publishers", name, "trust"], root);
            }
            match publisher {
                Publisher::Keyless(keyless) => self.keyless(name, keyless),
                Publisher::Key(holder) => {
                    if let Err(error) = PublicKey::parse(&holder.key) {
                        let kind = PolicyFaultKind::Key(cut_chain(&error));
                        self.fault(&["publishers", name, "key"], kind);
                    }
                }
            }
        }
    }

    fn keyless(&mut self, name: &str, publisher: &KeylessPublisher) {
        if !is_issuer(&publisher.issuer) {
            let kind = PolicyFaultKind::Issuer(cut(&publisher.issuer));
            self.fault(&["publishers", name, "issuer"], kind);
        }
        for claim in publisher.claims.keys().filter(|claim| !is_claim(claim)) {
            let at = ["publishers", name, "claims", claim];
            self.fault(&at, PolicyFaultKind::Claim(cut(claim)));
        }
    }

    fn grants(&mut self) {
        let policy = self.policy;
        self.at_most(&["grants"], policy.grants.len(), GRANTS_MAX);
        let mut first = BTreeMap::new();
        for (index, grant) in policy.grants.iter().enumerate() {
            let place = index.to_string();
            if let Some(&first) = first.get(&grant.packages) {
                let packages = grant.packages.to_string();
                let kind = PolicyFaultKind::Ambiguous { packages, first };
                self.fault(&["grants", &place, "packages"], kind);
            } else {
                first.insert(&grant.packages, index);
            }
            self.by(&["grants", &place, "by"], &grant.by);
            if grant.kinds.is_empty() {
                self.fault(&["grants", &place, "kinds"], PolicyFaultKind::NoKinds);
            }
            self.needs(&place, grant);
            let imports = grant.imports.iter().flatten();
            self.at_most(
                &["grants", &place, "imports"],
                imports.clone().count(),
                IMPORTS_MAX,
            );
            for import in imports.filter(|import| !is_import(import)) {
                let kind = PolicyFaultKind::Import(cut(import));
                self.fault(&["grants", &place, "imports"], kind);
            }
        }
    }

    fn by(&mut self, at: &[&str], by: &BTreeSet<String>) {
        self.at_most(at, by.len(), BY_MAX);
        self.known(by, |_| pointer(at));
    }

    fn needs(&mut self, place: &str, grant: &Grant) {
        self.at_most(&["grants", place, "need"], grant.need.len(), NEEDS_MAX);
        let mut before: Vec<(&str, Predicate)> = Vec::new();
        for (name, need) in &grant.need {
            let at = ["grants", place, "need", name];
            self.by(&["grants", place, "need", name, "by"], &need.by);
            let Some(predicate) = Predicate::named(name) else {
                self.fault(&at, PolicyFaultKind::Need(cut(name)));
                continue;
            };
            let same = |(_, other): &&(&str, Predicate)| other.overlaps(&predicate);
            if let Some((other, _)) = before.iter().find(same) {
                self.fault(&at, PolicyFaultKind::NeedAmbiguous(cut(other)));
            }
            before.push((name, predicate));
        }
    }

    fn downgrades(&mut self) {
        for (package, versions) in &self.policy.downgrade {
            let Some(floor) = self.policy.floor.get(package) else {
                continue;
            };
            for version in versions {
                if version.cmp_precedence(floor).is_lt() {
                    let kind = PolicyFaultKind::BelowFloor {
                        version: version.clone(),
                        floor: floor.clone(),
                    };
                    self.fault(&["downgrade", package.as_str()], kind);
                }
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// A path below the repository's targets, and not the policy's own.
fn is_target(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part_fits =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits);
    text.len() <= TARGET_BYTES_MAX && text != "policy.json" && text.split('/').all(part_fits)
}

/// An address without blanks. Plain `http` is for instances of one's own on a
/// network of one's own: what counts is what the certificate says.
fn is_issuer(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty())
        && text.len() <= ISSUER_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `wasi:sockets/tcp` or `wasi:sockets/*` (WIT names, without version).
fn is_import(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_label = |label: &str| label.split('-').all(is_word);
    let parts = text
        .split_once(':')
        .and_then(|(namespace, rest)| Some((namespace, rest.split_once('/')?)));
    text.len() <= 3 * NAME_CHARS_MAX
        && parts.is_some_and(|(namespace, (package, interface))| {
            is_label(namespace) && is_label(package) && (interface == "*" || is_label(interface))
        })
}
