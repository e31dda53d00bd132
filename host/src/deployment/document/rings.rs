//! Plugins whose grants let messages come back to them.
//!
//! Grants are upper bounds, so this only warns: what a plugin does within them
//! is its own affair, and a message that really goes round is stopped as it runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Plugin;
use super::fault::{Collector, FaultKind};
use super::place::{Place, Places};
use crate::names::{PluginName, TopicFilter};

/// Plugins, and pairs of filters, up to which rings are looked for.
const PLUGINS_MAX: usize = 256;
const PAIRS_MAX: usize = 1 << 20;

type Feeds<'a> = BTreeMap<&'a PluginName, Vec<&'a PluginName>>;

/// Warns of each plugin that may feed itself, and once of plugins that may feed
/// each other, with the shortest ring there is.
pub(super) fn warn(
    plugins: &BTreeMap<PluginName, Plugin>,
    places: &Places,
    faults: &mut Collector<'_>,
) {
    let count = |list: fn(&Plugin) -> usize| plugins.values().map(list).sum::<usize>();
    let pairs = count(|plugin| plugin.grants.publish.len())
        .saturating_mul(count(|plugin| plugin.grants.subscribe.len()));
    if plugins.len() > PLUGINS_MAX || pairs > PAIRS_MAX {
        return;
    }
    let mut feeds = Feeds::new();
    for (name, plugin) in plugins {
        if let Some((publish, subscribe)) = meeting(plugin, plugin) {
            let kind = FaultKind::FeedsItself {
                plugin: name.to_string(),
                publish: publish.to_string(),
                subscribe: subscribe.to_string(),
            };
            faults.push_with(place(places, name), kind, Some(HELP.to_owned()));
        }
        let others = plugins.iter().filter(|(other, _)| *other != name);
        let fed = others.filter(|(_, other)| meeting(plugin, other).is_some());
        feeds.insert(name, fed.map(|(other, _)| other).collect());
    }
    let mut told = BTreeSet::new();
    for name in plugins.keys() {
        if told.contains(name) {
            continue;
        }
        let Some(ring) = shortest_ring(&feeds, name) else {
            continue;
        };
        // Whoever it reaches and is reached by goes round with it.
        let reached = reached(&feeds, name);
        let with = reached.into_keys();
        told.extend(with.filter(|other| reaches(&feeds, other, name)));
        let names: Vec<_> = ring.iter().map(|name| format!("`{name}`")).collect();
        let kind = FaultKind::Ring(names.join(" -> "));
        faults.push_with(place(places, name), kind, Some(HELP.to_owned()));
    }
}

const HELP: &str = "if that is not meant, narrow their grants; \
    a message that goes round is stopped after a while";

fn place(places: &Places, plugin: &PluginName) -> usize {
    places.offset(Place::Grant(plugin, "publish", None))
}

/// What `from` may publish that `to` is subscribed to.
fn meeting<'a>(from: &'a Plugin, to: &'a Plugin) -> Option<(&'a TopicFilter, &'a TopicFilter)> {
    let mut published = from.grants.publish.iter();
    published.find_map(|publish| {
        let mut subscribed = to.grants.subscribe.iter();
        let subscribe = subscribed.find(|subscribe| publish.overlaps(subscribe))?;
        Some((publish, subscribe))
    })
}

/// Whom `start` feeds, over others too, and who fed them first.
fn reached<'a>(
    feeds: &Feeds<'a>,
    start: &'a PluginName,
) -> BTreeMap<&'a PluginName, &'a PluginName> {
    let mut fed_by = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(from) = next.pop_front() {
        for to in feeds.get(from).into_iter().flatten() {
            if !fed_by.contains_key(to) {
                fed_by.insert(*to, from);
                next.push_back(to);
            }
        }
    }
    fed_by
}

fn reaches(feeds: &Feeds<'_>, from: &PluginName, to: &PluginName) -> bool {
    feeds
        .get_key_value(from)
        .is_some_and(|(from, _)| reached(feeds, from).contains_key(to))
}

/// From `start` back to it, both named.
fn shortest_ring<'a>(feeds: &Feeds<'a>, start: &'a PluginName) -> Option<Vec<&'a PluginName>> {
    let fed_by = reached(feeds, start);
    let mut ring = vec![start];
    let mut at = *fed_by.get(start)?;
    while at != start {
        ring.push(at);
        at = fed_by.get(at)?;
    }
    ring.push(start);
    ring.reverse();
    Some(ring)
}
