//! Which inboxes a topic leads to.
//!
//! A tree of filter levels, walked breadth-first without recursion, because
//! topics come from strangers and may be deep. Routes found are cached by each
//! party and die with the generation they were found in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::mailbox::Mailbox;
use crate::names::{Topic, TopicFilter};

/// Levels of one filter; a node of the tree for each.
pub(super) const LEVELS_MAX: usize = 128;
/// Emptied nodes that are kept before the tree is built anew.
const EMPTIED_MAX: usize = 1024;

/// Where the messages of one topic go.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Of the subscriptions that it was found in.
    pub(super) generation: u64,
    /// Each inbox once, however many of its filters match.
    pub(super) direct: Vec<Arc<Mailbox>>,
    /// How many of `direct` make publishers wait.
    pub(super) blocking: usize,
    pub(super) groups: Vec<Arc<Group>>,
}

/// The inboxes that share one subscription.
#[derive(Debug)]
pub(super) struct Group {
    name: Arc<str>,
    pub(super) members: Vec<Arc<Mailbox>>,
    next: Arc<AtomicUsize>,
}

impl Group {
    /// The members, beginning with the one whose turn it is.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (late, early) = self.members.split_at(first);
        early.iter().chain(late)
    }
}

/// All subscriptions.
#[derive(Debug)]
pub(super) struct Router {
    nodes: Vec<Node>,
    subscriptions: Vec<(TopicFilter, Arc<Mailbox>)>,
    /// Removals since the tree was built.
    removed: usize,
}

#[derive(Debug, Default)]
struct Node {
    names: HashMap<String, usize>,
    plus: Option<usize>,
    /// Of filters that end here.
    here: Leaf,
    /// Of filters that go on with `#`.
    below: Leaf,
}

#[derive(Debug, Default)]
struct Leaf {
    direct: Vec<Arc<Mailbox>>,
    groups: Vec<Arc<Group>>,
}

impl Router {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            subscriptions: Vec::new(),
            removed: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn insert(&mut self, filter: &TopicFilter, mailbox: &Arc<Mailbox>) {
        self.subscriptions
            .push((filter.clone(), Arc::clone(mailbox)));
        if let Some(leaf) = self.leaf(filter) {
            leaf.insert(filter.group(), mailbox);
        }
    }

    /// Removes all subscriptions of an inbox.
    pub(super) fn remove(&mut self, mailbox: &Arc<Mailbox>) {
        let (gone, kept) = std::mem::take(&mut self.subscriptions)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, other)| Arc::ptr_eq(other, mailbox));
        self.subscriptions = kept;
        for (filter, _) in &gone {
            if let Some(leaf) = self.leaf(filter) {
                leaf.remove(mailbox);
            }
        }
        self.removed += gone
            .iter()
            .map(|(filter, _)| filter.levels().count())
            .sum::<usize>();
        if self.removed > EMPTIED_MAX.max(self.nodes.len() / 2) {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let mut old = std::mem::replace(self, Self::new());
        for (filter, mailbox) in std::mem::take(&mut old.subscriptions) {
            // The turns of a group begin anew, which does no harm.
            self.insert(&filter, &mailbox);
        }
    }

    /// Where subscriptions of this filter hang; its nodes are made if missing.
    fn leaf(&mut self, filter: &TopicFilter) -> Option<&mut Leaf> {
        let mut at = 0;
        for level in filter.levels() {
            if level == "#" {
                return self.nodes.get_mut(at).map(|node| &mut node.below);
            }
            let fresh = self.nodes.len();
            let node = self.nodes.get_mut(at)?;
            at = if level == "+" {
                *node.plus.get_or_insert(fresh)
            } else {
                *node.names.entry_ref(level).or_insert(fresh)
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        self.nodes.get_mut(at).map(|node| &mut node.here)
    }

    pub(super) fn route(&self, topic: &Topic, generation: u64) -> Route {
        let mut route = Route {
            generation,
            ..Route::default()
        };
        let mut reached: Vec<&Node> = self.nodes.first().into_iter().collect();
        let mut wild = !topic.is_system();
        for name in topic.levels() {
            let mut next = Vec::new();
            for node in reached {
                if wild {
                    route.add(&node.below);
                    next.extend(node.plus.and_then(|at| self.nodes.get(at)));
                }
                next.extend(node.names.get(name).and_then(|&at| self.nodes.get(at)));
            }
            reached = next;
            wild = true;
        }
        for node in reached {
            route.add(&node.here);
            route.add(&node.below);
        }
        route.direct.sort_by_key(Arc::as_ptr);
        route.direct.dedup_by(|one, other| Arc::ptr_eq(one, other));
        route.blocking = route
            .direct
            .iter()
            .filter(|mailbox| mailbox.blocks())
            .count();
        route
    }
}

impl Route {
    fn add(&mut self, leaf: &Leaf) {
        self.direct.extend(leaf.direct.iter().cloned());
        self.groups.extend(leaf.groups.iter().cloned());
    }
}

impl Leaf {
    fn insert(&mut self, group: Option<&str>, mailbox: &Arc<Mailbox>) {
        let Some(name) = group else {
            self.direct.push(Arc::clone(mailbox));
            return;
        };
        let mut members = vec![Arc::clone(mailbox)];
        let mut next = Arc::default();
        if let Some(old) = self.groups.iter().find(|group| &*group.name == name) {
            members.splice(0..0, old.members.iter().cloned());
            next = Arc::clone(&old.next);
        }
        self.groups.retain(|group| &*group.name != name);
        let name = name.into();
        self.groups.push(Arc::new(Group {
            name,
            members,
            next,
        }));
    }

    fn remove(&mut self, mailbox: &Arc<Mailbox>) {
        self.direct.retain(|other| !Arc::ptr_eq(other, mailbox));
        for group in &mut self.groups {
            let members = group
                .members
                .iter()
                .filter(|other| !Arc::ptr_eq(other, mailbox));
            *group = Arc::new(Group {
                name: Arc::clone(&group.name),
                members: members.cloned().collect(),
                next: Arc::clone(&group.next),
            });
        }
        self.groups.retain(|group| !group.members.is_empty());
    }
}
