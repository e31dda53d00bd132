//! Hostile guests: whatever one does, its neighbour answers, and what the host
//! says of it is true.
//!
//! One file for each kind of harm. The guests are in `tests/guests`; a guest or
//! a mode of one that no test runs fails [`completeness`].

mod admission;
mod answering;
mod authorizing;
mod beginning;
mod completeness;
mod computing;
mod inferring;
mod logging;
mod looping;
mod memory;
mod messages;
mod network;
mod publishing;
mod stopping;
mod storing;
mod swapping;
mod updating;
mod waiting;
