//! Tasks without a name: the connections of one server.
//!
//! A group has an owner, which is a unit: it ends the group before it ends
//! itself, and a group that is dropped ends at once. So nothing in it outlives
//! its unit, and a panic in one task ends that task alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Up to so many tasks at once. Clones are the same group; the last one dropped
/// aborts what still runs.
#[derive(Clone, Debug)]
pub struct TaskGroup(Arc<Group>);

#[derive(Debug)]
struct Group {
    tasks: Mutex<JoinSet<()>>,
    running: Arc<AtomicU32>,
    max: u32,
}

/// The group has its most tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {max} already")]
pub struct GroupFull {
    pub max: u32,
}

/// One task's place.
struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl TaskGroup {
    pub fn new(max: u32) -> Self {
        Self(Arc::new(Group {
            tasks: Mutex::default(),
            running: Arc::default(),
            max,
        }))
    }

    /// Starts a task, unless there are too many.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<(), GroupFull> {
        let mut tasks = self.0.tasks.lock();
        // What has ended makes room, and keeps no memory.
        while tasks.try_join_next().is_some() {}
        let max = self.0.max;
        if self.len() >= max {
            return Err(GroupFull { max });
        }
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.0.running));
        // Not an async block, which would keep room for the task twice.
        tasks.spawn(task.map(move |()| drop(place)));
        Ok(())
    }

    /// Tasks running.
    pub fn len(&self) -> u32 {
        self.0.running.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all tasks have ended, at most for `grace`; then aborts the rest.
    /// How many that were. Telling them to end is the caller's.
    pub async fn end(&self, grace: Duration) -> usize {
        let deadline = Instant::now() + grace;
        let mut tasks = std::mem::take(&mut *self.0.tasks.lock());
        while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
        let left = tasks.len();
        tasks.shutdown().await;
        left
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::{Duration, GroupFull, TaskGroup};

    #[tokio::test]
    async fn a_group_is_full_until_a_task_ends_and_aborts_what_does_not() {
        let group = TaskGroup::new(2);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        group.start(async move { drop(ended.await) }).unwrap();
        group.start(pending()).unwrap();
        assert_eq!(group.start(pending()), Err(GroupFull { max: 2 }));
        end.send(()).unwrap();
        while group.len() == 2 {
            tokio::task::yield_now().await;
        }
        group.start(async { panic!("this task alone") }).unwrap();
        while group.len() == 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(group.end(Duration::from_millis(10)).await, 1);
        assert!(group.is_empty());
    }
}
