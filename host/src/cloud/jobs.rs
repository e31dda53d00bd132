//! Jobs of AWS IoT: one at a time, each done once, each answered.
//!
//! A machine without clock, disk and connection of its own: it is told what
//! arrives and how the work goes, and says what to send and what to do. What is
//! notified is only a hint to ask for the next one. A job is on the disk before it
//! is begun; one that a crash cut short is gone on with, and how it ended is told
//! through the durable queue until the cloud has said that it knows.

pub mod record;
pub mod service;
pub mod store;
pub mod wire;

mod answers;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use self::record::{ExecutionId, Outcome, Record, Stage};
use self::wire::{Describe, Details, StartNext, Status, Topics, Update};
use super::asking::{ANSWER_MAX, Pause, Question, Sent, Tokens};
use super::order::Order;

/// How long it waits, while connected, for the cloud to confirm an end that is in
/// the queue, before it asks what the cloud knows.
const CONFIRM_MAX: Duration = Duration::from_secs(15);
/// Ends that were told of one execution and may still be answered.
const END_TOKENS_MAX: usize = 4;

/// What the service does for the machine, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Remember it; what follows happens only if that succeeds.
    Save(Record),
    /// Carry it out. `again`: it may have been done in part.
    Begin {
        id: ExecutionId,
        order: Order,
        again: bool,
    },
    /// It was cancelled: what is not kept yet is undone.
    Undo(ExecutionId),
}

/// How fast it may go, and what is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two reports of progress.
    pub progress: Duration,
    /// Minutes that the cloud gives each step.
    pub step_timeout_minutes: Option<u32>,
    /// Whether anything may be changed by jobs.
    pub allowed: bool,
}

/// The jobs of one thing.
#[derive(Debug)]
pub struct Jobs {
    topics: Topics,
    pace: Pace,
    tokens: Tokens,
    connected: bool,
    question: Option<Question<About>>,
    pause: Pause,
    /// There may be a next one.
    hint: bool,
    current: Option<Current>,
    /// Those that a crash left unfinished beside the current one.
    unfinished: VecDeque<Record>,
    /// Those that ended, oldest first.
    told: VecDeque<(ExecutionId, Outcome)>,
    serial: u64,
    effects: VecDeque<Effect>,
}

#[derive(Debug, PartialEq, Eq)]
enum About {
    Start,
    Describe,
    Progress(Details),
}

/// The execution that is worked on.
#[derive(Debug)]
struct Current {
    id: ExecutionId,
    /// What the cloud counts it as, if that is known.
    version: Option<u64>,
    /// The cloud may have another opinion of it.
    check: bool,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Work {
        progress: Details,
        told: Option<(Details, Instant)>,
    },
    End {
        outcome: Outcome,
        queued: bool,
        /// Tokens of what was told, newest last.
        tokens: Vec<String>,
        /// When to ask what the cloud knows.
        confirm: Option<Instant>,
    },
}

/// What is to be done next.
#[derive(Debug)]
enum Todo {
    Expire,
    Start,
    Describe,
    Progress,
    End,
}

impl Jobs {
    /// The jobs of one thing, as `records` remember them.
    pub fn new(topics: Topics, pace: Pace, mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.serial);
        let mut jobs = Self {
            topics,
            pace,
            tokens: Tokens::default(),
            connected: false,
            question: None,
            pause: Pause::default(),
            hint: true,
            current: None,
            unfinished: VecDeque::new(),
            told: VecDeque::new(),
            serial: records.last().map_or(0, |record| record.serial),
            effects: VecDeque::new(),
        };
        for record in records {
            match record.stage {
                Stage::Told { outcome } => jobs.told.push_back((record.id, outcome)),
                _ => jobs.unfinished.push_back(record),
            }
        }
        jobs.take_unfinished();
        jobs
    }

    /// The connection came or went.
    pub fn connected(&mut self, connected: bool, now: Instant) {
        self.connected = connected;
        self.question = None;
        self.hint = true;
        self.pause.succeed();
        if let Some(current) = &mut self.current {
            match &mut current.doing {
                Doing::Work { told, .. } => {
                    current.check = true;
                    *told = None;
                }
                Doing::End { confirm, .. } => *confirm = Some(now + CONFIRM_MAX),
            }
        }
    }

    /// What is to be done outside, first to last.
    pub fn take_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The work on an execution goes on.
    pub fn progress(&mut self, id: &ExecutionId, details: Details) {
        if let Some(current) = self.current.as_mut().filter(|it| it.id == *id)
            && let Doing::Work { progress, .. } = &mut current.doing
        {
            *progress = details;
        }
    }

    /// The work on an execution ended.
    pub fn ended(&mut self, id: &ExecutionId, outcome: Outcome) {
        if self.current.as_ref().is_some_and(|it| it.id == *id) {
            self.end(outcome);
        }
    }

    /// What was to be told is in the queue.
    pub fn queued(&mut self, now: Instant) {
        let Some(current) = &mut self.current else {
            return;
        };
        if let Doing::End {
            outcome,
            queued,
            confirm,
            ..
        } = &mut current.doing
        {
            *queued = true;
            *confirm = Some(now + CONFIRM_MAX);
            let (id, outcome) = (current.id.clone(), outcome.clone());
            self.pause.succeed();
            let queued = true;
            self.save(id, Stage::Ended { outcome, queued });
        }
    }

    /// The queue, or the disk, did not take it.
    pub fn failed(&mut self, now: Instant) {
        self.pause.fail(now);
    }

    /// When [`poll`](Self::poll) has something to do next, if ever.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.next(now).map(|(due, _)| due)
    }

    /// What to send now, if anything.
    pub fn poll(&mut self, now: Instant) -> Option<Sent> {
        loop {
            let (due, todo) = self.next(now)?;
            if due > now {
                return None;
            }
            match todo {
                Todo::Expire => {
                    self.question = None;
                    self.pause.fail(now);
                    debug!("jobs: no answer");
                }
                Todo::Start => return Some(self.start_next(now)),
                Todo::Describe => return self.describe(now),
                Todo::Progress => return self.tell_progress(now),
                Todo::End => return self.tell_end(),
            }
        }
    }

    fn next(&self, now: Instant) -> Option<(Instant, Todo)> {
        let rested = self.pause.until(now).unwrap_or(now);
        let doing = self.current.as_ref().map(|current| &current.doing);
        // To be told also while the cloud is away.
        if let Some(Doing::End { queued: false, .. }) = doing {
            return Some((rested, Todo::End));
        }
        if !self.connected {
            return None;
        }
        if let Some(question) = &self.question {
            return Some((question.due, Todo::Expire));
        }
        let Some(current) = &self.current else {
            return self.hint.then_some((rested, Todo::Start));
        };
        if current.check {
            return Some((rested, Todo::Describe));
        }
        match &current.doing {
            Doing::Work { progress, told } => {
                let due = match told {
                    None => now,
                    Some((last, at)) if last != progress => *at + self.pace.progress,
                    Some((_, at)) => *at + self.heartbeat()?,
                };
                Some((due.max(rested), Todo::Progress))
            }
            Doing::End { confirm, .. } => {
                let confirm = (*confirm)?;
                Some((confirm.max(rested), Todo::Describe))
            }
        }
    }

    /// How often the cloud is told that a job goes on, if it stops waiting for it.
    fn heartbeat(&self) -> Option<Duration> {
        let minutes = self.pace.step_timeout_minutes?;
        Some(Duration::from_secs(u64::from(minutes) * 30))
    }

    fn start_next(&mut self, now: Instant) -> Sent {
        let token = self.tokens.fresh();
        let start = StartNext {
            step_timeout_in_minutes: self.pace.step_timeout_minutes,
            client_token: &token,
        };
        let payload = serde_json::to_vec(&start).unwrap_or_default().into();
        let topic = self.topics.start_next();
        self.asked(token, About::Start, now);
        let durable = false;
        Sent {
            topic,
            payload,
            durable,
        }
    }

    fn describe(&mut self, now: Instant) -> Option<Sent> {
        let token = self.tokens.fresh();
        let current = self.current.as_ref()?;
        let describe = Describe {
            execution_number: current.id.number,
            include_job_document: false,
            client_token: &token,
        };
        let payload = serde_json::to_vec(&describe).unwrap_or_default().into();
        let topic = self.topics.get(&current.id.job);
        self.asked(token, About::Describe, now);
        let durable = false;
        Some(Sent {
            topic,
            payload,
            durable,
        })
    }

    fn tell_progress(&mut self, now: Instant) -> Option<Sent> {
        let token = self.tokens.fresh();
        let current = self.current.as_mut()?;
        let Doing::Work { progress, told } = &mut current.doing else {
            return None;
        };
        *told = Some((progress.clone(), now));
        let update = Update {
            status: Status::InProgress,
            status_details: progress,
            expected_version: current.version,
            execution_number: current.id.number,
            include_job_execution_state: true,
            step_timeout_in_minutes: self.pace.step_timeout_minutes,
            client_token: &token,
        };
        let payload = serde_json::to_vec(&update).unwrap_or_default().into();
        let topic = self.topics.update(&current.id.job);
        let about = About::Progress(progress.clone());
        self.asked(token, about, now);
        let durable = false;
        Some(Sent {
            topic,
            payload,
            durable,
        })
    }

    fn tell_end(&mut self) -> Option<Sent> {
        let token = self.tokens.fresh();
        let current = self.current.as_mut()?;
        let Doing::End {
            outcome, tokens, ..
        } = &mut current.doing
        else {
            return None;
        };
        let update = Update {
            status: outcome.status,
            status_details: &outcome.details,
            // It may arrive weeks from now, and is true whatever was counted then.
            expected_version: None,
            execution_number: current.id.number,
            include_job_execution_state: true,
            step_timeout_in_minutes: None,
            client_token: &token,
        };
        let payload = serde_json::to_vec(&update).unwrap_or_default().into();
        let topic = self.topics.update(&current.id.job);
        tokens.push(token);
        if tokens.len() > END_TOKENS_MAX {
            tokens.remove(0);
        }
        let durable = true;
        Some(Sent {
            topic,
            payload,
            durable,
        })
    }

    fn asked(&mut self, token: String, about: About, now: Instant) {
        let due = now + ANSWER_MAX;
        self.question = Some(Question { token, about, due });
    }

    /// The current execution ended, which is on the disk before it is told.
    fn end(&mut self, outcome: Outcome) {
        self.question = None;
        let Some(current) = &mut self.current else {
            return;
        };
        current.check = false;
        current.doing = ending(outcome.clone(), false);
        let id = current.id.clone();
        let queued = false;
        self.save(id, Stage::Ended { outcome, queued });
    }

    /// The cloud knows of the end, or wants to hear no more.
    fn settle(&mut self, outcome: Outcome) {
        self.question = None;
        self.pause.succeed();
        if let Some(current) = self.current.take() {
            self.told.retain(|(id, _)| *id != current.id);
            self.told.push_back((current.id.clone(), outcome.clone()));
            self.save(current.id, Stage::Told { outcome });
        }
        while self.told.len() > store::RECORDS_MAX {
            self.told.pop_front();
        }
        self.hint = true;
        self.take_unfinished();
    }

    fn save(&mut self, id: ExecutionId, stage: Stage) {
        self.serial += 1;
        let serial = self.serial;
        self.effects
            .push_back(Effect::Save(Record { id, serial, stage }));
    }

    /// Goes on with what a crash cut short.
    fn take_unfinished(&mut self) {
        let Some(record) = self.unfinished.pop_front() else {
            return;
        };
        let id = record.id;
        let doing = match record.stage {
            Stage::Begun { order } => {
                let (id, again) = (id.clone(), true);
                self.effects.push_back(Effect::Begin { id, order, again });
                working()
            }
            Stage::Ended { outcome, queued } => ending(outcome, queued),
            Stage::Told { .. } => return,
        };
        self.current = Some(Current {
            id,
            version: None,
            check: matches!(doing, Doing::Work { .. }),
            doing,
        });
    }
}

fn working() -> Doing {
    let mut progress = Details::new();
    progress.insert("phase".to_owned(), "begun".to_owned());
    let told = None;
    Doing::Work { progress, told }
}

fn ending(outcome: Outcome, queued: bool) -> Doing {
    Doing::End {
        outcome,
        queued,
        tokens: Vec::new(),
        confirm: None,
    }
}

#[cfg(test)]
mod tests;
