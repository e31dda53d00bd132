//! The MQTT server for client devices: MQTT 3.1.1 and 5.0 over TLS.
//!
//! A device is a party on the bus, known by its certificate, with its own grant
//! and nothing else. What a device sent with QoS 1 or 2 is acknowledged when it is
//! handled or on the disk. Nothing that a device sends or withholds can do more
//! than end its own connection.

pub mod authorizer;
pub mod config;

mod connection;
mod metrics;
mod quota;
mod sessions;
mod shared;
