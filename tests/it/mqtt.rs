//! MQTT, spoken to the real broker and to other people's.

mod certificates;
mod conformance;
mod mosquitto;
mod raw;
mod target;
