//! The gateway as a thing of AWS IoT, whose side a double plays through mosquitto
//! over mutual TLS: `tests/peers/cloud/double.py`.

mod jobs;
mod logs;
mod operator;
mod provisioning;
mod shadow;
mod site;
