//! Deployments: what becomes of them, of what ran before, and of both when the
//! host ends in the middle.

mod cycle;
mod ends;
mod full;
mod kept;
mod killed;
mod kills;
mod operated;
mod probation;
mod waits;
pub(crate) mod world;
