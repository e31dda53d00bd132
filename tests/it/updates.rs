//! Updates while the line runs, good ones and bad: whatever a new version does,
//! what passes through it is neither lost nor doubled, and its neighbours go on.

mod clients;
mod exchanged;
mod flow;
mod models;
#[path = "../../host/src/inference/onnx_writer.rs"]
#[expect(dead_code, reason = "it is written for the tests of one module")]
pub(crate) mod onnx_writer;
mod registry;
mod removed;
mod rights;
mod shadows;
mod shipped;
mod successors;
