//! Updates while the line runs, good ones and bad: whatever a new version does,
//! what passes through it is neither lost nor doubled, and its neighbours go on.

mod clients;
mod exchanged;
mod flow;
mod models;
mod registry;
mod removed;
mod rights;
mod shipped;
mod successors;
