//! Which inboxes a topic leads to.
//!
//! A tree of filter levels, walked breadth-first without recursion, because
//! topics come from strangers and may be deep. Routes found are cached by each
//! party and die with the generation they were found in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::Reach;
use super::mailbox::Mailbox;
use crate::names::{Topic, TopicFilter};

/// Levels of one filter; a node of the tree for each.
pub(super) const LEVELS_MAX: usize = 128;

/// The node that all filters begin at.
const ROOT: u32 = 0;

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
    /// The same group, in turn as before, with other members.
    fn with(&self, members: Vec<Arc<Mailbox>>) -> Arc<Self> {
        Arc::new(Self {
            name: Arc::clone(&self.name),
            members,
            next: Arc::clone(&self.next),
        })
    }

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
    /// Nodes that no filter needs.
    free: Vec<u32>,
    subscriptions: usize,
}

/// Kept small: nearly every device has a few of its own.
#[derive(Debug, Default)]
struct Node {
    names: HashMap<Box<str>, u32>,
    plus: Option<NonZeroU32>,
    /// Of filters that end here.
    here: Option<Box<Leaf>>,
    /// Of filters that go on with `#`.
    below: Option<Box<Leaf>>,
}

impl Node {
    fn is_unneeded(&self) -> bool {
        let leaves = self.here.is_some() || self.below.is_some();
        !leaves && self.plus.is_none() && self.names.is_empty()
    }
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
            free: Vec::new(),
            subscriptions: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.subscriptions
    }

    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a subscription that the inbox does not have yet.
    pub(super) fn insert(&mut self, filter: &TopicFilter, mailbox: &Arc<Mailbox>) {
        let mut at = ROOT;
        for level in filter.levels() {
            if level == "#" {
                break;
            }
            at = match self.step(at, level) {
                Some(next) => next,
                None => self.grow(at, level),
            };
        }
        if let Some(node) = self.node(at) {
            let leaf = leaf_of(node, filter).get_or_insert_default();
            leaf.insert(filter.group(), mailbox);
            self.subscriptions += 1;
        }
    }

    /// Removes a subscription that the inbox has, and the nodes that only it needed.
    pub(super) fn remove(&mut self, filter: &TopicFilter, mailbox: &Arc<Mailbox>) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for level in filter.levels() {
            if level == "#" {
                break;
            }
            let Some(next) = self.step(at, level) else {
                return;
            };
            path.push((at, level));
            at = next;
        }
        let Some(node) = self.node(at) else { return };
        let place = leaf_of(node, filter);
        let Some(leaf) = place else { return };
        self.subscriptions -= usize::from(leaf.remove(filter.group(), mailbox));
        // Borrowed anew: the count lies beside the nodes.
        if let Some(node) = self.node(at) {
            leaf_of(node, filter).take_if(|leaf| leaf.is_empty());
        }
        self.prune(at, path);
    }

    /// Frees the node `at`, to which `path` leads, and those before it, as far as
    /// none of them is needed.
    fn prune(&mut self, mut at: u32, mut path: Vec<(u32, &str)>) {
        while let Some((parent, level)) = path.pop() {
            match self.node(at) {
                Some(node) if node.is_unneeded() => *node = Node::default(),
                _ => return,
            }
            self.free.push(at);
            if let Some(node) = self.node(parent) {
                if level == "+" {
                    node.plus = None;
                } else {
                    node.names.remove(level);
                    if node.names.len() < node.names.capacity() / 4 {
                        node.names.shrink_to_fit();
                    }
                }
            }
            at = parent;
        }
    }

    fn node(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(at as usize)
    }

    /// Where `level` leads from the node `at`.
    fn step(&self, at: u32, level: &str) -> Option<u32> {
        let node = self.nodes.get(at as usize)?;
        if level == "+" {
            node.plus.map(NonZeroU32::get)
        } else {
            node.names.get(level).copied()
        }
    }

    /// Makes a node where `level` leads from the node `at`.
    fn grow(&mut self, at: u32, level: &str) -> u32 {
        let fresh = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            u32::try_from(self.nodes.len() - 1).expect("subscriptions are bounded")
        });
        if let Some(node) = self.node(at) {
            if level == "+" {
                node.plus = NonZeroU32::new(fresh);
            } else {
                node.names.insert(level.into(), fresh);
            }
        }
        fresh
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
                    route.add(node.below.as_deref());
                    next.extend(node.plus.and_then(|at| self.nodes.get(at.get() as usize)));
                }
                let named = node.names.get(name);
                next.extend(named.and_then(|&at| self.nodes.get(at as usize)));
            }
            reached = next;
            wild = true;
        }
        for node in reached {
            route.add(node.here.as_deref());
            route.add(node.below.as_deref());
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

/// Where subscriptions of `filter` hang at the node where its levels end.
fn leaf_of<'a>(node: &'a mut Node, filter: &TopicFilter) -> &'a mut Option<Box<Leaf>> {
    if filter.levels().next_back() == Some("#") {
        &mut node.below
    } else {
        &mut node.here
    }
}

impl Route {
    fn add(&mut self, leaf: Option<&Leaf>) {
        if let Some(leaf) = leaf {
            self.direct.extend(leaf.direct.iter().cloned());
            self.groups.extend(leaf.groups.iter().cloned());
        }
    }

    /// Whether it leads anywhere.
    #[inline]
    pub(super) fn reach(&self) -> Reach {
        if self.direct.is_empty() && self.groups.is_empty() {
            Reach::Nobody
        } else {
            Reach::Some
        }
    }
}

impl Leaf {
    fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.groups.is_empty()
    }

    fn insert(&mut self, group: Option<&str>, mailbox: &Arc<Mailbox>) {
        let Some(name) = group else {
            if self.direct.is_empty() {
                self.direct.reserve_exact(1);
            }
            self.direct.push(Arc::clone(mailbox));
            return;
        };
        let old = self.groups.iter_mut().find(|group| &*group.name == name);
        if let Some(old) = old {
            let members = old.members.iter().chain([mailbox]);
            *old = old.with(members.cloned().collect());
        } else {
            self.groups.push(Arc::new(Group {
                name: name.into(),
                members: vec![Arc::clone(mailbox)],
                next: Arc::default(),
            }));
        }
    }

    /// False if it is not here.
    fn remove(&mut self, group: Option<&str>, mailbox: &Arc<Mailbox>) -> bool {
        let is_it = |other: &Arc<Mailbox>| Arc::ptr_eq(other, mailbox);
        let Some(name) = group else {
            let place = self.direct.iter().position(is_it);
            place.map(|place| self.direct.swap_remove(place));
            return place.is_some();
        };
        let Some(at) = self.groups.iter().position(|group| &*group.name == name) else {
            return false;
        };
        let Some(group) = self.groups.get_mut(at) else {
            return false;
        };
        let before = group.members.len();
        let members = group.members.iter().filter(|other| !is_it(other));
        *group = group.with(members.cloned().collect());
        let removed = group.members.len() < before;
        if group.members.is_empty() {
            self.groups.remove(at);
        }
        removed
    }
}
