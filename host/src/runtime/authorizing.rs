//! Questions to a plugin that are answered at once: who may connect.
//!
//! They wait at the plugin's seat, so that an update loses none, and no longer than
//! whoever asked; an answer that nobody waits for any more is not asked for.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::{Notify, oneshot};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Questions that wait for one plugin; one more is not asked.
const WAITING_MAX: usize = 256;

/// `selvedge:plugin/authorizer.request`.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub struct Question {
    pub device: Option<String>,
    #[component(name = "client-id")]
    pub client_id: Arc<str>,
    pub username: Option<Arc<str>>,
    pub password: Option<Bytes>,
    pub address: String,
}

/// Never the password: it belongs in no log.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("device", &self.device)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// `selvedge:plugin/authorizer.permission`: what a guest says, not yet parsed.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub struct Verdict {
    pub device: String,
    pub publish: Option<Vec<String>>,
    pub subscribe: Option<Vec<String>>,
    #[component(name = "valid-s")]
    pub valid_s: Option<u32>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("{WAITING_MAX} others wait for its answer")]
    Busy,
    #[error("it failed instead of answering")]
    Failed,
}

/// A question and who waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    question: Question,
    answer: Answer,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) struct Answer(oneshot::Sender<Result<Verdict, String>>);

impl Asked {
    pub(super) fn split(self) -> (Question, Answer) {
        (self.question, self.answer)
    }
}

impl Answer {
    pub(super) fn give(self, outcome: Result<Verdict, String>) {
        // Whoever asked may have gone.
        drop(self.0.send(outcome));
    }
}

/// The questions that wait at one seat.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: Mutex<VecDeque<Asked>>,
    arrived: Notify,
}

impl Questions {
    pub(super) async fn ask(
        &self,
        question: Question,
    ) -> Result<Result<Verdict, String>, AskError> {
        let (sender, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            waiting.retain(|asked| !asked.answer.0.is_closed());
            if waiting.len() >= WAITING_MAX {
                return Err(AskError::Busy);
            }
            let answer = Answer(sender);
            waiting.push_back(Asked { question, answer });
        }
        self.arrived.notify_one();
        answer.await.map_err(|_| AskError::Failed)
    }

    /// Waits for a question that somebody still wants answered. Dropped before it
    /// is done, it has taken none.
    pub(super) async fn next(&self) -> Asked {
        loop {
            let arrived = self.arrived.notified();
            if let Some(asked) = self.take() {
                return asked;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Asked> {
        let mut waiting = self.waiting.lock();
        loop {
            let asked = waiting.pop_front()?;
            if !asked.answer.0.is_closed() {
                return Some(asked);
            }
        }
    }
}
