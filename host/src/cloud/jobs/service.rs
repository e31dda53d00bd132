//! The unit that does jobs: brings the machine, the disk, the connection and the
//! work together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::record::{ExecutionId, Outcome};
use super::store::Store;
use super::wire::{Details, Topics};
use super::{Effect, Jobs, Pace};
use crate::cloud::asking::Sent;
use crate::cloud::channel::{Channel, Waiting};
use crate::cloud::config::JobsConfig;
use crate::cloud::name::ThingName;
use crate::cloud::operator::Operator;
use crate::cloud::order::Order;
use crate::error_chain::ErrorChain;
use crate::supervisor::{UnitContext, UnitResult};

/// Messages that wait to be looked at.
const WAITING_MAX: usize = 64;
/// How ends of jobs leave: before measurements and logs.
const PRIORITY: u8 = 1;
/// How long to wait when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3_600);

/// Does jobs.
#[derive(Clone, Debug)]
pub struct Service {
    pub channel: Arc<dyn Channel>,
    pub operator: Operator,
    pub store: Store,
    pub pace: Pace,
}

impl Pace {
    pub fn new(config: &JobsConfig, allowed: bool) -> Self {
        Self {
            progress: Duration::from_secs(config.progress_s_min.get().into()),
            step_timeout_minutes: config.step_timeout_minutes.map(Into::into),
            allowed,
        }
    }
}

/// The work on one execution. What it has begun to change goes on without it.
struct Work {
    id: ExecutionId,
    progress: watch::Receiver<Details>,
    done: Waiting<'static, Option<Outcome>>,
}

impl Service {
    /// Until it is to stop. What is under way then is gone on with at the next start.
    pub async fn run(&self, context: UnitContext, thing: ThingName) -> UnitResult {
        let store = self.store.clone();
        let records = spawn_blocking(move || store.load()).await??;
        let topics = Topics::new(&thing);
        let mut jobs = Jobs::new(topics.clone(), self.pace, records);
        let mut arrivals = self.channel.subscribe(topics.filters(), WAITING_MAX);
        let mut connected = arrivals.subscribed();
        let mut work: Option<Work> = None;
        let is_connected = *connected.borrow_and_update();
        jobs.connected(is_connected, Instant::now());
        context.ready();
        loop {
            self.effects(&mut jobs, &mut work).await?;
            let now = Instant::now();
            if let Some(sent) = jobs.poll(now) {
                self.send(&mut jobs, sent).await;
                continue;
            }
            let due = jobs.due(now).unwrap_or(now + IDLE);
            tokio::select! {
                () = context.stop.cancelled() => {
                    self.operator.end().await;
                    return Ok(());
                }
                changed = connected.changed() => {
                    changed?;
                    let is_connected = *connected.borrow_and_update();
                    jobs.connected(is_connected, Instant::now());
                }
                arrival = arrivals.receive() => {
                    let Some(arrival) = arrival else { return Ok(()) };
                    if let Some(kind) = topics.kind(&arrival.topic) {
                        jobs.arrived(&kind, &arrival.payload, Instant::now());
                    }
                }
                () = sleep_until(due) => {}
                event = next(&mut work) => match event {
                    Event::Progress(id, details) => jobs.progress(&id, details),
                    Event::Ended(id, outcome) => {
                        work = None;
                        match outcome {
                            Some(outcome) => {
                                let status = outcome.status;
                                info!(job = id.job.as_str(), status = ?status, "job ended");
                                jobs.ended(&id, outcome);
                            }
                            // The host stops.
                            None => context.stop.cancelled().await,
                        }
                    }
                }
            }
        }
    }

    async fn effects(&self, jobs: &mut Jobs, work: &mut Option<Work>) -> UnitResult {
        while let Some(effect) = jobs.take_effect() {
            match effect {
                Effect::Save(record) => {
                    let store = self.store.clone();
                    // A job that cannot be remembered is not begun: the unit starts
                    // again and finds what the disk has.
                    spawn_blocking(move || store.save(&record)).await??;
                }
                Effect::Begin { id, order, again } => {
                    info!(job = id.job.as_str(), again, "job begun");
                    *work = Some(self.begin(id, order, again));
                }
                Effect::Undo(id) => {
                    *work = None;
                    warn!(job = id.job.as_str(), "job cancelled");
                    if let Err(error) = self.operator.undo(&id.by()).await {
                        let error = ErrorChain(&error).to_string();
                        warn!(job = id.job.as_str(), error, "what the job began goes on");
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&self, id: ExecutionId, order: Order, again: bool) -> Work {
        let (told, progress) = watch::channel(Details::new());
        let (operator, by) = (self.operator.clone(), id.by());
        let done = async move { operator.carry_out(&order, &by, again, &told).await };
        let done = Box::pin(done);
        Work { id, progress, done }
    }

    async fn send(&self, jobs: &mut Jobs, sent: Sent) {
        let Sent {
            topic,
            payload,
            durable,
        } = sent;
        let outcome = if durable {
            let outcome = self.channel.publish(topic, payload, PRIORITY).await;
            match &outcome {
                Ok(()) => jobs.queued(Instant::now()),
                Err(_) => jobs.failed(Instant::now()),
            }
            outcome
        } else {
            // Without an answer it is asked again.
            self.channel.ask(topic, payload).await
        };
        if let Err(error) = outcome {
            let code = error.code();
            let error = ErrorChain(&error).to_string();
            warn!(code, error, "nothing said of a job");
        }
    }
}

enum Event {
    Progress(ExecutionId, Details),
    Ended(ExecutionId, Option<Outcome>),
}

/// What happens to the work, if there is any.
async fn next(work: &mut Option<Work>) -> Event {
    let Some(Work { id, progress, done }) = work else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        outcome = done => Event::Ended(id.clone(), outcome),
        Ok(()) = progress.changed() => {
            let details = progress.borrow_and_update().clone();
            Event::Progress(id.clone(), details)
        }
    }
}
