//! The data types of section 1.5, read one after the other.

use std::sync::Arc;

use bytes::Bytes;

use crate::mqtt::property::Properties;
use crate::mqtt::{DecodeError, PacketId, PacketType};

/// What is left of a packet's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    packet: PacketType,
    rest: &'a [u8],
}

/// A variable byte integer at the start of some bytes.
pub(super) enum VarInt {
    Partial,
    /// More than four bytes.
    TooLong,
    Complete {
        value: u32,
        bytes: usize,
        /// Whether fewer bytes would do, which 5.0 forbids (section 1.5.5).
        padded: bool,
    },
}

impl VarInt {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut value = 0;
        for (index, byte) in bytes.iter().take(4).enumerate() {
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return Self::Complete {
                    value,
                    bytes: index + 1,
                    padded: *byte == 0 && index > 0,
                };
            }
        }
        if bytes.len() < 4 {
            Self::Partial
        } else {
            Self::TooLong
        }
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(packet: PacketType, body: &'a [u8]) -> Self {
        Self { packet, rest: body }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn packet(&self) -> PacketType {
        self.packet
    }

    pub(crate) fn malformed(&self, flaw: &'static str) -> DecodeError {
        let packet = self.packet;
        DecodeError::Malformed { packet, flaw }
    }

    pub(crate) fn protocol(&self, flaw: &'static str) -> DecodeError {
        let packet = self.packet;
        DecodeError::Protocol { packet, flaw }
    }

    pub(super) fn too_many(&self, what: &'static str, max: usize) -> DecodeError {
        let packet = self.packet;
        DecodeError::TooMany { packet, what, max }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(bytes)
            .ok_or(self.malformed("it ends within a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(self.malformed("it ends within a field"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.protocol("a property is neither 0 nor 1")),
        }
    }

    pub(crate) fn var_int(&mut self) -> Result<u32, DecodeError> {
        match VarInt::read(self.rest) {
            VarInt::Complete {
                value,
                bytes,
                padded: false,
            } => {
                self.take(bytes)?;
                Ok(value)
            }
            VarInt::Complete { .. } => Err(self.malformed("a length in more bytes than it needs")),
            VarInt::TooLong => Err(self.malformed("a length in more than 4 bytes")),
            VarInt::Partial => Err(self.malformed("it ends within a field")),
        }
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let bytes = self.u16()?;
        self.take(bytes.into())
    }

    /// Without surrogates, which `str` cannot hold, and U+0000 (section 1.5.4).
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        self.checked(bytes)
    }

    pub(super) fn checked(&self, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
        if bytes.contains(&0) {
            return Err(self.malformed("text with U+0000"));
        }
        std::str::from_utf8(bytes).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(self.protocol("packet identifier 0"))
    }

    pub(super) fn properties(&mut self) -> Result<Properties<'a>, DecodeError> {
        let bytes = self.var_int()?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let fields = Self::new(self.packet, self.take(bytes)?);
        Ok(Properties::new(fields))
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), DecodeError> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(self.malformed("bytes after its last field")),
        }
    }
}

/// Memory of its own, as long as the text.
pub(super) fn shared(text: &str) -> Option<Arc<str>> {
    Some(text.into())
}

/// Memory of its own, as long as the bytes.
pub(super) fn owned(bytes: &[u8]) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(bytes))
}
