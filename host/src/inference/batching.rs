//! Runs of several callers, computed together.
//!
//! Whoever finds nobody computing leads at once, alone; those who come meanwhile
//! are computed together next. Where the last run was a shared one, its leader
//! waits for as many again, for a short time. A run that fails as a whole is made
//! singly, so that nobody pays for another's input; what callers get is what they
//! would have got alone, since that was tried when the model was loaded.

mod proof;
mod rows;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::timeout_at;

use self::rows::{are_alike, join, rows_of, split};
use super::control::Control;
use super::errors::RunError;
use super::model::{Held, Model};
use super::slots::{Runner, Stake, Waiter};
use super::tensor::Tensor;
use crate::spec::{BATCH_WAIT_US_MAX, Batching};

/// Computes runs of one model together.
#[derive(Debug)]
pub(super) struct Batcher {
    rows_max: u32,
    wait_max: Duration,
    /// Held by whoever gathers the next run.
    lead: Semaphore,
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug)]
struct Queue {
    members: VecDeque<Member>,
    /// How many were in the last run.
    expected: usize,
}

/// One caller's part.
struct Member {
    inputs: Vec<Tensor>,
    rows: u32,
    deadline: Instant,
    stake: Option<Stake>,
    reply: oneshot::Sender<Reply>,
    place: Arc<Place>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Member");
        shown.field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Set once a member's run has begun: the last caller to go abandons it.
type Place = OnceLock<Arc<Waiter>>;

#[derive(Debug)]
enum Reply {
    Done(Vec<Tensor>),
    /// Together it failed.
    Alone,
}

impl Batcher {
    /// None where no two could be computed together.
    pub(super) fn new(options: Batching) -> Option<Self> {
        let wait_us_max = options.wait_us_max.min(BATCH_WAIT_US_MAX);
        (options.rows_max.get() > 1).then(|| Self {
            rows_max: options.rows_max.get(),
            wait_max: Duration::from_micros(wait_us_max.into()),
            lead: Semaphore::new(1),
            queue: Mutex::new(Queue {
                members: VecDeque::new(),
                expected: 1,
            }),
            arrived: Notify::new(),
        })
    }

    /// Runs `model`, with others if there are any.
    pub(super) async fn run(
        &self,
        model: &Arc<Model>,
        inputs: Vec<Tensor>,
        (deadline, stake): (Instant, Option<Stake>),
    ) -> Result<Vec<Tensor>, RunError> {
        let rows = rows_of(&inputs).filter(|rows| *rows <= self.rows_max);
        let Some(rows) = rows else {
            return model.run_elsewhere(inputs, (deadline, stake)).await;
        };
        let waiting = model.slots().enter().ok_or(RunError::NoSlot)?;
        // Dropped last: whoever goes leaves nothing behind.
        let _leaves = Leaves(self);
        let (reply, answer) = oneshot::channel();
        let place = Arc::new(Place::new());
        self.queue.lock().members.push_back(Member {
            inputs: inputs.clone(),
            rows,
            deadline,
            stake: stake.clone(),
            reply,
            place: Arc::clone(&place),
        });
        self.arrived.notify_one();
        let answered = timeout_at(deadline.into(), self.answered(model, answer, &place)).await;
        drop(waiting);
        let begun = place.get().is_some();
        drop(place);
        match answered {
            Ok(Ok(Reply::Done(outputs))) => Ok(outputs),
            Ok(Ok(Reply::Alone)) => model.run_elsewhere(inputs, (deadline, stake)).await,
            Ok(Err(error)) => Err(error),
            Err(_) if begun => Err(RunError::Deadline),
            Err(_) => Err(RunError::NoSlot),
        }
    }

    async fn answered(
        &self,
        model: &Arc<Model>,
        mut answer: oneshot::Receiver<Reply>,
        place: &Place,
    ) -> Result<Reply, RunError> {
        let lost = |error: oneshot::error::RecvError| RunError::Failed {
            source: error.into(),
        };
        while place.get().is_none() {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(lost),
                led = self.lead(model, place) => led?,
            }
        }
        answer.await.map_err(lost)
    }

    /// Waits for the lead, and begins a run of those who wait. Whoever stops
    /// waiting in here leaves the lead, and those who wait, to the next.
    async fn lead(&self, model: &Arc<Model>, place: &Place) -> Result<(), RunError> {
        let Ok(_lead) = self.lead.acquire().await else {
            return Ok(());
        };
        if place.get().is_some() {
            return Ok(());
        }
        let far = Instant::now() + model.run_time_max();
        let held = model.hold(far).await?;
        self.gather().await;
        if let Some(batch) = self.drain() {
            batch.begin(model, held);
        }
        Ok(())
    }

    /// Waits until as many are there as the last time, or enough, or for long
    /// enough.
    async fn gather(&self) {
        let until = Instant::now() + self.wait_max;
        while !self.is_ready() {
            let arrived = timeout_at(until.into(), self.arrived.notified()).await;
            if arrived.is_err() {
                return;
            }
        }
    }

    fn is_ready(&self) -> bool {
        let queue = self.queue.lock();
        let rows = queue.members.iter().map(|it| u64::from(it.rows));
        queue.members.len() >= queue.expected || rows.sum::<u64>() >= u64::from(self.rows_max)
    }

    /// Takes those out who can be computed together with the first.
    fn drain(&self) -> Option<Batch> {
        let mut queue = self.queue.lock();
        let mut taken: Vec<Member> = Vec::new();
        let mut left = VecDeque::new();
        let mut rows = 0_u32;
        for member in std::mem::take(&mut queue.members) {
            if member.reply.is_closed() {
                continue;
            }
            let first = taken.first();
            let fits = rows.saturating_add(member.rows) <= self.rows_max
                && first.is_none_or(|first| are_alike(&first.inputs, &member.inputs));
            if fits {
                rows += member.rows;
                taken.push(member);
            } else {
                left.push_back(member);
            }
        }
        queue.members = left;
        queue.expected = taken.len().max(1);
        (!taken.is_empty()).then_some(Batch {
            members: taken,
            rows,
        })
    }
}

/// Takes those out of the queue who have gone.
struct Leaves<'a>(&'a Batcher);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.members.retain(|member| !member.reply.is_closed());
    }
}

/// Those who are computed together.
#[derive(Debug)]
struct Batch {
    members: Vec<Member>,
    rows: u32,
}

impl Batch {
    /// Begins the run on another thread, which answers all of them.
    fn begin(self, model: &Arc<Model>, held: Held) {
        // Whoever has less time stops waiting; the others are not to pay for it.
        let deadline = self.members.iter().map(|member| member.deadline).max();
        let Some(deadline) = deadline else { return };
        let stakes = self.members.iter().filter_map(|it| it.stake.clone());
        let (control, runner, waiter) = model.begin(deadline, stakes.collect());
        let waiter = Arc::new(waiter);
        let mut parts = Vec::with_capacity(self.members.len());
        for member in self.members {
            // Each is in one run only, so that it was not set before.
            drop(member.place.set(Arc::clone(&waiter)));
            parts.push((member.inputs, member.rows, member.reply));
        }
        // From here on, those who wait for it keep it.
        drop(waiter);
        let (model, rows) = (Arc::clone(model), self.rows);
        drop(tokio::task::spawn_blocking(move || {
            run(&model, parts, rows, (held, runner, control));
        }));
    }
}

type Part = (Vec<Tensor>, u32, oneshot::Sender<Reply>);

fn run(
    model: &Model,
    parts: Vec<Part>,
    rows: u32,
    (held, runner, control): (Held, Runner, Control),
) {
    let inputs: Vec<_> = parts.iter().map(|(inputs, ..)| inputs.as_slice()).collect();
    let members = parts.len();
    let computed = match inputs.as_slice() {
        [] => None,
        [one] => model.run_here(one, &control).ok(),
        many => join(many).and_then(|joined| {
            let outputs = model.run_batch((members, rows), &joined, &control);
            outputs.ok()
        }),
    };
    drop(runner);
    drop(held);
    let counts: Vec<_> = parts.iter().map(|(_, rows, _)| *rows).collect();
    let each = computed.and_then(|outputs| match members {
        1 => Some(vec![outputs]),
        _ => split(&outputs, &counts),
    });
    let replies = parts.into_iter().map(|(.., reply)| reply);
    let each = each.map(|each| each.into_iter().map(Reply::Done).collect());
    let each: Vec<_> = each.unwrap_or_else(|| counts.iter().map(|_| Reply::Alone).collect());
    for (reply, outcome) in replies.zip(each) {
        // Whoever does not wait any more wants no answer.
        drop(reply.send(outcome));
    }
}
