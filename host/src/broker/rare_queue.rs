//! A queue that most connections have nothing in.

use std::collections::VecDeque;
use std::collections::vec_deque::{Drain, IterMut};
use std::ops::Deref;

/// Takes one pointer while it is empty and [shrunk](Self::shrink). Read as the queue
/// that it is.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "one pointer instead of four words")]
pub(super) struct RareQueue<T>(Option<Box<VecDeque<T>>>);

impl<T: 'static> RareQueue<T> {
    const EMPTY: &VecDeque<T> = &VecDeque::new();

    pub(super) fn push_back(&mut self, value: T) {
        self.0.get_or_insert_default().push_back(value);
    }

    pub(super) fn push_front(&mut self, value: T) {
        self.0.get_or_insert_default().push_front(value);
    }

    pub(super) fn extend(&mut self, values: Vec<T>) {
        if !values.is_empty() {
            self.0.get_or_insert_default().extend(values);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        self.0.as_mut()?.pop_front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()?.front_mut()
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        self.0.as_mut()?.remove(place)
    }

    pub(super) fn iter_mut(&mut self) -> IterMut<'_, T> {
        match &mut self.0 {
            Some(queue) => queue.iter_mut(),
            None => IterMut::default(),
        }
    }

    /// All that is in it.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.0.take().map(|queue| *queue).into_iter().flatten()
    }

    /// The first so many, or all.
    pub(super) fn take_first(&mut self, count: usize) -> Vec<T> {
        let drained = |queue: &mut Box<VecDeque<T>>| -> Vec<T> {
            let count = count.min(queue.len());
            let first: Drain<'_, T> = queue.drain(..count);
            first.collect()
        };
        self.0.as_mut().map(drained).unwrap_or_default()
    }

    /// Gives back the memory of an empty one.
    pub(super) fn shrink(&mut self) {
        self.0.take_if(|queue| queue.is_empty());
    }
}

impl<T> Default for RareQueue<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<Vec<T>> for RareQueue<T> {
    fn from(values: Vec<T>) -> Self {
        Self((!values.is_empty()).then(|| Box::new(values.into())))
    }
}

impl<T: 'static> Deref for RareQueue<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        self.0.as_deref().unwrap_or(Self::EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::RareQueue;

    #[test]
    fn nothing_is_kept_of_what_was_in_it() {
        let mut queue = RareQueue::default();
        assert_eq!(size_of_val(&queue), size_of::<usize>());
        assert_eq!((queue.pop_front(), queue.front()), (None, None));
        queue.extend(Vec::new());
        queue.shrink();
        assert!(queue.0.is_none());
        queue.extend(vec![2, 3, 4]);
        queue.push_front(1);
        queue.iter_mut().for_each(|value| *value *= 10);
        assert_eq!(queue.take_first(2), [10, 20]);
        queue.shrink();
        assert_eq!(queue.iter().collect::<Vec<_>>(), [&30, &40]);
        assert_eq!(queue.remove(1), Some(40));
        assert_eq!(queue.pop_front(), Some(30));
        queue.shrink();
        assert!(queue.0.is_none());
        queue.push_back(5);
        assert_eq!(queue.drain().collect::<Vec<_>>(), [5]);
        assert!(queue.is_empty() && queue.0.is_none());
    }
}
