//! SUBSCRIBE, UNSUBSCRIBE and their acknowledgements (sections 3.8 to 3.11).

use std::sync::Arc;

use super::fields::shared;
use super::{Fields, Reader, push_user};
use crate::mqtt::property::Property;
use crate::mqtt::{
    DecodeError, PacketType, Reason, RetainHandling, SubAck, Subscribe, Subscription, Unsubscribe,
    Version,
};
use crate::names::{Qos, TopicFilter};

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RESERVED: u8 = 0b1100_0000;

impl Reader<'_> {
    pub(super) fn subscribe(&self, mut fields: Fields<'_>) -> Result<Subscribe, DecodeError> {
        let mut subscribe = Subscribe {
            packet_id: fields.packet_id()?,
            subscription_id: None,
            user: Vec::new(),
            subscriptions: Vec::new(),
        };
        if self.version == Version::V5 {
            let mut properties = fields.properties()?;
            while let Some(property) = properties.next()? {
                match property {
                    Property::SubscriptionId(_) if subscribe.subscription_id.is_some() => {
                        return Err(fields.protocol("a property occurs twice"));
                    }
                    Property::SubscriptionId(id) => subscribe.subscription_id = Some(id),
                    Property::User(name, value) => {
                        push_user(&mut subscribe.user, (name, value), self.limits, &fields)?;
                    }
                    _ => return Err(properties.misplaced()),
                }
            }
        }
        while !fields.is_empty() {
            self.one_more_filter(subscribe.subscriptions.len(), &fields)?;
            let subscription = self.subscription(&mut fields)?;
            subscribe.subscriptions.push(subscription);
        }
        if subscribe.subscriptions.is_empty() {
            return Err(fields.protocol("no filters"));
        }
        Ok(subscribe)
    }

    fn subscription(&self, fields: &mut Fields<'_>) -> Result<Subscription, DecodeError> {
        let filter = filter(fields)?;
        let options = fields.u8()?;
        let qos = Qos::from_level(options & 0b11).ok_or(fields.protocol("QoS 3"))?;
        let reserved = match self.version {
            Version::V311 => !0b11,
            Version::V5 => RESERVED,
        };
        if options & reserved != 0 {
            return Err(fields.malformed("reserved bits in the options"));
        }
        let no_local = options & NO_LOCAL != 0;
        if no_local && filter.as_ref().is_ok_and(|filter| filter.group().is_some()) {
            return Err(fields.protocol("a shared subscription without local messages"));
        }
        Ok(Subscription {
            filter,
            qos,
            no_local,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling: match options >> 4 & 0b11 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::Leave,
                _ => return Err(fields.protocol("retain handling 3")),
            },
        })
    }

    pub(super) fn unsubscribe(&self, mut fields: Fields<'_>) -> Result<Unsubscribe, DecodeError> {
        let mut unsubscribe = Unsubscribe {
            packet_id: fields.packet_id()?,
            user: Vec::new(),
            filters: Vec::new(),
        };
        if self.version == Version::V5 {
            let mut properties = fields.properties()?;
            while let Some(property) = properties.next()? {
                let Property::User(name, value) = property else {
                    return Err(properties.misplaced());
                };
                push_user(&mut unsubscribe.user, (name, value), self.limits, &fields)?;
            }
        }
        while !fields.is_empty() {
            self.one_more_filter(unsubscribe.filters.len(), &fields)?;
            unsubscribe.filters.push(filter(&mut fields)?);
        }
        if unsubscribe.filters.is_empty() {
            return Err(fields.protocol("no filters"));
        }
        Ok(unsubscribe)
    }

    fn one_more_filter(&self, filters: usize, fields: &Fields<'_>) -> Result<(), DecodeError> {
        let max = self.limits.filters_max;
        match filters < max {
            true => Ok(()),
            false => Err(fields.too_many("filters", max)),
        }
    }

    pub(super) fn sub_ack(&self, mut fields: Fields<'_>) -> Result<SubAck, DecodeError> {
        let mut ack = self.sub_ack_head(&mut fields)?;
        ack.reasons = match self.version {
            Version::V5 => self.reasons(PacketType::SubAck, fields)?,
            Version::V311 => {
                let codes = fields.rest();
                if codes.iter().any(|code| !matches!(code, 0..=2 | 0x80)) {
                    return Err(fields.malformed("a reserved return code"));
                }
                codes.iter().copied().map(Reason).collect()
            }
        };
        if ack.reasons.is_empty() {
            return Err(fields.protocol("no reason codes"));
        }
        Ok(ack)
    }

    pub(super) fn unsub_ack(&self, mut fields: Fields<'_>) -> Result<SubAck, DecodeError> {
        let mut ack = self.sub_ack_head(&mut fields)?;
        if self.version == Version::V311 {
            fields.end()?;
            return Ok(ack);
        }
        ack.reasons = self.reasons(PacketType::UnsubAck, fields)?;
        if ack.reasons.is_empty() {
            return Err(fields.protocol("no reason codes"));
        }
        Ok(ack)
    }

    fn sub_ack_head(&self, fields: &mut Fields<'_>) -> Result<SubAck, DecodeError> {
        let mut ack = SubAck {
            packet_id: fields.packet_id()?,
            reason_text: None,
            user: Vec::new(),
            reasons: Vec::new(),
        };
        if self.version == Version::V5 {
            let mut properties = fields.properties()?;
            while let Some(property) = properties.next()? {
                match property {
                    Property::ReasonText(text) => ack.reason_text = shared(text),
                    Property::User(name, value) => {
                        push_user(&mut ack.user, (name, value), self.limits, fields)?;
                    }
                    _ => return Err(properties.misplaced()),
                }
            }
        }
        Ok(ack)
    }

    fn reasons(&self, packet: PacketType, fields: Fields<'_>) -> Result<Vec<Reason>, DecodeError> {
        let codes = fields.rest().iter();
        codes
            .map(|code| self.reason(packet, *code, &fields))
            .collect()
    }
}

/// Text that is no filter is kept as it came.
fn filter(fields: &mut Fields<'_>) -> Result<Result<TopicFilter, Arc<str>>, DecodeError> {
    let text: Arc<str> = fields.text()?.into();
    Ok(TopicFilter::try_from(Arc::clone(&text)).map_err(|_| text))
}
