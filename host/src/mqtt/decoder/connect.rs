//! CONNECT (section 3.1).

use std::num::NonZeroU16;
use std::sync::Arc;

use super::fields::{owned, shared};
use super::{Fields, PacketLimits, push_user};
use crate::mqtt::property::Property;
use crate::mqtt::{Connect, DecodeError, PublishProperties, Version, Will};
use crate::names::{Qos, Topic};

const NAME: &[u8] = b"MQTT";

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

/// What comes behind the version.
pub(super) fn connect(
    version: Version,
    mut fields: Fields<'_>,
    limits: &PacketLimits,
) -> Result<Connect, DecodeError> {
    let flags = fields.u8()?;
    check_flags(flags, version, &fields)?;
    let mut connect = Connect {
        version,
        clean_start: flags & CLEAN_START != 0,
        keep_alive_s: fields.u16()?,
        client_id: Arc::default(),
        will: None,
        username: None,
        password: None,
        session_expiry_s: 0,
        receive_max: NonZeroU16::MAX,
        packet_bytes_max: None,
        topic_alias_max: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
        user: Vec::new(),
    };
    if version == Version::V5 {
        properties(&mut fields, &mut connect, limits)?;
    }
    connect.client_id = fields.text()?.into();
    if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(DecodeError::ClientId);
    }
    if flags & WILL != 0 {
        connect.will = Some(Box::new(will(&mut fields, flags, version, limits)?));
    }
    if flags & USERNAME != 0 {
        connect.username = shared(fields.text()?);
    }
    if flags & PASSWORD != 0 {
        connect.password = owned(fields.binary()?);
    }
    fields.end()?;
    Ok(connect)
}

/// What CONNECT begins with.
pub(super) fn version(fields: &mut Fields<'_>) -> Result<Version, DecodeError> {
    let name = fields.binary()?;
    let level = fields.u8()?;
    match (name, level) {
        (NAME, 4) => Ok(Version::V311),
        (NAME, 5) => Ok(Version::V5),
        // 3.1 has another name. Bridges of mosquitto try a level of their own first.
        (NAME | b"MQIsdp", level) => Err(DecodeError::Version { level }),
        _ => Err(fields.malformed("the protocol's name is not `MQTT`")),
    }
}

/// Sections 3.1.2.3 to 3.1.2.9.
fn check_flags(flags: u8, version: Version, fields: &Fields<'_>) -> Result<(), DecodeError> {
    if flags & RESERVED != 0 {
        return Err(fields.malformed("reserved flags"));
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(fields.malformed("QoS or retain of a will that is not there"));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(fields.malformed("QoS 3"));
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(fields.malformed("a password without a user name"));
    }
    Ok(())
}

fn properties(
    fields: &mut Fields<'_>,
    connect: &mut Connect,
    limits: &PacketLimits,
) -> Result<(), DecodeError> {
    let mut properties = fields.properties()?;
    while let Some(property) = properties.next()? {
        match property {
            Property::SessionExpiry(seconds) => connect.session_expiry_s = seconds,
            Property::ReceiveMax(max) => connect.receive_max = max,
            Property::PacketBytesMax(max) => connect.packet_bytes_max = Some(max),
            Property::TopicAliasMax(max) => connect.topic_alias_max = max,
            Property::RequestResponseInformation(yes) => {
                connect.request_response_information = yes;
            }
            Property::RequestProblemInformation(yes) => connect.request_problem_information = yes,
            Property::AuthMethod(method) => connect.authentication_method = shared(method),
            Property::AuthData(data) => connect.authentication_data = owned(data),
            Property::User(name, value) => {
                push_user(&mut connect.user, (name, value), limits, fields)?;
            }
            _ => return Err(properties.misplaced()),
        }
    }
    if connect.authentication_data.is_some() && connect.authentication_method.is_none() {
        return Err(fields.protocol("authentication data without a method"));
    }
    Ok(())
}

fn will(
    fields: &mut Fields<'_>,
    flags: u8,
    version: Version,
    limits: &PacketLimits,
) -> Result<Will, DecodeError> {
    let mut delay_s = 0;
    let mut own = PublishProperties::default();
    if version == Version::V5 {
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match property {
                Property::WillDelay(seconds) => delay_s = seconds,
                Property::PayloadFormat(utf8) => own.utf8 = utf8,
                Property::MessageExpiry(seconds) => own.expiry_s = Some(seconds),
                Property::ContentType(text) => own.content_type = shared(text),
                Property::ResponseTopic(text) => own.response_topic = Some(topic(text)?),
                Property::Correlation(data) => own.correlation = owned(data),
                Property::User(name, value) => {
                    push_user(&mut own.user, (name, value), limits, fields)?;
                }
                _ => return Err(properties.misplaced()),
            }
        }
    }
    let level = (flags & WILL_QOS) >> 3;
    Ok(Will {
        topic: topic(fields.text()?)?,
        payload: bytes::Bytes::copy_from_slice(fields.binary()?),
        qos: Qos::from_level(level).ok_or(fields.malformed("QoS 3"))?,
        retain: flags & WILL_RETAIN != 0,
        delay_s,
        properties: own,
    })
}

fn topic(text: &str) -> Result<Topic, DecodeError> {
    text.parse().map_err(|_| DecodeError::WillTopic)
}
