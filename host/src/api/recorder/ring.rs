//! The last entries of one kind, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

/// The last entries, each with its number among all that were remembered.
#[derive(Debug)]
pub(super) struct Ring<T> {
    entries: VecDeque<(u64, Arc<T>, usize)>,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
}

impl<T> Ring<T> {
    pub(super) fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            entries_max,
            bytes_max,
        }
    }

    /// Remembers an entry, and forgets the oldest until the rest fits. One that
    /// is too large alone is not remembered.
    pub(super) fn push(&mut self, number: u64, entry: Arc<T>, bytes: usize) {
        if bytes > self.bytes_max {
            return;
        }
        self.bytes += bytes;
        self.entries.push_back((number, entry, bytes));
        while self.entries.len() > self.entries_max || self.bytes > self.bytes_max {
            let Some((_, _, bytes)) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= bytes;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Arc<T>)> + '_ {
        let entries = self.entries.iter();
        entries.map(|(number, entry, _)| (*number, Arc::clone(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Ring};

    fn kept(ring: &Ring<&'static str>) -> Vec<&'static str> {
        ring.iter().map(|(_, entry)| *entry).collect()
    }

    #[test]
    fn the_oldest_goes_first_and_both_bounds_hold() {
        let mut ring = Ring::new(3, 10);
        for (number, entry) in ["a", "b", "c", "d"].into_iter().enumerate() {
            ring.push(number as u64, Arc::new(entry), 1);
        }
        assert_eq!(kept(&ring), ["b", "c", "d"]);
        ring.push(4, Arc::new("long"), 9);
        assert_eq!(kept(&ring), ["d", "long"]);
        ring.push(5, Arc::new("too long"), 11);
        assert_eq!(kept(&ring), ["d", "long"]);
        assert_eq!(ring.bytes, 10);
    }
}
