//! What the deployment says: devices, their points and when to read them.
//!
//! A parsed [`Config`] is only text that fits; [`Config::devices`] checks it as
//! a whole, reports every fault at once, and gives the devices with all
//! defaults and profiles applied.

use std::collections::BTreeMap;

use serde::Deserialize;

mod check;
mod point;

pub use check::Faults;
pub use point::{Bits, Point};

use crate::value::Order;

/// The plugin's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The units to talk to, 1 to 256.
    pub devices: Vec<Device>,
    /// Points and groups shared by devices of one kind, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// How old a command may be when it is carried out, in milliseconds; an
    /// older one is answered with `expired`.
    #[serde(default = "default::command_age_ms_max")]
    pub command_age_ms_max: u32,
}

/// What devices of one kind have in common.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What there is to read and write.
    #[serde(default)]
    pub points: Vec<Point>,
    /// What is read when.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// How replies are matched with requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tid {
    /// By transaction identifier; a reply to an older request is discarded.
    #[default]
    Strict,
    /// Any identifier is taken, for gateways that do not repeat it. The
    /// connection is closed after a time-out, since a late reply could not be
    /// told from the next one.
    Serial,
}

/// How single values are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteWith {
    /// Functions 5 and 6 for one coil or register, 15 and 16 for more.
    #[default]
    Single,
    /// Functions 15 and 16 always, for devices that have no others.
    Multiple,
}

/// One unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name in topics: one level, no wildcard.
    pub name: String,
    /// Where it stands, the level before its name in topics.
    pub site: String,
    /// `host:port` of the device or its gateway; the deployment must grant it.
    /// Devices with the same address share one connection.
    pub address: String,
    /// Unit identifier, 0 to 255.
    #[serde(default = "default::unit")]
    pub unit: u8,
    /// How replies are matched with requests. One for all units of an address.
    #[serde(default)]
    pub tid: Tid,
    /// For connecting and for each reply, in milliseconds, 1 to 60000.
    #[serde(default = "default::timeout_ms")]
    pub timeout_ms: u32,
    /// Pause between two requests to this unit, in milliseconds.
    #[serde(default)]
    pub delay_ms: u32,
    /// Failures in a row after which the unit counts as down.
    #[serde(default = "default::failures_max")]
    pub failures_max: u32,
    /// How long a unit that is down is first left alone, in milliseconds;
    /// doubled with each further failure.
    #[serde(default = "default::backoff_ms_min")]
    pub backoff_ms_min: u32,
    /// How long it is left alone at most, in milliseconds.
    #[serde(default = "default::backoff_ms_max")]
    pub backoff_ms_max: u32,
    /// Registers in one read, 1 to 125.
    #[serde(default = "default::registers_max")]
    pub registers_max: u16,
    /// Bits in one read, 1 to 2000.
    #[serde(default = "default::bits_max")]
    pub bits_max: u16,
    /// Addresses nobody asked for that a read may cover to join two points.
    #[serde(default = "default::gap_max")]
    pub gap_max: u16,
    /// After which time a point that the device refused is tried again, in
    /// milliseconds.
    #[serde(default = "default::refused_ms")]
    pub refused_ms: u32,
    /// How single values are written.
    #[serde(default)]
    pub write_with: WriteWith,
    /// Whether a value is read back after it was written.
    #[serde(default)]
    pub verify: bool,
    /// Whether `command/<site>/<device>/modbus` takes any request, past the
    /// points and their ranges.
    #[serde(default)]
    pub raw: bool,
    /// Byte order of points that do not say theirs.
    #[serde(default)]
    pub order: Order,
    /// A profile whose points and groups it has, besides its own.
    pub profile: Option<String>,
    /// What there is to read and write.
    #[serde(default)]
    pub points: Vec<Point>,
    /// What is read when.
    #[serde(default)]
    pub groups: Vec<Group>,
}

/// Points read together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name, for logs.
    pub name: String,
    /// From one poll to the next, in milliseconds, 10 to 86400000.
    pub interval_ms: u32,
    /// Offset of the polls from the plugin's start, in milliseconds, less
    /// than the interval.
    #[serde(default)]
    pub phase_ms: u32,
    /// Names of the points.
    pub points: Vec<String>,
}

impl Device {
    /// Where its readings go.
    pub fn telemetry_topic(&self) -> String {
        format!("telemetry/{}/{}", self.site, self.name)
    }
}

mod default {
    pub(super) fn command_age_ms_max() -> u32 {
        60_000
    }
    pub(super) fn unit() -> u8 {
        1
    }
    pub(super) fn timeout_ms() -> u32 {
        1_000
    }
    pub(super) fn failures_max() -> u32 {
        3
    }
    pub(super) fn backoff_ms_min() -> u32 {
        1_000
    }
    pub(super) fn backoff_ms_max() -> u32 {
        30_000
    }
    pub(super) fn registers_max() -> u16 {
        crate::pdu::REGISTERS_READ_MAX
    }
    pub(super) fn bits_max() -> u16 {
        crate::pdu::BITS_READ_MAX
    }
    pub(super) fn gap_max() -> u16 {
        8
    }
    pub(super) fn refused_ms() -> u32 {
        600_000
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
