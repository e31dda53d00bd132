//! Where packets are written, or only measured: one description of each packet
//! gives its length and its bytes.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};

use crate::mqtt::property::Property;
use crate::mqtt::{EncodeError, PacketId, PacketType, UserProperties};

/// The most that a variable byte integer can say.
const VAR_INT_MAX: u32 = 0x0FFF_FFFF;

/// Takes the fields of one packet.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    /// None: they are only counted.
    buffer: Option<&'a mut BytesMut>,
    bytes: usize,
    /// Leaves out what is there for people only.
    terse: bool,
    packet: PacketType,
    /// The first thing that cannot be written.
    failed: Option<EncodeError>,
}

/// Bytes that a variable byte integer takes.
pub(super) fn var_int_bytes(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

impl<'a> Out<'a> {
    pub(super) fn measure(packet: PacketType, terse: bool) -> Self {
        Self {
            buffer: None,
            bytes: 0,
            terse,
            packet,
            failed: None,
        }
    }

    pub(super) fn write(packet: PacketType, terse: bool, buffer: &'a mut BytesMut) -> Self {
        Self {
            buffer: Some(buffer),
            ..Self::measure(packet, terse)
        }
    }

    /// How many bytes it was given.
    pub(super) fn finish(self) -> Result<usize, EncodeError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.bytes),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if let Some(buffer) = &mut self.buffer {
            buffer.put_slice(bytes);
        }
    }

    pub(crate) fn u8(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.bytes(&number.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    /// Of at most 28 bits, which is checked where the packet is measured.
    pub(crate) fn var_int(&mut self, value: u32) {
        let mut rest = value;
        loop {
            let [low, ..] = (rest & 0x7F).to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }

    pub(super) fn packet_id(&mut self, id: PacketId) {
        self.u16(id.get());
    }

    /// A text or binary data behind its length.
    pub(crate) fn field(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(length) => {
                self.u16(length);
                self.bytes(bytes);
            }
            Err(_) => self.fail(EncodeError::FieldTooLong {
                packet: self.packet,
                bytes: bytes.len(),
            }),
        }
    }

    pub(super) fn invalid(&mut self, flaw: &'static str) {
        let packet = self.packet;
        self.fail(EncodeError::Invalid { packet, flaw });
    }

    fn fail(&mut self, error: EncodeError) {
        self.failed.get_or_insert(error);
    }

    pub(super) fn property(&mut self, property: Property<'_>) {
        property.write(self);
    }

    pub(super) fn user(&mut self, user: &[(Arc<str>, Arc<str>)]) {
        for (name, value) in user {
            self.property(Property::User(name, value));
        }
    }

    pub(super) fn subscription_id(&mut self, id: NonZeroU32) {
        if id.get() > VAR_INT_MAX {
            self.invalid("a subscription identifier of more than 28 bits");
        }
        self.property(Property::SubscriptionId(id));
    }

    /// What only people read, and a packet that would be too large goes without.
    pub(super) fn diagnostics(&mut self, reason_text: Option<&Arc<str>>, user: &UserProperties) {
        if self.terse {
            return;
        }
        if let Some(text) = reason_text {
            self.property(Property::ReasonText(text));
        }
        self.user(user);
    }

    /// Properties behind their length.
    pub(super) fn properties(&mut self, write: impl Fn(&mut Out<'_>)) {
        let mut measure = Out::measure(self.packet, self.terse);
        write(&mut measure);
        match measure.finish() {
            Ok(bytes) => {
                self.var_int(u32::try_from(bytes).unwrap_or(u32::MAX));
                match self.buffer {
                    Some(_) => write(self),
                    None => self.bytes += bytes,
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Whether [`properties`](Self::properties) would write none.
    pub(super) fn has_none(&self, write: impl Fn(&mut Out<'_>)) -> bool {
        let mut measure = Out::measure(self.packet, self.terse);
        write(&mut measure);
        measure.bytes == 0 && measure.failed.is_none()
    }
}
