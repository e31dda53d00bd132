//! The packets, one structure for both versions.
//!
//! What only MQTT 5.0 has is absent or empty in 3.1.1, and left out when it is
//! written for it. Section numbers are those of MQTT 5.0.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;

use super::Reason;
use crate::names::{Qos, Topic, TopicFilter};

/// Which MQTT a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 3.1.1, protocol level 4.
    V311,
    /// 5.0, protocol level 5.
    V5,
}

/// Tells what is in flight apart (section 2.2.1); never 0.
pub type PacketId = NonZeroU16;

/// Name and value pairs in order (section 3.3.2.3.7).
pub type UserProperties = Vec<(Arc<str>, Arc<str>)>;

/// One control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck(Box<ConnAck>),
    Publish(Publish),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    Subscribe(Subscribe),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe),
    /// In 3.1.1 its reasons are neither read nor written.
    UnsubAck(SubAck),
    PingReq,
    PingResp,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// Section 3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    /// `clean_session` of 3.1.1.
    pub clean_start: bool,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    pub client_id: Arc<str>,
    pub will: Option<Box<Will>>,
    pub username: Option<Arc<str>>,
    pub password: Option<Bytes>,
    /// Seconds; [`u32::MAX`] for without end. 0 in 3.1.1, whatever `clean_start` says.
    pub session_expiry_s: u32,
    pub receive_max: NonZeroU16,
    pub packet_bytes_max: Option<NonZeroU32>,
    pub topic_alias_max: u16,
    pub request_response_information: bool,
    pub request_problem_information: bool,
    pub authentication_method: Option<Arc<str>>,
    pub authentication_data: Option<Bytes>,
    pub user: UserProperties,
}

/// What is published when a client is lost (section 3.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    pub topic: Topic,
    pub payload: Bytes,
    pub qos: Qos,
    pub retain: bool,
    pub delay_s: u32,
    /// Without topic alias and subscription identifiers.
    pub properties: PublishProperties,
}

/// Section 3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    pub session_present: bool,
    /// Written in 3.1.1 as the nearest of its six return codes, and read from them.
    pub reason: Reason,
    pub session_expiry_s: Option<u32>,
    /// None: 65,535.
    pub receive_max: Option<NonZeroU16>,
    /// None: QoS 2.
    pub qos_max: Option<Qos>,
    pub retain_available: bool,
    pub packet_bytes_max: Option<NonZeroU32>,
    pub assigned_client_id: Option<Arc<str>>,
    pub topic_alias_max: u16,
    pub reason_text: Option<Arc<str>>,
    pub user: UserProperties,
    pub wildcards_available: bool,
    pub subscription_ids_available: bool,
    pub shared_available: bool,
    pub keep_alive_s: Option<u16>,
    pub response_information: Option<Arc<str>>,
    pub server_reference: Option<Arc<str>>,
    pub authentication_method: Option<Arc<str>>,
    pub authentication_data: Option<Bytes>,
}

/// Section 3.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    /// None: the topic alias stands for it.
    pub topic: Option<Topic>,
    /// Present if and only if `qos` is above 0.
    pub packet_id: Option<PacketId>,
    /// Its own memory, not a part of what was read.
    pub payload: Bytes,
    pub properties: PublishProperties,
}

/// Section 3.3.2.3. Takes no memory of its own when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// Payload format indicator.
    pub utf8: bool,
    /// Message expiry interval.
    pub expiry_s: Option<u32>,
    pub topic_alias: Option<NonZeroU16>,
    pub response_topic: Option<Topic>,
    pub correlation: Option<Bytes>,
    pub user: UserProperties,
    pub subscription_ids: Vec<NonZeroU32>,
    pub content_type: Option<Arc<str>>,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub packet_id: PacketId,
    pub reason: Reason,
    pub reason_text: Option<Arc<str>>,
    pub user: UserProperties,
}

/// Section 3.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    pub packet_id: PacketId,
    pub subscription_id: Option<NonZeroU32>,
    pub user: UserProperties,
    /// At least one.
    pub subscriptions: Vec<Subscription>,
}

/// One filter and how it is to be served (section 3.8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Err: the text is no filter; the others in the packet stand.
    pub filter: Result<TopicFilter, Arc<str>>,
    pub qos: Qos,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

/// Whether kept values come at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0: whenever the subscription is made.
    #[default]
    Send,
    /// 1: only if it was not there before.
    SendIfNew,
    /// 2: never.
    Leave,
}

/// SUBACK and UNSUBACK (sections 3.9, 3.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    pub packet_id: PacketId,
    pub reason_text: Option<Arc<str>>,
    pub user: UserProperties,
    /// One for each filter of the request, in its order. In 3.1.1 all failures are
    /// written as 0x80.
    pub reasons: Vec<Reason>,
}

/// Section 3.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    pub packet_id: PacketId,
    pub user: UserProperties,
    /// At least one. Err: the text is no filter.
    pub filters: Vec<Result<TopicFilter, Arc<str>>>,
}

/// Section 3.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    pub reason: Reason,
    pub session_expiry_s: Option<u32>,
    pub reason_text: Option<Arc<str>>,
    pub user: UserProperties,
    pub server_reference: Option<Arc<str>>,
}

/// Section 3.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub reason: Reason,
    pub method: Option<Arc<str>>,
    pub data: Option<Bytes>,
    pub reason_text: Option<Arc<str>>,
    pub user: UserProperties,
}
