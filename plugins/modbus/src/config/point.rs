//! One value of a device: where it lies and what it means.

use serde::Deserialize;

use crate::pdu::Table;
use crate::value::{Order, Type};

/// One value of a device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its name in readings and command topics: letters, digits and `-:._`.
    pub name: String,
    /// `coil`, `discrete`, `holding` or `input`.
    pub table: Table,
    /// Its first address, from 0 (as in the frame, not 40001).
    pub address: u16,
    /// What it holds; `bool` if it is left out and the table holds bits.
    #[serde(rename = "type", default = "Point::bool")]
    pub kind: Type,
    /// The bit of a register, 0 the lowest to 15: for the type `bit`.
    pub bit: Option<u8>,
    /// Bytes of a text, 1 to 246: for the type `string`.
    pub length: Option<u16>,
    /// How its bytes lie; the device's order if it is left out.
    #[serde(default, rename = "order")]
    order_set: Option<Order>,
    /// As above, with the device's order applied.
    #[serde(skip)]
    pub order: Order,
    /// What the number read is multiplied with; not 0.
    #[serde(default = "Point::one")]
    pub scale: f64,
    /// What is added after scaling.
    #[serde(default)]
    pub offset: f64,
    /// The unit's symbol from the SenML registry, for example `Cel`.
    pub unit: Option<String>,
    /// The raw bits that mean "no value", as a number or `"0x8000"`.
    pub not_implemented: Option<Bits>,
    /// Whether commands may write it.
    #[serde(default)]
    pub writable: bool,
    /// The least number a command may write, after scaling.
    pub min: Option<f64>,
    /// The greatest number a command may write, after scaling.
    pub max: Option<f64>,
}

/// Raw bits, as a number or in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BitsText")]
pub struct Bits(pub u64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number or a text like \"0x8000\"")]
enum BitsText {
    Number(u64),
    Text(String),
}

impl TryFrom<BitsText> for Bits {
    type Error = String;

    fn try_from(text: BitsText) -> Result<Self, String> {
        match text {
            BitsText::Number(bits) => Ok(Self(bits)),
            BitsText::Text(text) => text
                .strip_prefix("0x")
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .map(Self)
                .ok_or_else(|| format!("`{text}` is not like \"0x8000\"")),
        }
    }
}

impl Point {
    fn bool() -> Type {
        Type::Bool
    }

    fn one() -> f64 {
        1.0
    }

    /// Applies the device's order where the point has none of its own.
    pub(super) fn settle(&mut self, device: Order) {
        self.order = self.order_set.unwrap_or(device);
    }

    /// Addresses it covers.
    pub fn span(&self) -> u16 {
        match self.kind {
            Type::U32 | Type::I32 | Type::F32 | Type::Bcd32 => 2,
            Type::U64 | Type::I64 | Type::F64 => 4,
            Type::String => self.length.unwrap_or(1).div_ceil(2),
            _ => 1,
        }
    }

    /// Whether it is only part of a register, so that writing it must leave
    /// the other part alone.
    pub fn is_partial(&self) -> bool {
        !self.table.is_bits()
            && matches!(
                self.kind,
                Type::Bit | Type::U8h | Type::U8l | Type::I8h | Type::I8l
            )
    }
}
