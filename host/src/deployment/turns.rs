//! Turns at what takes a core, or much memory, for a while: no more at once than
//! there are places, whoever asked for it.
//!
//! A deployment that is given up drops what it waits for, and what was begun on
//! another thread goes on to its end: it keeps its turn until then.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many at once. Clones are the same turns.
#[derive(Clone, Debug)]
pub struct Turns {
    places: Arc<Semaphore>,
    max: usize,
}

impl Turns {
    /// Up to `max` at once, and one at least.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(max));
        Self { places, max }
    }

    /// How many may work at once.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Does `work` where blocking is allowed, once it is its turn; nothing if it
    /// did not end.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let in_turn = move || {
            let done = work();
            drop(turn);
            done
        };
        spawn_blocking(in_turn).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::Turns;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_keeps_its_turn_until_it_ends() {
        let turns = Turns::new(1);
        let (begun, begins) = mpsc::sync_channel(1);
        let (end, ends) = mpsc::sync_channel::<()>(1);
        let first = turns.take(move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        });
        // Begun, and given up.
        assert!(first.now_or_never().is_none());
        begins.recv().unwrap();

        let mut second = Box::pin(turns.take(|| 2));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(turns.places.available_permits(), 0);
        end.send(()).unwrap();
        assert_eq!(second.await, Some(2));
    }

    #[tokio::test]
    async fn a_turn_that_panics_is_given_back() {
        let turns = Turns::new(0);
        assert_eq!(turns.max(), 1);
        assert_eq!(turns.take(|| panic!("a test's")).await, None::<()>);
        assert_eq!(turns.take(|| 1).await, Some(1));
    }
}
