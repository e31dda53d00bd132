//! MQTT outward: what arrives at the far end, whatever happens on the way.

mod far_end;
mod flow;
mod full;
mod gateways;
mod hostile;
mod kills;
mod mosquitto;
mod seen;
mod slow;
mod starts;
mod world;
