//! Which rights widen when one version of a plugin takes the place of another.
//!
//! Three have a say: the component by what it imports, the plugin's signed
//! manifest by what it wants, and the document by what it grants. What the first
//! two need anew must be granted by the third; that refuses upgrades that reach
//! for more than anybody looked at. What a guest may really do is decided by its
//! grants alone, not here.

mod words;

use std::collections::BTreeMap;

use selvedge_artifact::Want;
use serde_json::Value;

use super::document::Plugin;
use super::plan::{Asker, Needs, Right};
use crate::capabilities::{grant_for, interface_of, is_admitted};
use crate::names::{ModelName, TopicFilter};
use crate::spec::{Endpoint, Grants, Limits};

pub(super) use words::{WIDENED, help, list_for, message};

/// A version of a plugin: what the document says of it, and what it says itself,
/// if that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) needs: Option<&'a Needs>,
}

/// What `after` has or needs and `before` did not; all, if nothing was before.
pub(super) fn widened(before: Option<Party<'_>>, after: Party<'_>) -> Vec<Right> {
    let grants = &after.plugin.grants;
    let wants = after.needs.map_or(&[][..], |needs| &needs.wants);
    let old = before.and_then(|before| before.needs);
    let mut rights = Vec::new();
    if let Some(needs) = after.needs {
        rights.extend(imports(old, needs, grants));
        let had = old.map_or(&[][..], |old| &old.wants);
        rights.extend(wanted(had, wants, grants));
    }
    let had = before.map(|before| before.plugin);
    rights.extend(granted(had, after.plugin, wants));
    rights.sort();
    rights.dedup();
    rights
}

/// Interfaces that the running component does not import.
fn imports<'a>(
    old: Option<&'a Needs>,
    new: &'a Needs,
    grants: &'a Grants,
) -> impl Iterator<Item = Right> + 'a {
    let had = move |import: &str| {
        let mut imports = old.into_iter().flat_map(|old| &old.imports);
        imports.any(|had| interface_of(had) == interface_of(import))
    };
    let anew = new.imports.iter().filter(move |import| !had(import));
    anew.map(move |import| {
        let kind = grant_for(import).unwrap_or_default();
        let mut wants = new.wants.iter();
        let want = wants.find(|want| want.wish().is_some_and(|(wish, _)| list_of(wish) == kind));
        Right {
            kind: "import".to_owned(),
            what: interface_of(import).to_owned(),
            by: Asker::Component,
            granted: is_admitted(import, grants),
            why: want.map(|want| want.why.clone()),
        }
    })
}

/// The list of the grants that a wish is about.
fn list_of(wish: &str) -> &str {
    if wish == "model" { "models" } else { wish }
}

/// Wishes that the running version's manifest does not have.
fn wanted<'a>(
    had: &'a [Want],
    wants: &'a [Want],
    grants: &'a Grants,
) -> impl Iterator<Item = Right> + 'a {
    let had = move |kind: &str, what: &str| {
        let mut wishes = had.iter().filter_map(Want::wish);
        wishes.any(|(had_kind, had)| had_kind == kind && includes(kind, &had, what))
    };
    let wishes = wants
        .iter()
        .filter_map(|want| Some((want.wish()?, &want.why)));
    let anew = wishes.filter(move |((kind, what), _)| !had(kind, what));
    anew.map(move |((kind, what), why)| Right {
        kind: kind.to_owned(),
        granted: is_granted(kind, &what, grants),
        what,
        by: Asker::Manifest,
        why: Some(why.clone()),
    })
}

/// Whether whoever has `had` of a kind has `what` too.
fn includes(kind: &str, had: &str, what: &str) -> bool {
    if had == what {
        return true;
    }
    match kind {
        "publish" | "subscribe" => filters(had, what).is_some_and(|(had, what)| had.covers(&what)),
        "keyvalue_bytes_max" => match (had.parse::<u64>(), what.parse::<u64>()) {
            (Ok(had), Ok(what)) => had >= what,
            _ => false,
        },
        _ => false,
    }
}

fn filters(one: &str, other: &str) -> Option<(TopicFilter, TopicFilter)> {
    Some((one.parse().ok()?, other.parse().ok()?))
}

/// Whether the document has spoken about a wish: its grants include it, or are a
/// part of it. A wish in words is granted where anything of its kind is.
fn is_granted(kind: &str, wish: &str, grants: &Grants) -> bool {
    let topics = |granted: &[TopicFilter]| match wish.parse::<TopicFilter>() {
        Ok(wish) => {
            let mut granted = granted.iter();
            granted.any(|granted| granted.covers(&wish) || wish.covers(granted))
        }
        Err(_) => !granted.is_empty(),
    };
    let endpoints = |granted: &[Endpoint]| match Endpoint::try_from(wish.to_owned()) {
        Ok(wish) => granted.contains(&wish),
        Err(_) => !granted.is_empty(),
    };
    match kind {
        "publish" => topics(&grants.publish),
        "subscribe" => topics(&grants.subscribe),
        "tcp" => endpoints(&grants.tcp),
        "udp" => endpoints(&grants.udp),
        "model" => match wish.parse::<ModelName>() {
            Ok(wish) => grants.models.contains(&wish),
            Err(_) => !grants.models.is_empty(),
        },
        "keyvalue_bytes_max" => grants.keyvalue_bytes_max > 0,
        _ => false,
    }
}

/// Grants and limits that the running document does not give. Of a plugin that
/// is new, limits above their defaults.
fn granted(had: Option<&Plugin>, new: &Plugin, wants: &[Want]) -> Vec<Right> {
    let none = (Grants::default(), Limits::default());
    let (grants, limits) = had.map_or((&none.0, &none.1), |had| (&had.grants, &had.limits));
    let mut rights = Vec::new();
    let mut push = |kind: &str, what: String| {
        let mut wishes = wants.iter();
        let want = wishes.find(|want| {
            let wish = want.wish();
            wish.is_some_and(|(wish, wanted)| wish == kind && includes(kind, &wanted, &what))
        });
        rights.push(Right {
            kind: kind.to_owned(),
            what,
            by: Asker::Document,
            granted: true,
            why: want.map(|want| want.why.clone()),
        });
    };
    for (kind, had, new) in [
        ("publish", &grants.publish, &new.grants.publish),
        ("subscribe", &grants.subscribe, &new.grants.subscribe),
    ] {
        let anew = new
            .iter()
            .filter(|new| !had.iter().any(|had| had.covers(new)));
        anew.for_each(|filter| push(kind, filter.to_string()));
    }
    for (kind, had, new) in [
        ("tcp", &grants.tcp, &new.grants.tcp),
        ("udp", &grants.udp, &new.grants.udp),
    ] {
        let anew = new.iter().filter(|endpoint| !had.contains(endpoint));
        anew.for_each(|endpoint| push(kind, endpoint.clone().into()));
    }
    let anew = new.grants.models.iter();
    let anew = anew.filter(|model| !grants.models.contains(model));
    anew.for_each(|model| push("model", model.to_string()));
    if new.grants.keyvalue_bytes_max > grants.keyvalue_bytes_max {
        push(
            "keyvalue_bytes_max",
            new.grants.keyvalue_bytes_max.to_string(),
        );
    }
    let had = numbers(limits);
    for (limit, value) in numbers(&new.limits) {
        if had.get(&limit).is_none_or(|had| value > *had) {
            push(&limit, value.to_string());
        }
    }
    rights
}

/// The limits that are numbers, by name.
fn numbers(limits: &Limits) -> BTreeMap<String, u64> {
    let Ok(Value::Object(fields)) = serde_json::to_value(limits) else {
        return BTreeMap::new();
    };
    let numbers = fields.into_iter();
    numbers
        .filter_map(|(name, value)| Some((name, value.as_u64()?)))
        .collect()
}

#[cfg(test)]
mod tests;
