//! Trust repositories, ours and other people's: what is believed and what not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy spares only the functions marked as tests, not their helpers"
)]

mod attacks;
mod foreign;
mod mutation;
mod own;
mod world;
