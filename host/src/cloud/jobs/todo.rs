//! What the machine does next, and when. It changes nothing.
//!
//! An end comes first, since it goes through the durable queue, connected or not, but
//! for what is asked already; then that question, and only then anything new.

use std::time::Duration;

use tokio::time::Instant;

use super::Jobs;
use super::current::Doing;

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Todo {
    Expire,
    Start,
    Describe,
    Progress,
    End,
}

impl Jobs {
    /// When [`poll`](Self::poll) has something to do next, if ever.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.next(now).map(|(due, _)| due)
    }

    /// The next thing to do, and from when on.
    pub(super) fn next(&self, now: Instant) -> Option<(Instant, Todo)> {
        let rested = self.pause.until(now).unwrap_or(now);
        let doing = self.current.as_ref().map(|current| &current.doing);
        // To be told also while the cloud is away.
        if let Some(Doing::End {
            queued: false,
            refusals,
            ..
        }) = doing
        {
            if let Some(question) = &self.question {
                return Some((question.due, Todo::Expire));
            }
            let due = refusals.until(now).unwrap_or(now);
            return Some((due.max(rested), Todo::End));
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
}
