//! The whole decision, with real signatures: what is accepted, and for each
//! thing that can be wrong the reason that an operator is told.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy spares only the functions marked as tests, not their helpers"
)]

mod integrity;
mod models;
mod record;
mod releases;
mod revocation;
mod site;
mod statements;
