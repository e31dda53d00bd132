//! How a list is read that anyone may add to, when not all of it is.

use std::collections::VecDeque;

/// The last of `items`, the first, the last but one, and so on. Whoever floods a
/// list, before or after what matters, hides neither what was there first nor
/// what came last.
pub fn from_both_ends<T>(items: Vec<T>) -> impl Iterator<Item = T> {
    let mut items = VecDeque::from(items);
    let mut last = false;
    std::iter::from_fn(move || {
        last = !last;
        if last {
            items.pop_back()
        } else {
            items.pop_front()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::from_both_ends;

    #[test]
    fn the_last_and_the_first_come_first() {
        let order: Vec<_> = from_both_ends(vec![1, 2, 3, 4, 5]).collect();
        assert_eq!(order, [5, 1, 4, 2, 3]);
        assert_eq!(from_both_ends(Vec::<u8>::new()).next(), None);
    }
}
