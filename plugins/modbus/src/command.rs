//! What a command message asks for, and what the answer to it looks like.
//!
//! Pure: payload in, [`Command`] out; an outcome in, JSON out.

use selvedge_plugin::senml::Value;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::config::{Device, Point};
use crate::pdu::{Request, RequestError, Table};
use crate::unit::UnitError;
use crate::value::EncodeError;

/// The last level of the topic of raw requests.
pub const RAW: &str = "modbus";

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make the point at this place hold a value.
    Set(usize, Value),
    /// Change bits of the point at this place: function 22.
    Mask(usize, Mask),
    /// Send this request as it is.
    Raw(Request),
}

/// `(old & and) | (or & !and)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Bits that stay.
    pub and: u16,
    /// What the others become.
    pub or: u16,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// The payload is not a command.
    #[error("cannot read the command: {0}")]
    Payload(String),
    /// The device has no such point.
    #[error("no point `{0}`")]
    UnknownPoint(String),
    /// The configuration does not let it be written.
    #[error("point `{0}` is not writable")]
    NotWritable(String),
    /// The configuration does not let it hold this value.
    #[error("{value} is not within {min} to {max}")]
    OutOfRange { value: f64, min: f64, max: f64 },
    /// A mask would go past the point's type or range.
    #[error("a mask needs a point of one whole holding register without `min` and `max`")]
    MaskUnfit,
    /// Raw requests are not configured.
    #[error("the device takes no raw requests")]
    RawForbidden,
    /// The command waited for too long.
    #[error("the command is {0} ms old")]
    Expired(u128),
    /// The value does not fit the point.
    #[error(transparent)]
    Value(#[from] EncodeError),
    /// No frame can carry the request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The unit did not do it.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// It says that it did, but another value is there.
    #[error("the device acknowledged the write but holds {0}")]
    NotVerified(Json),
    /// It was written, but could not be read back.
    #[error("written, but not verified: {0}")]
    Unverified(UnitError),
}

impl CommandError {
    /// A stable name for replies. Never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Payload(_) => "payload-invalid",
            Self::UnknownPoint(_) => "unknown-point",
            Self::NotWritable(_) => "not-writable",
            Self::OutOfRange { .. } => "out-of-range",
            Self::MaskUnfit => "mask-unfit",
            Self::RawForbidden => "raw-not-allowed",
            Self::Expired(_) => "expired",
            Self::Value(_) => "value-invalid",
            Self::Request(_) => "request-invalid",
            Self::Unit(error) => error.code(),
            Self::NotVerified(_) => "not-verified",
            Self::Unverified(_) => "verify-failed",
        }
    }

    /// The answer to a command that was not carried out.
    pub fn reply(&self) -> Json {
        let mut reply = json!({"ok": false, "code": self.code(), "error": self.to_string()});
        let exception = match self {
            Self::Unit(error) | Self::Unverified(error) => error.exception(),
            _ => None,
        };
        if let (Some(code), Some(fields)) = (exception, reply.as_object_mut()) {
            fields.insert("exception".to_owned(), code.into());
        }
        reply
    }
}

/// What the message for `name` of `device` asks for.
///
/// # Errors
/// It asks for nothing that the device is configured for.
pub fn parse(device: &Device, name: &str, payload: &[u8]) -> Result<Command, CommandError> {
    let json: Json = serde_json::from_slice(payload)
        .map_err(|error| CommandError::Payload(error.to_string()))?;
    if name == RAW {
        if !device.raw {
            return Err(CommandError::RawForbidden);
        }
        let raw: Raw = serde_json::from_value(json)
            .map_err(|error| CommandError::Payload(error.to_string()))?;
        let request = raw.request()?;
        request.check()?;
        return Ok(Command::Raw(request));
    }
    let place = device
        .points
        .iter()
        .position(|point| point.name == name)
        .ok_or_else(|| CommandError::UnknownPoint(name.to_owned()))?;
    let point = device
        .points
        .get(place)
        .filter(|point| point.writable)
        .ok_or_else(|| CommandError::NotWritable(name.to_owned()))?;
    let body = match json {
        Json::Object(_) => serde_json::from_value(json)
            .map_err(|error| CommandError::Payload(error.to_string()))?,
        value => Body {
            value: Some(value),
            mask: None,
        },
    };
    match (body.value, body.mask) {
        (Some(value), None) => Ok(Command::Set(place, check_value(point, value)?)),
        (None, Some(mask)) => {
            let whole = point.table == Table::Holding && point.span() == 1 && !point.is_partial();
            if !whole || point.min.is_some() || point.max.is_some() {
                return Err(CommandError::MaskUnfit);
            }
            Ok(Command::Mask(place, mask))
        }
        _ => Err(CommandError::Payload(
            "either `value` or `mask` is needed".to_owned(),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    value: Option<Json>,
    mask: Option<Mask>,
}

fn check_value(point: &Point, value: Json) -> Result<Value, CommandError> {
    let value = match value {
        Json::Bool(on) => Value::Bool(on),
        Json::String(text) => Value::Text(text),
        Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        _ => {
            return Err(CommandError::Payload(
                "the value is not a number, a text, true or false".to_owned(),
            ));
        }
    };
    if let Value::Number(number) = value {
        let min = point.min.unwrap_or(f64::MIN);
        let max = point.max.unwrap_or(f64::MAX);
        // Written so that what is no number is out of range.
        if !(min <= number && number <= max) {
            return Err(CommandError::OutOfRange {
                value: number,
                min,
                max,
            });
        }
    }
    Ok(value)
}

/// A request as it is written in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    function: u8,
    address: Option<u16>,
    count: Option<u16>,
    value: Option<Json>,
    values: Option<Vec<Json>>,
    and: Option<u16>,
    or: Option<u16>,
    write_address: Option<u16>,
    category: Option<u8>,
}

impl Raw {
    fn request(self) -> Result<Request, CommandError> {
        let function = self.function;
        let missing = |field: &str| {
            CommandError::Payload(format!("function {function} needs a fitting `{field}`"))
        };
        if function == 43 {
            return Ok(Request::Identify {
                category: self.category.unwrap_or(1),
                object: 0,
            });
        }
        let address = self.address.ok_or_else(|| missing("address"))?;
        let count = self.count.ok_or_else(|| missing("count"));
        let registers = |values: Option<Vec<Json>>| -> Option<Vec<u16>> {
            values?
                .iter()
                .map(|value| u16::try_from(value.as_u64()?).ok())
                .collect()
        };
        Ok(match function {
            1..=4 => Request::Read {
                table: match function {
                    1 => Table::Coil,
                    2 => Table::Discrete,
                    3 => Table::Holding,
                    _ => Table::Input,
                },
                address,
                count: count?,
            },
            5 => Request::WriteCoil {
                address,
                on: self
                    .value
                    .and_then(|value| value.as_bool())
                    .ok_or_else(|| missing("value"))?,
            },
            6 => Request::WriteRegister {
                address,
                value: registers(self.value.map(|value| vec![value]))
                    .and_then(|values| values.first().copied())
                    .ok_or_else(|| missing("value"))?,
            },
            15 => Request::WriteCoils {
                address,
                bits: self
                    .values
                    .and_then(|values| values.iter().map(Json::as_bool).collect())
                    .ok_or_else(|| missing("values"))?,
            },
            16 => Request::WriteRegisters {
                address,
                values: registers(self.values).ok_or_else(|| missing("values"))?,
            },
            22 => Request::MaskWrite {
                address,
                and: self.and.ok_or_else(|| missing("and"))?,
                or: self.or.ok_or_else(|| missing("or"))?,
            },
            23 => Request::Exchange {
                address,
                count: count?,
                write_address: self.write_address.ok_or_else(|| missing("write_address"))?,
                values: registers(self.values).ok_or_else(|| missing("values"))?,
            },
            _ => {
                return Err(CommandError::Payload(format!(
                    "function {function} is not 1 to 6, 15, 16, 22, 23 or 43"
                )));
            }
        })
    }
}

/// A value as it stands in replies.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Number(number) => json!(number),
        Value::Bool(on) => json!(on),
        Value::Text(text) => json!(text),
        // Modbus has no type for them: none is ever read.
        Value::Data(_) | Value::Missing => Json::Null,
    }
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
