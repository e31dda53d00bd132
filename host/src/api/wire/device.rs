//! Devices, as the API tells of them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::names::{PartyName, TopicFilter};

/// The devices that may connect by MQTT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeviceList {
    /// Each of them, by name.
    pub devices: Vec<DeviceReport>,
    /// What is wrong with files of devices.
    pub faults: Vec<DeviceFault>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeviceReport {
    /// Its name, on the bus too.
    pub name: PartyName,
    /// The kind of device it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Whether it is let in: `good`, `disabled` or `revoked`.
    pub standing: DeviceStanding,
    /// Since when it is kept out for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub revoked_at: Option<Timestamp>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_reason: Option<String>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Topics that it may publish to.
    pub publish: Vec<TopicFilter>,
    /// Topics that it may subscribe.
    pub subscribe: Vec<TopicFilter>,
    /// Its connections now.
    pub connections: Vec<DeviceConnection>,
}

/// Whether a device is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceStanding {
    /// It is.
    Good,
    /// Not for now.
    Disabled,
    /// Never again.
    Revoked,
}

/// A connection of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeviceConnection {
    /// As which MQTT client.
    pub client_id: String,
    /// From where.
    pub address: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// A file of a device that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeviceFault {
    /// The file's name.
    pub file: String,
    /// A stable name for what is wrong.
    pub code: String,
    /// What is wrong.
    pub reason: String,
}
