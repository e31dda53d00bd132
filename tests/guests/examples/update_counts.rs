//! Counts what passes and hands the count to its successor, unless it is told to
//! go wrong. Its state is of form 1.
//!
//! Configuration: `label`, `topic`, `ballast_bytes`, `schema_refused` and
//! `fault`, as `shared/counting.rs` says.

#[path = "../shared/counting.rs"]
pub mod counting;

use selvedge_plugin::export;

export!(counting::Counts<1>: Lifecycle, Subscriber, Ticker, Stateful);
