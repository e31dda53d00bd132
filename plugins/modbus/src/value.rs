//! Values in registers: types, byte orders, scaling and sentinels.
//!
//! Pure and total: any registers give a value or the reason why there is none,
//! and a value is written back only if reading it again would give the same.

use selvedge_plugin::senml::{Quality, Value};
use serde::{Deserialize, Serialize};

use crate::config::Point;

/// Whole numbers beyond this are rounded in SenML, whose numbers are `f64`.
const EXACT_MAX: u64 = 1 << 53;

/// What a point holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// A coil or discrete input; of a register: is it not 0?
    Bool,
    /// One bit of a register, 0 the lowest: needs `bit`.
    Bit,
    /// The high byte of a register, unsigned.
    U8h,
    /// The low byte of a register, unsigned.
    U8l,
    /// The high byte of a register, signed.
    I8h,
    /// The low byte of a register, signed.
    I8l,
    /// One register, unsigned.
    U16,
    /// One register, signed.
    I16,
    /// Two registers, unsigned.
    U32,
    /// Two registers, signed.
    I32,
    /// Four registers, unsigned.
    U64,
    /// Four registers, signed.
    I64,
    /// One register, IEEE 754 half precision.
    F16,
    /// Two registers, IEEE 754 single precision.
    F32,
    /// Four registers, IEEE 754 double precision.
    F64,
    /// One register of four decimal digits.
    Bcd16,
    /// Two registers of eight decimal digits.
    Bcd32,
    /// Text, two characters a register, up to the first NUL: needs `length`.
    String,
}

/// How the bytes of a value lie in its registers; `A` is the highest byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// High word first, high byte first: as the specification says.
    #[default]
    ABCD,
    /// High word first, low byte first.
    BADC,
    /// Low word first, high byte first.
    CDAB,
    /// Low word first, low byte first.
    DCBA,
}

impl Order {
    fn swaps_bytes(self) -> bool {
        matches!(self, Self::BADC | Self::DCBA)
    }

    fn reverses_words(self) -> bool {
        matches!(self, Self::CDAB | Self::DCBA)
    }

    /// Between the order on the wire and highest first; its own inverse.
    fn arrange(self, registers: &[u16], is_text: bool) -> Vec<u16> {
        let swap = |word: &u16| {
            if self.swaps_bytes() {
                word.swap_bytes()
            } else {
                *word
            }
        };
        // The words of a text are in reading order whatever numbers do.
        if self.reverses_words() && !is_text {
            registers.iter().rev().map(swap).collect()
        } else {
            registers.iter().map(swap).collect()
        }
    }
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Another kind of value is needed.
    #[error("the point takes {0}")]
    Kind(&'static str),
    /// The type cannot hold it.
    #[error("{0} does not fit the point's type")]
    Range(f64),
    /// The text is too long or not ASCII.
    #[error("the text is not ASCII or longer than {0} bytes")]
    Text(u16),
}

/// What a point's registers say.
pub fn decode(point: &Point, registers: &[u16]) -> (Value, Quality) {
    if registers.len() != usize::from(point.span()) {
        return bad("not all registers were read");
    }
    let words = if point.table.is_bits() {
        registers.to_vec()
    } else {
        point.order.arrange(registers, point.kind == Type::String)
    };
    if point.kind == Type::String {
        return text(&words, point.length.unwrap_or(0));
    }
    let raw = raw_bits(point, &words);
    if point.not_implemented.is_some_and(|none| none.0 == raw) {
        return bad("not implemented by the device");
    }
    match point.kind {
        Type::Bool | Type::Bit => (Value::Bool(raw != 0), Quality::Good),
        Type::Bcd16 | Type::Bcd32 => match from_bcd(raw) {
            Some(number) => scaled(point, whole(number), number),
            None => bad("not decimal digits"),
        },
        _ => {
            let (number, magnitude) = number(point.kind, raw);
            scaled(point, number, magnitude)
        }
    }
}

/// Some bits of a register and what they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The bits that are meant.
    pub bits: u16,
    /// Their value, in place.
    pub value: u16,
}

/// What makes a point that is part of a register hold `value`.
///
/// # Errors
/// As [`encode`].
pub fn encode_part(point: &Point, value: &Value) -> Result<Part, EncodeError> {
    let low = to_words(point, value)?.first().copied().unwrap_or(0);
    let (bits, shift) = match point.kind {
        Type::Bit => {
            let bit = u16::from(point.bit.unwrap_or(0));
            (1 << bit, bit)
        }
        Type::U8h | Type::I8h => (0xff00, 8),
        _ => (0x00ff, 0),
    };
    let arrange = |word: u16| {
        if point.order.swaps_bytes() {
            word.swap_bytes()
        } else {
            word
        }
    };
    Ok(Part {
        bits: arrange(bits),
        value: arrange((low << shift) & bits),
    })
}

/// The registers that make a point hold `value`.
///
/// # Errors
/// The value is of the wrong kind or does not fit.
pub fn encode(point: &Point, value: &Value) -> Result<Vec<u16>, EncodeError> {
    let words = to_words(point, value)?;
    if point.table.is_bits() {
        return Ok(words);
    }
    Ok(point.order.arrange(&words, point.kind == Type::String))
}

/// The value's registers, highest first.
fn to_words(point: &Point, value: &Value) -> Result<Vec<u16>, EncodeError> {
    Ok(match (point.kind, value) {
        (Type::String, Value::Text(text)) => text_words(text, point)?,
        (Type::String, _) => return Err(EncodeError::Kind("a text")),
        (Type::Bool | Type::Bit, Value::Bool(on)) => vec![u16::from(*on)],
        (Type::Bool | Type::Bit, Value::Number(number)) if *number == 0.0 || *number == 1.0 => {
            vec![u16::from(*number == 1.0)]
        }
        (Type::Bool | Type::Bit, _) => return Err(EncodeError::Kind("true or false")),
        (_, Value::Number(number)) => {
            let raw = to_raw(point.kind, (number - point.offset) / point.scale)
                .ok_or(EncodeError::Range(*number))?;
            split(raw, point.span())
        }
        _ => return Err(EncodeError::Kind("a number")),
    })
}

fn bad(why: &str) -> (Value, Quality) {
    (Value::Missing, Quality::Bad(why.to_owned()))
}

/// The value's bits, right-aligned and not sign-extended.
fn raw_bits(point: &Point, words: &[u16]) -> u64 {
    let all = words
        .iter()
        .fold(0, |bits, &word| (bits << 16) | u64::from(word));
    match point.kind {
        Type::Bit => all >> point.bit.unwrap_or(0) & 1,
        Type::U8h | Type::I8h => all >> 8 & 0xff,
        Type::U8l | Type::I8l => all & 0xff,
        _ => all,
    }
}

/// A number and, if it is whole, its magnitude.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "the bits of a type are reread as that type; precision is reported"
)]
fn number(kind: Type, raw: u64) -> (f64, u64) {
    let signed = |value: i64| (value as f64, value.unsigned_abs());
    match kind {
        Type::I8h | Type::I8l => signed(i64::from(raw as u8 as i8)),
        Type::I16 => signed(i64::from(raw as u16 as i16)),
        Type::I32 => signed(i64::from(raw as u32 as i32)),
        Type::I64 => signed(raw as i64),
        Type::F16 => (half::f16::from_bits(raw as u16).to_f64(), 0),
        Type::F32 => (f64::from(f32::from_bits(raw as u32)), 0),
        Type::F64 => (f64::from_bits(raw), 0),
        _ => (raw as f64, raw),
    }
}

fn scaled(point: &Point, number: f64, magnitude: u64) -> (Value, Quality) {
    let number = number * point.scale + point.offset;
    if !number.is_finite() {
        return bad("not a finite number");
    }
    let quality = if magnitude > EXACT_MAX {
        Quality::Uncertain("rounded to 53 bits".to_owned())
    } else {
        Quality::Good
    };
    (Value::Number(number), quality)
}

#[expect(clippy::cast_precision_loss, reason = "at most eight digits")]
fn whole(number: u64) -> f64 {
    number as f64
}

fn from_bcd(raw: u64) -> Option<u64> {
    (0..8).rev().try_fold(0, |number, digit| {
        let digit = raw >> (digit * 4) & 0xf;
        (digit < 10).then_some(number * 10 + digit)
    })
}

fn to_bcd(number: u64) -> u64 {
    (0..8).fold(0, |raw, digit| {
        raw | (number / 10_u64.pow(digit) % 10) << (digit * 4)
    })
}

/// The bits of `number` in `kind`, or `None` if it does not fit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked against the type's range first"
)]
fn to_raw(kind: Type, number: f64) -> Option<u64> {
    if !number.is_finite() {
        return None;
    }
    let integer = |min: f64, end: f64, mask: u64| {
        let rounded = number.round();
        if rounded < min || rounded >= end {
            None
        } else if rounded < 0.0 {
            Some(rounded as i64 as u64 & mask)
        } else {
            Some(rounded as u64 & mask)
        }
    };
    let float = |raw: u64, back: f64| back.is_finite().then_some(raw);
    match kind {
        Type::U8h | Type::U8l => integer(0.0, 256.0, 0xff),
        Type::I8h | Type::I8l => integer(-128.0, 128.0, 0xff),
        Type::U16 => integer(0.0, 65_536.0, 0xffff),
        Type::I16 => integer(-32_768.0, 32_768.0, 0xffff),
        Type::U32 => integer(0.0, 4_294_967_296.0, 0xffff_ffff),
        Type::I32 => integer(-2_147_483_648.0, 2_147_483_648.0, 0xffff_ffff),
        Type::U64 => integer(0.0, 18_446_744_073_709_551_616.0, u64::MAX),
        Type::I64 => integer(
            -9_223_372_036_854_775_808.0,
            9_223_372_036_854_775_808.0,
            u64::MAX,
        ),
        Type::Bcd16 => integer(0.0, 10_000.0, u64::MAX).map(to_bcd),
        Type::Bcd32 => integer(0.0, 100_000_000.0, u64::MAX).map(to_bcd),
        Type::F16 => {
            let value = half::f16::from_f64(number);
            float(value.to_bits().into(), value.into())
        }
        Type::F32 => {
            let value = number as f32;
            float(value.to_bits().into(), value.into())
        }
        Type::F64 => Some(number.to_bits()),
        Type::Bool | Type::Bit | Type::String => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each word's own 16 bits")]
fn split(raw: u64, words: u16) -> Vec<u16> {
    (0..words)
        .rev()
        .map(|word| (raw >> (word * 16)) as u16)
        .collect()
}

fn text(words: &[u16], length: u16) -> (Value, Quality) {
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .take(usize::from(length))
        .take_while(|&byte| byte != 0)
        .collect();
    match String::from_utf8(bytes) {
        Ok(text) => (Value::Text(text.trim_end().to_owned()), Quality::Good),
        Err(_) => bad("not UTF-8 text"),
    }
}

fn text_words(text: &str, point: &Point) -> Result<Vec<u16>, EncodeError> {
    let length = point.length.unwrap_or(0);
    if !text.is_ascii() || text.len() > usize::from(length) {
        return Err(EncodeError::Text(length));
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(usize::from(point.span()) * 2, 0);
    let words = bytes.as_chunks().0.iter();
    Ok(words.map(|pair| u16::from_be_bytes(*pair)).collect())
}

#[cfg(test)]
#[path = "value/tests.rs"]
mod tests;
