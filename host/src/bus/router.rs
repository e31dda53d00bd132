//! Which inboxes a topic leads to.
//!
//! A tree of filter levels, walked breadth-first without recursion, because
//! topics come from strangers and may be deep. Routes found are cached by each
//! party and die with the generation they were found in.

mod ends;
mod level;

use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::HashMap;

use self::ends::Ends;
pub(super) use self::ends::Group;
use self::level::Level;
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
    names: Option<Box<HashMap<Level, u32>>>,
    plus: Option<NonZeroU32>,
    ends: Ends,
}

impl Node {
    fn is_unneeded(&self) -> bool {
        matches!(self.ends, Ends::Nothing) && self.plus.is_none() && self.names.is_none()
    }

    fn named(&self, level: &str) -> Option<u32> {
        self.names.as_ref()?.get(level.as_bytes()).copied()
    }

    fn forget(&mut self, level: &str) {
        if let Some(names) = &mut self.names {
            names.remove(level.as_bytes());
            if names.len() < names.capacity() / 4 {
                names.shrink_to_fit();
            }
        }
        self.names.take_if(|names| names.is_empty());
    }
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
            node.ends.insert(filter, mailbox);
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
        let removed = node.ends.remove(filter, mailbox);
        self.subscriptions -= usize::from(removed);
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
                    node.forget(level);
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
            node.named(level)
        }
    }

    /// Makes a node where `level` leads from the node `at`.
    fn grow(&mut self, at: u32, level: &str) -> u32 {
        let fresh = self.free.pop().unwrap_or_else(|| {
            if self.nodes.len() == self.nodes.capacity() {
                // Not twice as many: there are many, and few come at once.
                self.nodes.reserve_exact(self.nodes.len() / 4 + 1);
            }
            self.nodes.push(Node::default());
            u32::try_from(self.nodes.len() - 1).expect("subscriptions are bounded")
        });
        if let Some(node) = self.node(at) {
            if level == "+" {
                node.plus = NonZeroU32::new(fresh);
            } else {
                let names = node.names.get_or_insert_default();
                names.insert(Level::new(level), fresh);
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
                    node.ends.add_below(&mut route);
                    next.extend(node.plus.and_then(|at| self.nodes.get(at.get() as usize)));
                }
                let named = node.named(name);
                next.extend(named.and_then(|at| self.nodes.get(at as usize)));
            }
            reached = next;
            wild = true;
        }
        for node in reached {
            node.ends.add_here(&mut route);
            node.ends.add_below(&mut route);
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
