//! The filters that end at one node of the tree, and whose inboxes they lead to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Route;
use crate::bus::mailbox::Mailbox;
use crate::names::TopicFilter;

/// The inboxes that share one subscription.
#[derive(Debug)]
pub(in crate::bus) struct Group {
    name: Arc<str>,
    pub(in crate::bus) members: Vec<Arc<Mailbox>>,
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
    pub(in crate::bus) fn in_turn(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (late, early) = self.members.split_at(first);
        early.iter().chain(late)
    }
}

/// The filters that end at one node, most of which are one.
#[derive(Debug, Default)]
pub(super) enum Ends {
    #[default]
    Nothing,
    /// One filter of one inbox, shared with nobody.
    Here(Arc<Mailbox>),
    /// The same, which goes on with `#`.
    Below(Arc<Mailbox>),
    More(Box<Leaves>),
}

#[derive(Debug, Default)]
pub(super) struct Leaves {
    here: Leaf,
    /// Of filters that go on with `#`.
    below: Leaf,
}

#[derive(Debug, Default)]
struct Leaf {
    direct: Vec<Arc<Mailbox>>,
    groups: Vec<Arc<Group>>,
}

impl Ends {
    pub(super) fn insert(&mut self, filter: &TopicFilter, mailbox: &Arc<Mailbox>) {
        let (below, group) = (is_below(filter), filter.group());
        if matches!(self, Self::Nothing) && group.is_none() {
            let mailbox = Arc::clone(mailbox);
            *self = if below {
                Self::Below(mailbox)
            } else {
                Self::Here(mailbox)
            };
            return;
        }
        let mut leaves = match std::mem::take(self) {
            Self::More(leaves) => leaves,
            Self::Nothing => Box::default(),
            Self::Here(only) => Box::new(Leaves {
                here: Leaf::of(only),
                below: Leaf::default(),
            }),
            Self::Below(only) => Box::new(Leaves {
                here: Leaf::default(),
                below: Leaf::of(only),
            }),
        };
        leaves.of(below).insert(group, mailbox);
        *self = Self::More(leaves);
    }

    /// False if it is not here.
    pub(super) fn remove(&mut self, filter: &TopicFilter, mailbox: &Arc<Mailbox>) -> bool {
        let (below, group) = (is_below(filter), filter.group());
        let removed = match self {
            Self::Nothing => false,
            Self::Here(only) => !below && group.is_none() && Arc::ptr_eq(only, mailbox),
            Self::Below(only) => below && group.is_none() && Arc::ptr_eq(only, mailbox),
            Self::More(leaves) => {
                let removed = leaves.of(below).remove(group, mailbox);
                if !(leaves.here.is_empty() && leaves.below.is_empty()) {
                    return removed;
                }
                removed
            }
        };
        if removed {
            *self = Self::Nothing;
        }
        removed
    }

    /// Adds what leads to topics that end here.
    pub(super) fn add_here(&self, route: &mut Route) {
        match self {
            Self::Here(only) => route.direct.push(Arc::clone(only)),
            Self::More(leaves) => leaves.here.add_to(route),
            Self::Nothing | Self::Below(_) => {}
        }
    }

    /// Adds what leads to topics that end here or further down.
    pub(super) fn add_below(&self, route: &mut Route) {
        match self {
            Self::Below(only) => route.direct.push(Arc::clone(only)),
            Self::More(leaves) => leaves.below.add_to(route),
            Self::Nothing | Self::Here(_) => {}
        }
    }
}

impl Leaves {
    fn of(&mut self, below: bool) -> &mut Leaf {
        if below {
            &mut self.below
        } else {
            &mut self.here
        }
    }
}

/// Whether a filter ends with `#`, which its node stands for too.
fn is_below(filter: &TopicFilter) -> bool {
    filter.levels().next_back() == Some("#")
}

impl Leaf {
    fn of(only: Arc<Mailbox>) -> Self {
        Self {
            direct: vec![only],
            groups: Vec::new(),
        }
    }

    fn add_to(&self, route: &mut Route) {
        route.direct.extend(self.direct.iter().cloned());
        route.groups.extend(self.groups.iter().cloned());
    }

    fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.groups.is_empty()
    }

    fn insert(&mut self, group: Option<&str>, mailbox: &Arc<Mailbox>) {
        let Some(name) = group else {
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
