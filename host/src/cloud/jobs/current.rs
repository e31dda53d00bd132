//! The execution that is worked on: how far it is, and what the cloud was told.

use tokio::time::Instant;

use super::record::{ExecutionId, Outcome};
use super::wire::Details;
use crate::cloud::asking::Pause;

/// The execution that is worked on.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) id: ExecutionId,
    /// What the cloud counts it as, if that is known.
    pub(super) version: Option<u64>,
    /// The cloud may have another opinion of it.
    pub(super) check: bool,
    pub(super) doing: Doing,
}

#[derive(Debug)]
pub(super) enum Doing {
    /// Its work is under way.
    Work {
        progress: Details,
        told: Option<(Details, Instant)>,
    },
    /// It has ended, and the cloud is to know.
    End {
        outcome: Outcome,
        queued: bool,
        /// Tokens of what was told, newest last.
        tokens: Vec<String>,
        /// When to ask what the cloud knows.
        confirm: Option<Instant>,
        /// It was refused: each time it is told later, whatever else succeeds.
        refusals: Pause,
    },
}

/// Work that has just begun.
pub(super) fn working() -> Doing {
    let mut progress = Details::new();
    progress.insert("phase".to_owned(), "begun".to_owned());
    let told = None;
    Doing::Work { progress, told }
}

/// The end of work, of which nothing was told yet.
pub(super) fn ending(outcome: Outcome, queued: bool) -> Doing {
    Doing::End {
        outcome,
        queued,
        tokens: Vec::new(),
        confirm: None,
        refusals: Pause::default(),
    }
}
