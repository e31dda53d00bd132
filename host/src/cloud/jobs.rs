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
mod current;
mod telling;
mod todo;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use self::current::{Current, Doing, ending, working};
use self::record::{ExecutionId, Outcome, Record, Stage};
use self::todo::Todo;
use self::wire::{Details, Topics};
use super::asking::{Pause, Question, Sent, Tokens};
use super::order::Order;

/// How long it waits, while connected, for the cloud to confirm an end that is in
/// the queue, before it asks what the cloud knows.
const CONFIRM_MAX: Duration = Duration::from_secs(15);

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
            let (id, version) = (current.id.clone(), current.version);
            let outcome = outcome.clone();
            self.pause.succeed();
            let queued = true;
            self.save(id, version, Stage::Ended { outcome, queued });
        }
    }

    /// The queue, or the disk, did not take it.
    pub fn failed(&mut self, now: Instant) {
        self.pause.fail(now);
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

    /// The current execution ended, which is on the disk before it is told.
    fn end(&mut self, outcome: Outcome) {
        // An answer to progress says what the end is to be told to.
        let progress = |it: &Question<About>| matches!(it.about, About::Progress(_));
        self.question = self.question.take().filter(progress);
        let Some(current) = &mut self.current else {
            return;
        };
        current.check = false;
        current.doing = ending(outcome.clone(), false);
        let (id, version) = (current.id.clone(), current.version);
        let queued = false;
        self.save(id, version, Stage::Ended { outcome, queued });
    }

    /// The cloud knows of the end, or wants to hear no more.
    fn settle(&mut self, outcome: Outcome) {
        self.question = None;
        self.pause.succeed();
        if let Some(current) = self.current.take() {
            self.told.retain(|(id, _)| *id != current.id);
            self.told.push_back((current.id.clone(), outcome.clone()));
            self.save(current.id, None, Stage::Told { outcome });
        }
        while self.told.len() > store::RECORDS_MAX {
            self.told.pop_front();
        }
        self.hint = true;
        self.take_unfinished();
    }

    fn save(&mut self, id: ExecutionId, version: Option<u64>, stage: Stage) {
        self.serial += 1;
        self.effects.push_back(Effect::Save(Record {
            id,
            serial: self.serial,
            version,
            stage,
        }));
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
            version: record.version,
            check: matches!(doing, Doing::Work { .. }),
            doing,
        });
    }
}

#[cfg(test)]
mod tests;
