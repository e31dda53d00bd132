//! What is asked of a unit and what it answers: the protocol data unit.
//!
//! Function codes 1 to 6, 15, 16, 22, 23 and 43/14 of the *Modbus Application
//! Protocol Specification V1.1b3*. An answer is only ever read against its
//! request; whatever does not fit it exactly is an error, never a panic.

use serde::{Deserialize, Serialize};

use crate::identify;

/// Registers in one read (section 6.3).
pub const REGISTERS_READ_MAX: u16 = 125;
/// Registers in one write (section 6.12).
pub const REGISTERS_WRITE_MAX: usize = 123;
/// Registers written by a read and write (section 6.17).
pub const REGISTERS_EXCHANGE_MAX: usize = 121;
/// Bits in one read (section 6.1).
pub const BITS_READ_MAX: u16 = 2000;
/// Bits in one write (section 6.11).
pub const BITS_WRITE_MAX: usize = 1968;

/// One of the four tables of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// Single bits, read and written: functions 1, 5 and 15.
    Coil,
    /// Single bits, read only: function 2.
    Discrete,
    /// 16-bit registers, read and written: functions 3, 6, 16, 22 and 23.
    Holding,
    /// 16-bit registers, read only: function 4.
    Input,
}

impl Table {
    /// Whether it holds bits, not registers.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// Whether it can be written.
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }
}

/// What is asked of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Functions 1 to 4.
    Read {
        table: Table,
        address: u16,
        count: u16,
    },
    /// Function 5.
    WriteCoil { address: u16, on: bool },
    /// Function 6.
    WriteRegister { address: u16, value: u16 },
    /// Function 15.
    WriteCoils { address: u16, bits: Vec<bool> },
    /// Function 16.
    WriteRegisters { address: u16, values: Vec<u16> },
    /// Function 22: `(old & and) | (or & !and)`.
    MaskWrite { address: u16, and: u16, or: u16 },
    /// Function 23: writes first, then reads.
    Exchange {
        address: u16,
        count: u16,
        write_address: u16,
        values: Vec<u16>,
    },
    /// Function 43/14, from object `object` on.
    Identify { category: u8, object: u8 },
}

/// What a unit answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Exactly as many bits as were asked for.
    Bits(Vec<bool>),
    /// Exactly as many registers as were asked for.
    Registers(Vec<u16>),
    /// The write was done.
    Done,
    /// One page of device identification.
    Page(identify::Page),
}

/// Why a PDU is not the answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The unit refused, with this exception code.
    #[error("exception {0} ({name})", name = exception_name(*.0))]
    Exception(u8),
    /// It answers another function.
    #[error("answer to function {got}, not {wanted}")]
    Function { wanted: u8, got: u8 },
    /// It is shorter or longer than it must be.
    #[error("answer of {got} bytes, not {wanted}")]
    Length { wanted: usize, got: usize },
    /// It says another size than it has, or another place than was written.
    #[error("answer that contradicts its request")]
    Contradiction,
}

/// A request that no frame can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing or too much is asked for.
    #[error("a count of {got}, not 1 to {max}")]
    Count { got: usize, max: usize },
    /// It reaches beyond the last address.
    #[error("addresses beyond 65535")]
    Beyond,
    /// Identification has the categories 1 to 4.
    #[error("identification category {0}, not 1 to 4")]
    Category(u8),
}

/// The name of an exception code (section 7).
pub fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "device failure",
        5 => "acknowledge",
        6 => "device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target failed to respond",
        _ => "unknown",
    }
}

impl Request {
    /// The function code.
    pub fn function(&self) -> u8 {
        match self {
            Self::Read { table, .. } => match table {
                Table::Coil => 1,
                Table::Discrete => 2,
                Table::Holding => 3,
                Table::Input => 4,
            },
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
            Self::MaskWrite { .. } => 22,
            Self::Exchange { .. } => 23,
            Self::Identify { .. } => identify::FUNCTION,
        }
    }

    /// Whether it leaves the unit as it was, so that it may be repeated.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Identify { .. })
    }

    /// Whether a frame can carry it.
    ///
    /// # Errors
    /// A count is out of bounds or addresses run over.
    pub fn check(&self) -> Result<(), RequestError> {
        match self {
            Self::Read {
                table,
                address,
                count,
            } => {
                let max = if table.is_bits() {
                    BITS_READ_MAX
                } else {
                    REGISTERS_READ_MAX
                };
                check_span(*address, usize::from(*count), usize::from(max))
            }
            Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::MaskWrite { .. } => Ok(()),
            Self::WriteCoils { address, bits } => check_span(*address, bits.len(), BITS_WRITE_MAX),
            Self::WriteRegisters { address, values } => {
                check_span(*address, values.len(), REGISTERS_WRITE_MAX)
            }
            Self::Exchange {
                address,
                count,
                write_address,
                values,
            } => {
                check_span(
                    *address,
                    usize::from(*count),
                    usize::from(REGISTERS_READ_MAX),
                )?;
                check_span(*write_address, values.len(), REGISTERS_EXCHANGE_MAX)
            }
            Self::Identify { category, .. } => match category {
                1..=4 => Ok(()),
                _ => Err(RequestError::Category(*category)),
            },
        }
    }

    /// The PDU's bytes.
    ///
    /// # Errors
    /// As [`Request::check`].
    pub fn encode(&self) -> Result<Vec<u8>, RequestError> {
        self.check()?;
        let mut pdu = vec![self.function()];
        match self {
            Self::Read { address, count, .. } => put(&mut pdu, &[*address, *count]),
            Self::WriteCoil { address, on } => {
                put(&mut pdu, &[*address, if *on { 0xff00 } else { 0 }]);
            }
            Self::WriteRegister { address, value } => put(&mut pdu, &[*address, *value]),
            Self::WriteCoils { address, bits } => {
                put(&mut pdu, &[*address, short(bits.len())]);
                let packed = pack(bits);
                pdu.push(byte(packed.len()));
                pdu.extend(packed);
            }
            Self::WriteRegisters { address, values } => {
                put(&mut pdu, &[*address, short(values.len())]);
                pdu.push(byte(values.len() * 2));
                put(&mut pdu, values);
            }
            Self::MaskWrite { address, and, or } => put(&mut pdu, &[*address, *and, *or]),
            Self::Exchange {
                address,
                count,
                write_address,
                values,
            } => {
                put(
                    &mut pdu,
                    &[*address, *count, *write_address, short(values.len())],
                );
                pdu.push(byte(values.len() * 2));
                put(&mut pdu, values);
            }
            Self::Identify { category, object } => {
                pdu.extend([identify::KIND, *category, *object]);
            }
        }
        Ok(pdu)
    }

    /// Reads `pdu` as the answer to this request.
    ///
    /// # Errors
    /// It is an exception, or not exactly what the request asks for. Any
    /// function code with the high bit set is an exception: some servers put
    /// one of their own there.
    pub fn decode(&self, pdu: &[u8]) -> Result<Answer, AnswerError> {
        let (&got, rest) = pdu
            .split_first()
            .ok_or(AnswerError::Length { wanted: 2, got: 0 })?;
        if got & 0x80 != 0 {
            return Err(AnswerError::Exception(rest.first().copied().unwrap_or(0)));
        }
        let wanted = self.function();
        if got != wanted {
            return Err(AnswerError::Function { wanted, got });
        }
        match self {
            Self::Read { table, count, .. } if table.is_bits() => {
                let count = usize::from(*count);
                Ok(Answer::Bits(unpack(
                    counted(rest, count.div_ceil(8))?,
                    count,
                )))
            }
            Self::Read { count, .. } | Self::Exchange { count, .. } => Ok(Answer::Registers(
                words(counted(rest, usize::from(*count) * 2)?),
            )),
            Self::Identify { category, object } => {
                identify::decode(rest, *category, *object).map(Answer::Page)
            }
            write => write.echo(rest),
        }
    }

    /// An answer to a write repeats the beginning of its request.
    fn echo(&self, rest: &[u8]) -> Result<Answer, AnswerError> {
        let sent = self.encode().map_err(|_| AnswerError::Contradiction)?;
        let length = if matches!(self, Self::MaskWrite { .. }) {
            6
        } else {
            4
        };
        if rest.len() != length {
            return Err(AnswerError::Length {
                wanted: length + 1,
                got: rest.len() + 1,
            });
        }
        match sent.get(1..=length) {
            Some(echo) if echo == rest => Ok(Answer::Done),
            _ => Err(AnswerError::Contradiction),
        }
    }
}

fn check_span(address: u16, count: usize, max: usize) -> Result<(), RequestError> {
    if count == 0 || count > max {
        return Err(RequestError::Count { got: count, max });
    }
    if usize::from(address) + count > 0x1_0000 {
        return Err(RequestError::Beyond);
    }
    Ok(())
}

/// The bytes after a byte count that must be `wanted`.
fn counted(rest: &[u8], wanted: usize) -> Result<&[u8], AnswerError> {
    let (&count, bytes) = rest.split_first().ok_or(AnswerError::Length {
        wanted: wanted + 2,
        got: 1,
    })?;
    if usize::from(count) != wanted {
        return Err(AnswerError::Contradiction);
    }
    if bytes.len() != wanted {
        return Err(AnswerError::Length {
            wanted: wanted + 2,
            got: bytes.len() + 2,
        });
    }
    Ok(bytes)
}

fn put(pdu: &mut Vec<u8>, words: &[u16]) {
    pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
}

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|pair| u16::from_be_bytes(*pair))
        .collect()
}

fn pack(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|chunk| {
            chunk
                .iter()
                .rev()
                .fold(0, |byte, &bit| (byte << 1) | u8::from(bit))
        })
        .collect()
}

fn unpack(bytes: &[u8], count: usize) -> Vec<bool> {
    bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
        .take(count)
        .collect()
}

/// A count that [`Request::check`] has bounded.
fn short(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// A count that [`Request::check`] has bounded.
fn byte(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

#[cfg(test)]
#[path = "pdu/tests.rs"]
mod tests;
