//! MQTT, spoken to the real broker and to other people's.

mod admission;
mod certificates;
mod clients;
mod conformance;
mod gateway;
mod hostile;
mod mosquitto;
mod mutated;
mod ours;
mod raw;
mod target;
