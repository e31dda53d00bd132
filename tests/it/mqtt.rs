//! MQTT, spoken to the real broker and to other people's.

mod admission;
mod authorizer;
pub(crate) mod certificates;
mod clients;
mod conformance;
mod durable;
mod full;
pub(crate) mod gateway;
mod hostile;
pub(crate) mod mosquitto;
mod mutated;
mod names;
mod ours;
pub(crate) mod raw;
pub(crate) mod small_disk;
pub(crate) mod target;
