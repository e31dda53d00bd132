//! PUBLISH and its acknowledgements (sections 3.3 to 3.7).

use bytes::Bytes;

use super::fields::{owned, shared};
use super::topic_cache::TopicCache;
use super::{Fields, Reader, push_user};
use crate::mqtt::property::Property;
use crate::mqtt::{
    Ack, DecodeError, PacketId, Publish, PublishFlaw, PublishProperties, Reason, Side, Version,
};
use crate::names::{Qos, Topic};

const RETAIN: u8 = 0b0001;
const DUP: u8 = 0b1000;

impl Reader<'_> {
    /// All of it is looked at before a flaw is told, so that what is malformed is
    /// told as that.
    pub(super) fn publish(
        &self,
        flags: u8,
        mut fields: Fields<'_>,
        topics: &mut TopicCache,
    ) -> Result<Publish, DecodeError> {
        let qos = Qos::from_level(flags >> 1 & 0b11).ok_or(fields.malformed("QoS 3"))?;
        let dup = flags & DUP != 0;
        if dup && qos == Qos::AtMostOnce {
            return Err(fields.malformed("a duplicate of QoS 0"));
        }
        let topic_bytes = fields.binary()?;
        let known = topics.get(topic_bytes).cloned();
        let text = match known {
            Some(_) => "",
            None => fields.checked(topic_bytes)?,
        };
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ => Some(fields.packet_id()?),
        };
        let (properties, mut flaw) = match self.version {
            Version::V5 => self.publish_properties(&mut fields)?,
            Version::V311 => (PublishProperties::default(), None),
        };
        let topic = match (known, text) {
            (Some(topic), _) => Some(topic),
            (None, "") => {
                if properties.topic_alias.is_none() {
                    flaw = Some(PublishFlaw::NoTopic);
                }
                None
            }
            (None, text) => {
                let topic = text.parse::<Topic>().ok();
                match &topic {
                    Some(topic) => topics.insert(topic.clone()),
                    None if has_wildcards(text) => flaw = Some(PublishFlaw::Wildcards),
                    None => flaw = Some(PublishFlaw::Topic),
                }
                topic
            }
        };
        if let Some(flaw) = flaw {
            return Err(DecodeError::Publish {
                flaw,
                qos,
                packet_id,
            });
        }
        Ok(Publish {
            dup,
            qos,
            retain: flags & RETAIN != 0,
            topic,
            packet_id,
            payload: Bytes::copy_from_slice(fields.rest()),
            properties,
        })
    }

    fn publish_properties(
        &self,
        fields: &mut Fields<'_>,
    ) -> Result<(PublishProperties, Option<PublishFlaw>), DecodeError> {
        let mut own = PublishProperties::default();
        let mut flaw = None;
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match property {
                Property::PayloadFormat(utf8) => own.utf8 = utf8,
                Property::MessageExpiry(seconds) => own.expiry_s = Some(seconds),
                Property::TopicAlias(alias) => own.topic_alias = Some(alias),
                Property::ResponseTopic(text) => {
                    own.response_topic = text.parse().ok();
                    if own.response_topic.is_none() {
                        flaw = Some(if has_wildcards(text) {
                            PublishFlaw::ResponseWildcards
                        } else {
                            PublishFlaw::ResponseTopic
                        });
                    }
                }
                Property::Correlation(data) => own.correlation = owned(data),
                Property::User(name, value) => {
                    if push_user(&mut own.user, (name, value), self.limits, fields).is_err() {
                        flaw.get_or_insert(PublishFlaw::UserProperties);
                    }
                }
                Property::SubscriptionId(id) if self.side == Side::Client => {
                    own.subscription_ids.push(id);
                }
                Property::SubscriptionId(_) => {
                    return Err(fields.protocol("a client sends subscription identifiers"));
                }
                Property::ContentType(text) => own.content_type = shared(text),
                _ => return Err(properties.misplaced()),
            }
        }
        Ok((own, flaw))
    }

    pub(super) fn ack(&self, mut fields: Fields<'_>) -> Result<Ack, DecodeError> {
        let mut ack = Ack::new(fields.packet_id()?, Reason::SUCCESS);
        if self.version == Version::V311 || fields.is_empty() {
            fields.end()?;
            return Ok(ack);
        }
        let code = fields.u8()?;
        ack.reason = self.reason(fields.packet(), code, &fields)?;
        if fields.is_empty() {
            return Ok(ack);
        }
        let mut properties = fields.properties()?;
        while let Some(property) = properties.next()? {
            match property {
                Property::ReasonText(text) => ack.reason_text = shared(text),
                Property::User(name, value) => {
                    push_user(&mut ack.user, (name, value), self.limits, &fields)?;
                }
                _ => return Err(properties.misplaced()),
            }
        }
        fields.end()?;
        Ok(ack)
    }
}

/// Whether it is a filter for topics, and no topic.
fn has_wildcards(text: &str) -> bool {
    text.contains(['+', '#'])
}

impl Ack {
    /// With nothing but a reason.
    pub fn new(packet_id: PacketId, reason: Reason) -> Self {
        Self {
            packet_id,
            reason,
            reason_text: None,
            user: Vec::new(),
        }
    }
}
