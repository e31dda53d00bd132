//! What is said to the cloud of jobs: questions, progress and ends.
//!
//! Each carries a token of its own, by which an answer is known. An end goes through
//! the durable queue; all else is lost with the connection, and asked again.

use tokio::time::Instant;

use super::current::Doing;
use super::wire::{Describe, StartNext, Status, Update};
use super::{About, Jobs};
use crate::cloud::asking::{ANSWER_MAX, Question, Sent};

/// Ends that were told of one execution and may still be answered.
const END_TOKENS_MAX: usize = 4;

impl Jobs {
    pub(super) fn start_next(&mut self, now: Instant) -> Sent {
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

    pub(super) fn describe(&mut self, now: Instant) -> Option<Sent> {
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

    pub(super) fn tell_progress(&mut self, now: Instant) -> Option<Sent> {
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

    pub(super) fn tell_end(&mut self) -> Option<Sent> {
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
            // It may arrive weeks from now, when another has this name and number.
            expected_version: current.version,
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
}
