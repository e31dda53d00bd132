//! How client devices find their gateway on the local network.
//!
//! mDNS/DNS-SD names the broker's addresses to anyone; the HTTPS endpoint, in the
//! shape of Greengrass discovery, names addresses and authority to holders of a
//! device's certificate. Nothing is listened to or announced unless asked for.

pub mod config;
