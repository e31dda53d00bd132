//! The properties of MQTT 5.0 (section 2.2.2), one variant each, for both ways.
//!
//! What a value alone shows to be wrong is refused here. Which packet may hold
//! which property is decided where that packet is read.

use std::num::{NonZeroU16, NonZeroU32};

use super::DecodeError;
use super::decoder::Fields;
use super::encoder::Out;
use crate::names::Qos;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property<'a> {
    PayloadFormat(bool),
    MessageExpiry(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    Correlation(&'a [u8]),
    SubscriptionId(NonZeroU32),
    SessionExpiry(u32),
    AssignedClientId(&'a str),
    KeepAlive(u16),
    AuthMethod(&'a str),
    AuthData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelay(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonText(&'a str),
    ReceiveMax(NonZeroU16),
    TopicAliasMax(u16),
    TopicAlias(NonZeroU16),
    QosMax(Qos),
    RetainAvailable(bool),
    User(&'a str, &'a str),
    PacketBytesMax(NonZeroU32),
    WildcardsAvailable(bool),
    SubscriptionIdsAvailable(bool),
    SharedAvailable(bool),
}

const USER: u8 = 0x26;
const SUBSCRIPTION_ID: u8 = 0x0B;

impl<'a> Property<'a> {
    fn id(self) -> u8 {
        match self {
            Self::PayloadFormat(_) => 0x01,
            Self::MessageExpiry(_) => 0x02,
            Self::ContentType(_) => 0x03,
            Self::ResponseTopic(_) => 0x08,
            Self::Correlation(_) => 0x09,
            Self::SubscriptionId(_) => SUBSCRIPTION_ID,
            Self::SessionExpiry(_) => 0x11,
            Self::AssignedClientId(_) => 0x12,
            Self::KeepAlive(_) => 0x13,
            Self::AuthMethod(_) => 0x15,
            Self::AuthData(_) => 0x16,
            Self::RequestProblemInformation(_) => 0x17,
            Self::WillDelay(_) => 0x18,
            Self::RequestResponseInformation(_) => 0x19,
            Self::ResponseInformation(_) => 0x1A,
            Self::ServerReference(_) => 0x1C,
            Self::ReasonText(_) => 0x1F,
            Self::ReceiveMax(_) => 0x21,
            Self::TopicAliasMax(_) => 0x22,
            Self::TopicAlias(_) => 0x23,
            Self::QosMax(_) => 0x24,
            Self::RetainAvailable(_) => 0x25,
            Self::User(..) => USER,
            Self::PacketBytesMax(_) => 0x27,
            Self::WildcardsAvailable(_) => 0x28,
            Self::SubscriptionIdsAvailable(_) => 0x29,
            Self::SharedAvailable(_) => 0x2A,
        }
    }

    fn read(fields: &mut Fields<'a>, id: u8) -> Result<Self, DecodeError> {
        Ok(match id {
            0x01 => Self::PayloadFormat(fields.flag()?),
            0x02 => Self::MessageExpiry(fields.u32()?),
            0x03 => Self::ContentType(fields.text()?),
            0x08 => Self::ResponseTopic(fields.text()?),
            0x09 => Self::Correlation(fields.binary()?),
            SUBSCRIPTION_ID => {
                let id = NonZeroU32::new(fields.var_int()?);
                Self::SubscriptionId(id.ok_or(fields.protocol("subscription identifier 0"))?)
            }
            0x11 => Self::SessionExpiry(fields.u32()?),
            0x12 => Self::AssignedClientId(fields.text()?),
            0x13 => Self::KeepAlive(fields.u16()?),
            0x15 => Self::AuthMethod(fields.text()?),
            0x16 => Self::AuthData(fields.binary()?),
            0x17 => Self::RequestProblemInformation(fields.flag()?),
            0x18 => Self::WillDelay(fields.u32()?),
            0x19 => Self::RequestResponseInformation(fields.flag()?),
            0x1A => Self::ResponseInformation(fields.text()?),
            0x1C => Self::ServerReference(fields.text()?),
            0x1F => Self::ReasonText(fields.text()?),
            0x21 => {
                let max = NonZeroU16::new(fields.u16()?);
                Self::ReceiveMax(max.ok_or(fields.protocol("receive maximum 0"))?)
            }
            0x22 => Self::TopicAliasMax(fields.u16()?),
            0x23 => {
                let alias = NonZeroU16::new(fields.u16()?);
                Self::TopicAlias(alias.ok_or(DecodeError::AliasZero)?)
            }
            0x24 => match fields.flag()? {
                true => Self::QosMax(Qos::AtLeastOnce),
                false => Self::QosMax(Qos::AtMostOnce),
            },
            0x25 => Self::RetainAvailable(fields.flag()?),
            USER => Self::User(fields.text()?, fields.text()?),
            0x27 => {
                let max = NonZeroU32::new(fields.u32()?);
                Self::PacketBytesMax(max.ok_or(fields.protocol("maximum packet size 0"))?)
            }
            0x28 => Self::WildcardsAvailable(fields.flag()?),
            0x29 => Self::SubscriptionIdsAvailable(fields.flag()?),
            0x2A => Self::SharedAvailable(fields.flag()?),
            _ => return Err(fields.malformed("unknown property")),
        })
    }

    pub(super) fn write(self, out: &mut Out<'_>) {
        out.u8(self.id());
        match self {
            Self::PayloadFormat(flag)
            | Self::RequestProblemInformation(flag)
            | Self::RequestResponseInformation(flag)
            | Self::RetainAvailable(flag)
            | Self::WildcardsAvailable(flag)
            | Self::SubscriptionIdsAvailable(flag)
            | Self::SharedAvailable(flag) => out.u8(flag.into()),
            Self::QosMax(qos) => out.u8(qos.level()),
            Self::KeepAlive(number) | Self::TopicAliasMax(number) => out.u16(number),
            Self::ReceiveMax(number) | Self::TopicAlias(number) => out.u16(number.get()),
            Self::MessageExpiry(number) | Self::SessionExpiry(number) | Self::WillDelay(number) => {
                out.u32(number);
            }
            Self::PacketBytesMax(number) => out.u32(number.get()),
            Self::SubscriptionId(number) => out.var_int(number.get()),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientId(text)
            | Self::AuthMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonText(text) => out.field(text.as_bytes()),
            Self::Correlation(bytes) | Self::AuthData(bytes) => out.field(bytes),
            Self::User(name, value) => {
                out.field(name.as_bytes());
                out.field(value.as_bytes());
            }
        }
    }
}

/// The properties of one packet, in order: each known, good in itself, and there
/// only once unless it may be repeated.
#[derive(Debug)]
pub(super) struct Properties<'a> {
    fields: Fields<'a>,
    seen: u64,
}

impl<'a> Properties<'a> {
    pub(super) fn new(fields: Fields<'a>) -> Self {
        Self { fields, seen: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        // A variable byte integer, of which all that exist take one byte.
        let id = self.fields.u8()?;
        let property = Property::read(&mut self.fields, id)?;
        if id != USER && id != SUBSCRIPTION_ID {
            // An id that was read is below 64.
            let bit = 1u64 << (id & 63);
            if self.seen & bit != 0 {
                return Err(self.fields.protocol("a property occurs twice"));
            }
            self.seen |= bit;
        }
        Ok(Some(property))
    }

    /// The last one does not belong into this packet.
    pub(super) fn misplaced(&self) -> DecodeError {
        self.fields
            .malformed("a property that this packet cannot have")
    }
}
