//! The gateway as a thing of AWS IoT: its shadow, its jobs, its first
//! certificate, its logs.
//!
//! Speaks the protocols that AWS publishes, over an uplink. It asks `deployment`
//! for what it is told to, as any operator; what may run is decided there.

pub mod config;
pub mod name;

pub mod asking;
pub mod channel;
#[cfg(test)]
mod far_end;

pub mod desired;
pub mod operator;
pub mod order;

pub mod jobs;
pub mod logs;
pub mod provisioning;
pub mod shadow;
