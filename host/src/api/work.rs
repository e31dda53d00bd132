//! Does what requests ask for, whether or not their senders wait for it.
//!
//! What changes something runs here to its end: a client that goes away in the
//! middle leaves nothing half done. So much at once; the rest is refused.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::error;

use super::refusal::Refusal;
use crate::supervisor::{UnitContext, UnitResult};

/// What is under way at once.
const JOBS_MAX: usize = 32;
/// What waits for it.
const WAITING_MAX: usize = 32;

type Job = BoxFuture<'static, ()>;

/// A place where work is done.
#[derive(Debug)]
pub(super) struct Work {
    queue: mpsc::Sender<Job>,
    waiting: Mutex<mpsc::Receiver<Job>>,
}

impl Default for Work {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        Self {
            queue,
            waiting: Mutex::new(waiting),
        }
    }
}

impl Work {
    /// Has `job` done, and waits for what comes of it.
    pub(super) async fn done<T: Send + 'static>(
        &self,
        job: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tell, told) = oneshot::channel();
        let job = async move {
            // Whoever asked may be gone.
            drop(tell.send(job.await));
        };
        let queued = self.queue.try_send(Box::pin(job));
        queued.map_err(|_| Refusal::Busy)?;
        told.await.map_err(|_| Refusal::Stopping)
    }

    /// Works until told to stop, and then until all that was begun is done.
    pub(super) async fn run(self: Arc<Self>, context: UnitContext) -> UnitResult {
        let mut waiting = self.waiting.lock().await;
        let mut jobs = FuturesUnordered::new();
        context.ready();
        loop {
            let has_room = jobs.len() < JOBS_MAX;
            tokio::select! {
                Some(ended) = jobs.next(), if !jobs.is_empty() => {
                    let ended: std::thread::Result<()> = ended;
                    if ended.is_err() {
                        error!("a request of the management API panicked");
                    }
                }
                job = waiting.recv(), if has_room => match job {
                    Some(job) => jobs.push(AssertUnwindSafe(job).catch_unwind()),
                    None => return Ok(()),
                },
                () = context.stop.cancelled() => break,
            }
        }
        // What waits is told that the host is stopping.
        while waiting.try_recv().is_ok() {}
        while jobs.next().await.is_some() {}
        Ok(())
    }
}
