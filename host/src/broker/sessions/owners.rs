//! Which owner each session has, found by the session's key.
//!
//! The key lies with the owner's line and is not kept twice: there is one entry for
//! each connection.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Key, Line};

/// The owner of each session.
#[derive(Debug, Default)]
pub(super) struct Owners {
    lines: HashTable<Arc<Line>>,
    hasher: RandomState,
}

impl Owners {
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Line>> {
        self.lines.iter()
    }

    /// Puts `line` in the place of the owner before, which is returned.
    pub(super) fn insert(&mut self, line: &Arc<Line>) -> Option<Arc<Line>> {
        let Self { lines, hasher } = self;
        let hash = |own: &Arc<Line>| hasher.hash_one(&own.key);
        match lines.entry(hash(line), |own| own.key == line.key, hash) {
            Entry::Occupied(mut own) => Some(std::mem::replace(own.get_mut(), Arc::clone(line))),
            Entry::Vacant(place) => {
                place.insert(Arc::clone(line));
                None
            }
        }
    }

    /// The place of `line`, if nobody took it.
    pub(super) fn place_of(&mut self, line: &Arc<Line>) -> Option<&mut Arc<Line>> {
        let hash = self.hash(&line.key);
        self.lines.find_mut(hash, |own| Arc::ptr_eq(own, line))
    }

    /// Removes `line`; false if somebody took its place.
    pub(super) fn remove(&mut self, line: &Arc<Line>) -> bool {
        let hash = self.hash(&line.key);
        let own = self.lines.find_entry(hash, |own| Arc::ptr_eq(own, line));
        let removed = own.map(|own| own.remove()).is_ok();
        let Self { lines, hasher } = self;
        if removed && lines.len() < lines.capacity() / 4 {
            lines.shrink_to_fit(|own| hasher.hash_one(&own.key));
        }
        removed
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }
}
