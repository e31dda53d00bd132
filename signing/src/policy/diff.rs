//! What a change of the policy changes, for whoever has to approve it.
//!
//! Grants are compared by what decides about their packages before and after: a
//! new line for one package may widen or narrow what the line for its namespace
//! said. Where it cannot be told which of the two a change is, it says so, and
//! counts as widening.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use selvedge_artifact::{ArtifactKind, Digest, PackageName, PackagePattern};

use crate::policy::{Grant, KeyPublisher, KeylessPublisher, Policy, Publisher, Revoked};
use selvedge_artifact::foreign::cut;

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// What it is about.
    pub subject: PolicySubject,
    /// Whether more is trusted than before.
    pub effect: Effect,
    /// What is different, in words.
    pub what: String,
}

/// What a change does to what is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Something is trusted that was not.
    Wider,
    /// Perhaps something is trusted that was not: another signer, another root.
    Other,
    /// Something is no longer trusted.
    Narrower,
}

/// What a change of a policy is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicySubject {
    /// A trusted root, by its name.
    Root(String),
    /// A publisher, by its name.
    Publisher(String),
    /// What decides about these packages.
    Grant(PackagePattern),
    /// The lowest version of a package.
    Floor(PackageName),
    /// The older versions of a package that may be installed.
    Downgrade(PackageName),
    /// A digest that is revoked.
    RevokedDigest(Digest),
    /// A publisher who is revoked, by its name.
    RevokedPublisher(String),
}

impl PolicyChange {
    /// Whether something may be trusted now that was not before.
    pub fn widens(&self) -> bool {
        self.effect != Effect::Narrower
    }
}

impl fmt::Display for PolicyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}: {}", self.effect, self.subject, self.what)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wider => "WIDER",
            Self::Other => "OTHER",
            Self::Narrower => "narrower",
        })
    }
}

impl fmt::Display for PolicySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => write!(f, "trusted root `{}`", cut(name)),
            Self::Publisher(name) => write!(f, "publisher `{}`", cut(name)),
            Self::Grant(packages) => write!(f, "packages `{packages}`"),
            Self::Floor(package) => write!(f, "floor of `{package}`"),
            Self::Downgrade(package) => write!(f, "downgrade of `{package}`"),
            Self::RevokedDigest(digest) => write!(f, "revoked digest `{digest}`"),
            Self::RevokedPublisher(name) => write!(f, "revoked publisher `{}`", cut(name)),
        }
    }
}

/// What is different in `new`, what widens first.
pub(super) fn diff(old: &Policy, new: &Policy) -> Vec<PolicyChange> {
    let mut changes = Changes::default();
    for (name, pair) in pairs(&old.trust, &new.trust) {
        let what = changed(pair, |old, new| {
            let what = format!("is `{}`, was `{}`", cut(new), cut(old));
            vec![(Effect::Other, what)]
        });
        changes.about(PolicySubject::Root(name.clone()), what);
    }
    for (name, pair) in pairs(&old.publishers, &new.publishers) {
        let what = changed(pair, publisher);
        changes.about(PolicySubject::Publisher(name.clone()), what);
    }
    let grants = old.grants.iter().chain(&new.grants);
    let patterns: BTreeSet<_> = grants.map(|grant| &grant.packages).collect();
    for packages in patterns {
        let what = grant(effective(old, packages), effective(new, packages));
        changes.about(PolicySubject::Grant(packages.clone()), what);
    }
    versions(old, new, &mut changes);
    revocations(&old.revoked, &new.revoked, &mut changes);
    changes.0.sort_by_key(|change| change.effect);
    changes.0
}

/// What changed, as effect and words.
type What = Vec<(Effect, String)>;

#[derive(Default)]
struct Changes(Vec<PolicyChange>);

impl Changes {
    fn about(&mut self, subject: PolicySubject, what: What) {
        let changes = what.into_iter().map(|(effect, what)| PolicyChange {
            subject: subject.clone(),
            effect,
            what,
        });
        self.0.extend(changes);
    }
}

fn versions(old: &Policy, new: &Policy, changes: &mut Changes) {
    for (package, pair) in pairs(&old.floor, &new.floor) {
        let what = match pair {
            (Some(old), Some(new)) if new < old => {
                (Effect::Wider, format!("lowered from {old} to {new}"))
            }
            (Some(old), Some(new)) => (Effect::Narrower, format!("raised from {old} to {new}")),
            (None, Some(new)) => (Effect::Narrower, format!("set to {new}")),
            (old, None) => (Effect::Wider, format!("removed{}", was(old))),
        };
        changes.about(PolicySubject::Floor(package.clone()), vec![what]);
    }
    let none = BTreeSet::new();
    for (package, (old, new)) in pairs(&old.downgrade, &new.downgrade) {
        let what = members(old.unwrap_or(&none), new.unwrap_or(&none), "allowed");
        changes.about(PolicySubject::Downgrade(package.clone()), what);
    }
}

fn revocations(old: &Revoked, new: &Revoked, changes: &mut Changes) {
    for digest in new.digests.difference(&old.digests) {
        let what = (Effect::Narrower, "revoked now".to_owned());
        changes.about(PolicySubject::RevokedDigest(*digest), vec![what]);
    }
    for digest in old.digests.difference(&new.digests) {
        let what = (Effect::Wider, "no longer revoked".to_owned());
        changes.about(PolicySubject::RevokedDigest(*digest), vec![what]);
    }
    for (name, pair) in pairs(&old.publishers, &new.publishers) {
        let what = match pair {
            (None, Some(new)) => (Effect::Narrower, format!("revoked from {new} on")),
            (Some(old), Some(new)) => {
                let effect = match new < old {
                    true => Effect::Narrower,
                    false => Effect::Wider,
                };
                (effect, format!("revoked from {new} on, was {old}"))
            }
            (old, None) => (Effect::Wider, format!("no longer revoked{}", was(old))),
        };
        changes.about(PolicySubject::RevokedPublisher(name.clone()), vec![what]);
    }
}

type Pair<'a, V> = (Option<&'a V>, Option<&'a V>);

/// What is not the same in both, by name.
fn pairs<'a, K: Ord, V: PartialEq>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Pair<'a, V>)> {
    let names: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    let pairs = names
        .into_iter()
        .map(move |name| (name, (old.get(name), new.get(name))));
    pairs.filter(|(_, (old, new))| old != new)
}

fn changed<V>(pair: Pair<'_, V>, both: impl Fn(&V, &V) -> What) -> What {
    match pair {
        (Some(old), Some(new)) => both(old, new),
        (_, Some(_)) => vec![(Effect::Wider, "added".to_owned())],
        (_, None) => vec![(Effect::Narrower, "removed".to_owned())],
    }
}

fn was(old: Option<&impl fmt::Display>) -> String {
    old.map_or_else(String::new, |old| format!(", was {old}"))
}

/// What was added to a set that widens with each member, and what was removed.
fn members<T: Ord + fmt::Display>(old: &BTreeSet<T>, new: &BTreeSet<T>, what: &str) -> What {
    let quoted = |member: &T| cut(&member.to_string());
    let added = new.difference(old);
    let added = added.map(|added| (Effect::Wider, format!("`{}` {what}", quoted(added))));
    let removed = old.difference(new);
    let removed = removed.map(|gone| {
        (
            Effect::Narrower,
            format!("`{}` no longer {what}", quoted(gone)),
        )
    });
    added.chain(removed).collect()
}

fn publisher(old: &Publisher, new: &Publisher) -> What {
    let mut changes = Vec::new();
    if old.trust() != new.trust() {
        let (old, new) = (cut(old.trust()), cut(new.trust()));
        changes.push((
            Effect::Other,
            format!("trusted root is `{new}`, was `{old}`"),
        ));
    }
    match (old, new) {
        (Publisher::Keyless(old), Publisher::Keyless(new)) => keyless(old, new, &mut changes),
        (Publisher::Key(old), Publisher::Key(new)) => key(old, new, &mut changes),
        (_, Publisher::Key(_)) => changes.push((
            Effect::Other,
            "signs with a key, was an identity".to_owned(),
        )),
        (_, Publisher::Keyless(new)) => {
            let identity = cut(&String::from(new.identity.clone()));
            let what = format!("signs as `{identity}`, was a key");
            changes.push((Effect::Other, what));
        }
    }
    changes
}

fn key(old: &KeyPublisher, new: &KeyPublisher, changes: &mut What) {
    if old.key != new.key {
        changes.push((Effect::Other, "signs with another key".to_owned()));
    }
    match (old.log, new.log) {
        (true, false) => changes.push((Effect::Wider, "needs no log any more".to_owned())),
        (false, true) => changes.push((Effect::Narrower, "needs a log".to_owned())),
        _ => {}
    }
}

fn keyless(old: &KeylessPublisher, new: &KeylessPublisher, changes: &mut What) {
    if old.issuer != new.issuer {
        let (old, new) = (cut(&old.issuer), cut(&new.issuer));
        changes.push((Effect::Other, format!("issuer is `{new}`, was `{old}`")));
    }
    if old.identity != new.identity {
        let (old, new) = (
            String::from(old.identity.clone()),
            String::from(new.identity.clone()),
        );
        let effect = match (covers(&new, &old), covers(&old, &new)) {
            (true, _) => Effect::Wider,
            (_, true) => Effect::Narrower,
            _ => Effect::Other,
        };
        let (old, new) = (cut(&old), cut(&new));
        changes.push((effect, format!("identity is `{new}`, was `{old}`")));
    }
    for (claim, pair) in pairs(&old.claims, &new.claims) {
        let claim = cut(claim);
        changes.push(match pair {
            (None, Some(new)) => (
                Effect::Narrower,
                format!("`{claim}` must be `{}`", cut(new)),
            ),
            (Some(old), Some(new)) => {
                let (old, new) = (cut(old), cut(new));
                (
                    Effect::Other,
                    format!("`{claim}` must be `{new}`, was `{old}`"),
                )
            }
            (_, None) => (Effect::Wider, format!("`{claim}` may be anything")),
        });
    }
}

/// Whether every identity that `narrow` matches, `wide` matches.
fn covers(wide: &str, narrow: &str) -> bool {
    let narrow = narrow.strip_suffix('*').unwrap_or(narrow);
    wide.strip_suffix('*')
        .is_some_and(|prefix| narrow.starts_with(prefix))
}

/// What decides about the packages of a pattern that no other line is about.
fn effective<'a>(policy: &'a Policy, packages: &PackagePattern) -> Option<&'a Grant> {
    let about = |grant: &&Grant| match (&grant.packages, packages) {
        (PackagePattern::All, _) => true,
        (PackagePattern::Namespace(of), PackagePattern::Package(package)) => {
            package.namespace() == of
        }
        (of, packages) => of == packages,
    };
    let about = policy.grants.iter().filter(about);
    about.max_by_key(|grant| grant.packages.specificity())
}

fn grant(old: Option<&Grant>, new: Option<&Grant>) -> What {
    let none = BTreeSet::new();
    let by = |grant: Option<&'_ Grant>| grant.map_or_else(|| none.clone(), |g| g.by.clone());
    let mut changes = members(&by(old), &by(new), "may release them");
    if let Some(new) = new.filter(|new| !new.by.is_empty()) {
        changes.extend(kinds(old.filter(|old| !old.by.is_empty()), new));
    }
    let (Some(old), Some(new)) = (old, new) else {
        return changes;
    };
    // What is asked of nobody neither widens nor narrows.
    if old.by.is_empty() || new.by.is_empty() {
        return changes;
    }
    needs(old, new, &mut changes);
    match (&old.imports, &new.imports) {
        (None, Some(_)) => changes.push((Effect::Narrower, "imports are limited".to_owned())),
        (Some(_), None) => changes.push((Effect::Wider, "imports are not limited".to_owned())),
        (Some(old), Some(new)) => changes.extend(members(old, new, "may be imported")),
        (None, None) => {}
    }
    changes
}

/// What the packages may be. Of a line that is new, only what is not every line's.
fn kinds(old: Option<&Grant>, new: &Grant) -> What {
    let plugins = BTreeSet::from([ArtifactKind::Plugin]);
    let mut changes = members(
        old.map_or(&plugins, |old| &old.kinds),
        &new.kinds,
        "may be released",
    );
    changes.retain(|(effect, _)| old.is_some() || *effect == Effect::Wider);
    changes
}

fn needs(old: &Grant, new: &Grant, changes: &mut What) {
    for name in new.need.keys().filter(|name| !old.need.contains_key(*name)) {
        changes.push((Effect::Narrower, format!("`{}` is needed", cut(name))));
    }
    for (name, before) in &old.need {
        let Some(after) = new.need.get(name) else {
            let what = format!("`{}` is not needed any more", cut(name));
            changes.push((Effect::Wider, what));
            continue;
        };
        let before = if before.by.is_empty() {
            &old.by
        } else {
            &before.by
        };
        let after = if after.by.is_empty() {
            &new.by
        } else {
            &after.by
        };
        let what = format!("may state `{}`", cut(name));
        changes.extend(members(before, after, &what));
    }
}
