//! What the local inference API counts, for the page of metrics: it is made above
//! this module, which cannot ask it.

use std::sync::atomic::AtomicU64;

/// Since the host started.
#[derive(Debug, Default)]
pub struct InferenceCounts {
    /// Calls, whatever became of them.
    pub calls: AtomicU64,
    /// Calls of who may not do that.
    pub refused: AtomicU64,
    /// Calls, and requests of streams, that were not answered for another reason.
    pub failed: AtomicU64,
    /// Runs that were answered.
    pub predictions: AtomicU64,
    /// Connections for which there was no place.
    pub turned_away: AtomicU64,
}
