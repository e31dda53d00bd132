//! Modbus/TCP: reads devices in polls, writes them on command.
//!
//! The protocol and everything decided about it is native code behind two
//! small traits ([`net::Net`] and [`net::Bus`]), tested against real servers.
//! Only the service's sockets and clock know the sandbox.

pub mod command;
pub mod config;
pub mod connection;
pub mod engine;
pub mod frame;
pub mod health;
pub mod identify;
pub mod line;
pub mod net;
pub mod outbox;
pub mod pdu;
pub mod plan;
pub mod poll;
pub mod unit;
pub mod value;
pub mod write;

#[cfg(test)]
mod peers;
#[cfg(target_family = "wasm")]
mod reactor;
#[cfg(target_family = "wasm")]
mod sandbox;
mod service;
#[cfg(target_family = "wasm")]
mod socket;

pub use service::Modbus;
