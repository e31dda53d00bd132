//! MQTT connections outward: to AWS IoT Core, or to any broker.
//!
//! What rules send is on the disk before whoever published it is told so, leaves
//! in order of its topic, and is deleted when the other side has acknowledged it.
//! What comes in is acknowledged when it is accepted here. The other side may be
//! away for weeks, lie, or refuse; nothing of that stops the host.

pub mod config;
