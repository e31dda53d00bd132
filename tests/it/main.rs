//! Drives the real binary and checks the house rules: the one test crate.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy spares only the functions marked as tests, not their helpers"
)]

mod api;
mod classifier;
mod cli;
mod cloud;
mod demo;
mod deployments;
mod discovery;
mod gateway;
mod guests;
mod inference;
mod inference_api;
mod isolation;
mod modbus;
mod model_flow;
mod mqtt;
mod peers;
mod process;
mod readme;
mod real_series;
mod run;
mod support;
mod systemd;
mod tidy;
mod trust;
mod updates;
mod uplink;
