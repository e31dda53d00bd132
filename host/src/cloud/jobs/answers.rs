//! What the cloud says of jobs, and what follows from it.
//!
//! Only answers to the question under way count, or to an end that was told. That
//! an execution is no longer in progress counts whoever says it in an answer:
//! cancelled or removed, what it began is undone as far as it is not kept; timed
//! out, it is left to end by itself.

use tokio::time::Instant;
use tracing::warn;

use super::current::{Current, Doing, ending, working};
use super::record::{CODE, ExecutionId, Outcome, Stage, told};
use super::wire::{Answer, Execution, Kind, Rejected, State, Status, Updated};
use super::{About, Effect, Jobs};
use crate::cloud::asking::read;
use crate::cloud::name::JobId;
use crate::cloud::order::{Order, OrderError};
use crate::error_chain::ErrorChain;

/// What a question about an execution that has ended is answered with; it does
/// not say how.
const TERMINAL: &str = "TerminalStateReached";
/// What is answered if it counts an execution as another than was expected.
const MISMATCH: &str = "VersionMismatch";

impl Jobs {
    /// Something arrived on one of its topics.
    pub fn arrived(&mut self, kind: &Kind, payload: &[u8], now: Instant) {
        match kind {
            Kind::NotifyNext => self.notified(payload),
            Kind::Started => self.started(payload, now),
            Kind::NotStarted => self.not_started(payload, now),
            Kind::Described(job) => self.described(job, payload),
            Kind::Updated(job) => self.updated(job, payload),
            Kind::NotDescribed(job) | Kind::NotUpdated(job) => self.refused(job, payload, now),
        }
    }

    /// Another one is next than was: whatever is said here is asked for.
    fn notified(&mut self, payload: &[u8]) {
        let Some(answer) = read::<Answer>(payload) else {
            return;
        };
        let next = answer.execution().ok().flatten();
        self.hint |= next.is_some();
        if let Some(current) = &mut self.current
            && matches!(current.doing, Doing::Work { .. })
        {
            // The one under way is always the next one, while it is in progress.
            current.check |= next.is_none_or(|next| !current.id.is_same(&id(&next)));
        }
    }

    fn started(&mut self, payload: &[u8], now: Instant) {
        let Some(answer) = read::<Answer>(payload) else {
            return;
        };
        if !self.is_ours(answer.client_token.as_deref(), &About::Start) {
            return;
        }
        self.question = None;
        match answer.execution() {
            Ok(None) => {
                self.hint = false;
                self.pause.succeed();
            }
            Ok(Some(execution)) => {
                self.pause.succeed();
                self.take_on(execution);
            }
            Err(error) => {
                let error = error.to_string();
                warn!(error, "the next job has another form than jobs have");
                self.pause.fail(now);
            }
        }
    }

    fn not_started(&mut self, payload: &[u8], now: Instant) {
        let Some(rejected) = read::<Rejected>(payload) else {
            return;
        };
        if self.is_ours(rejected.client_token.as_deref(), &About::Start) {
            self.question = None;
            self.pause.fail(now);
            let error = told(&rejected.code, &rejected.message);
            warn!(error, "the next job was refused");
        }
    }

    /// Begins an execution, or answers it at once.
    fn take_on(&mut self, execution: Execution) {
        if execution.status.is_final() || self.current.is_some() {
            return;
        }
        let id = id(&execution);
        let version = Some(execution.version_number);
        let done = self.told.iter().find(|(told, _)| told.is_same(&id));
        if let Some((id, outcome)) = done.cloned() {
            // It was done, and the cloud has not heard of it.
            let (doing, check) = (ending(outcome, false), false);
            self.current = Some(Current {
                id,
                version,
                check,
                doing,
            });
            return;
        }
        let order = self.order(&execution);
        let (doing, check) = (working(), false);
        let current = Current {
            id: id.clone(),
            version,
            check,
            doing,
        };
        self.current = Some(current);
        match order {
            Ok(order) => {
                let stage = Stage::Begun {
                    order: order.clone(),
                };
                self.save(id.clone(), version, stage);
                let again = false;
                self.effects.push_back(Effect::Begin { id, order, again });
            }
            Err(error) => {
                let reason = ErrorChain(&error).to_string();
                self.end(Outcome::rejected(error.code(), &reason));
            }
        }
    }

    fn order(&self, execution: &Execution) -> Result<Order, OrderError> {
        let document = execution.job_document.as_ref();
        let order = Order::read(document.ok_or(OrderError::NoOperation)?)?;
        if self.pace.allowed {
            Ok(order)
        } else {
            Err(OrderError::NotAllowed)
        }
    }

    fn described(&mut self, job: &JobId, payload: &[u8]) {
        let Some(answer) = read::<Answer>(payload) else {
            return;
        };
        if !self.is_ours(answer.client_token.as_deref(), &About::Describe) || !self.is_current(job)
        {
            return;
        }
        self.question = None;
        match answer.execution() {
            Ok(Some(execution))
                if self
                    .current
                    .as_ref()
                    .is_some_and(|it| it.id.is_same(&id(&execution))) =>
            {
                let (status, version_number) = (execution.status, execution.version_number);
                self.stands(&State {
                    status,
                    version_number,
                });
            }
            // Not of that form, or of another: it is not there any more.
            _ => self.stands(&State {
                status: Status::Removed,
                version_number: 0,
            }),
        }
    }

    fn updated(&mut self, job: &JobId, payload: &[u8]) {
        let Some(updated) = read::<Updated>(payload) else {
            return;
        };
        let token = updated.client_token.as_deref();
        if !self.is_current(job) {
            return;
        }
        if self.is_end(token) {
            self.settle_end();
        } else if self.is_progress(token) {
            self.question = None;
            self.pause.succeed();
            if let Some(current) = &mut self.current {
                let version = updated.execution_state.map(|state| state.version_number);
                let next = current.version.map(|version| version.saturating_add(1));
                current.version = version.or(next);
            }
        }
    }

    fn refused(&mut self, job: &JobId, payload: &[u8], now: Instant) {
        let Some(rejected) = read::<Rejected>(payload) else {
            return;
        };
        let token = rejected.client_token.as_deref();
        let of_end = self.is_end(token);
        let of_describe = self.is_ours(token, &About::Describe);
        if !self.is_current(job) || !(of_end || of_describe || self.is_progress(token)) {
            return;
        }
        self.question = None;
        let error = told(&rejected.code, &rejected.message);
        match (rejected.code.as_str(), rejected.execution_state) {
            ("ResourceNotFound", _) => self.stands(&State {
                status: Status::Removed,
                version_number: 0,
            }),
            // It may be another one by this name, which the answer does not say.
            (MISMATCH, Some(state)) if of_end && !state.status.is_final() => {
                self.check();
                self.pause_end(now);
            }
            (MISMATCH | "InvalidStateTransition" | TERMINAL, Some(state)) => {
                self.stands(&state);
                if of_end && !state.status.is_final() {
                    self.tell_again(now);
                }
            }
            (TERMINAL, None) if of_describe => self.is_over(),
            (MISMATCH, None) => self.check(),
            ("InvalidStateTransition" | TERMINAL, None) => self.stands(&State {
                status: Status::TimedOut,
                version_number: 0,
            }),
            ("RequestThrottled" | "InternalError", _) => self.pause.fail(now),
            _ if of_end => {
                warn!(error, "how a job ended was refused");
                self.shorten();
                self.tell_again(now);
            }
            _ => {
                warn!(error, "what was said of a job was refused");
                self.pause.fail(now);
            }
        }
    }

    /// How the cloud sees the current execution.
    fn stands(&mut self, state: &State) {
        let Some(current) = &mut self.current else {
            return;
        };
        current.check = false;
        if !state.status.is_final() {
            current.version = Some(state.version_number);
            match &mut current.doing {
                Doing::Work { told, .. } => *told = None,
                // What was in the queue did not arrive, or was refused.
                Doing::End {
                    queued, confirm, ..
                } => {
                    *queued = false;
                    *confirm = None;
                }
            }
            return;
        }
        let undo = matches!(state.status, Status::Canceled | Status::Removed);
        if undo && matches!(current.doing, Doing::Work { .. }) {
            let id = current.id.clone();
            self.effects.push_back(Effect::Undo(id));
        }
        let outcome = match &current.doing {
            Doing::End { outcome, .. } => outcome.clone(),
            Doing::Work { .. } => Outcome::failed("ended-by-cloud", "the cloud ended the job"),
        };
        self.settle(outcome);
    }

    /// The cloud says that it has ended, but not how. To an update it says that too.
    fn is_over(&mut self) {
        let Some(current) = &mut self.current else {
            return;
        };
        match &mut current.doing {
            Doing::Work { told, .. } => {
                *told = None;
                current.check = false;
                current.version = None;
            }
            Doing::End { .. } => self.settle_end(),
        }
    }

    /// The cloud has it in progress still, and gives it out before any other: so it is
    /// told until it is taken. Each time by way of the disk: not at once.
    fn tell_again(&mut self, now: Instant) {
        self.pause_end(now);
        if let Some(current) = &mut self.current
            && let Doing::End {
                queued, confirm, ..
            } = &mut current.doing
        {
            *queued = false;
            *confirm = None;
        }
    }

    /// If it is told again, then not at once.
    fn pause_end(&mut self, now: Instant) {
        if let Some(current) = &mut self.current
            && let Doing::End { refusals, .. } = &mut current.doing
        {
            refusals.fail(now);
        }
    }

    /// Something in what was told may be what the cloud does not take. The code is ours.
    fn shorten(&mut self) {
        if let Some(current) = &mut self.current
            && let Doing::End { outcome, .. } = &mut current.doing
        {
            outcome.details.retain(|key, _| key == CODE);
        }
    }

    fn check(&mut self) {
        if let Some(current) = &mut self.current {
            current.check = true;
        }
    }

    fn settle_end(&mut self) {
        let outcome = match self.current.as_ref().map(|current| &current.doing) {
            Some(Doing::End { outcome, .. }) => outcome.clone(),
            _ => return,
        };
        self.settle(outcome);
    }

    fn is_current(&self, job: &JobId) -> bool {
        self.current.as_ref().is_some_and(|it| it.id.job == *job)
    }

    /// Whether an answer is to the question under way, and that is about `about`.
    fn is_ours(&self, token: Option<&str>, about: &About) -> bool {
        let question = self.question.as_ref();
        question.is_some_and(|it| Some(it.token.as_str()) == token && it.about == *about)
    }

    fn is_progress(&self, token: Option<&str>) -> bool {
        self.question.as_ref().is_some_and(|it| {
            Some(it.token.as_str()) == token && matches!(it.about, About::Progress(_))
        })
    }

    /// Whether an answer is to an end that was told.
    fn is_end(&self, token: Option<&str>) -> bool {
        match self.current.as_ref().map(|current| &current.doing) {
            Some(Doing::End { tokens, .. }) => {
                token.is_some_and(|token| tokens.iter().any(|own| own == token))
            }
            _ => false,
        }
    }
}

fn id(execution: &Execution) -> ExecutionId {
    ExecutionId {
        job: execution.job_id.clone(),
        number: execution.execution_number,
        queued_at: execution.queued_at,
    }
}
