//! Modbus/TCP: reads devices in polls, writes them on command.

pub mod config;
pub mod identify;
pub mod pdu;
pub mod value;
