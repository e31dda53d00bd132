//! Carries out a command on its unit.

use selvedge_plugin::senml::Value;
use serde_json::{Value as Json, json};

use crate::command::{Command, CommandError, Mask, to_json};
use crate::config::{Point, WriteWith};
use crate::connection::Connection;
use crate::identify::Collector;
use crate::net::{Bus, Net};
use crate::pdu::{Answer, Request};
use crate::unit::{Unit, World};
use crate::value;

/// Does what `command` asks; the JSON is the answer to it.
///
/// # Errors
/// It was not done, or not verifiably.
pub async fn carry_out<N: Net, B: Bus>(
    world: &World<'_, N, B>,
    unit: &mut Unit,
    connection: &mut Connection<N::Stream>,
    command: Command,
) -> Result<Json, CommandError> {
    let (place, write) = match command {
        Command::Raw(request) => return raw(world, unit, connection, request).await,
        Command::Set(place, value) => {
            let point = point(unit, place)?;
            (place, set(point, &value, unit.device.write_with)?)
        }
        Command::Mask(place, mask) => {
            let point = point(unit, place)?;
            (place, masked(point, mask))
        }
    };
    unit.ask(world, connection, &write.request).await?;
    let point = point(unit, place)?.clone();
    if !unit.device.verify {
        let value = write
            .holds
            .map_or(Json::Null, |words| shown(&point, &words));
        return Ok(json!({"ok": true, "value": value, "verified": false}));
    }
    let read = Request::Read {
        table: point.table,
        address: point.address,
        count: point.span(),
    };
    let words = match unit.ask(world, connection, &read).await {
        Ok(Answer::Registers(words)) => words,
        Ok(Answer::Bits(bits)) => bits.into_iter().map(u16::from).collect(),
        Ok(_) => Vec::new(),
        Err(error) => return Err(CommandError::Unverified(error)),
    };
    let value = shown(&point, &words);
    let differs = words
        .iter()
        .zip(&write.wanted)
        .any(|(got, (bits, wanted))| got & bits != wanted & bits);
    if differs || words.len() != write.wanted.len() {
        return Err(CommandError::NotVerified(value));
    }
    Ok(json!({"ok": true, "value": value, "verified": true}))
}

fn point(unit: &Unit, place: usize) -> Result<&Point, CommandError> {
    let point = unit.device.points.get(place);
    point.ok_or_else(|| CommandError::UnknownPoint(place.to_string()))
}

/// A value as a reading would show it.
fn shown(point: &Point, words: &[u16]) -> Json {
    to_json(&value::decode(point, words).0)
}

/// A write, and how to know that it was done.
struct Write {
    request: Request,
    /// For each register: which bits matter, and what they must be.
    wanted: Vec<(u16, u16)>,
    /// The registers as they are now, if the write says it all.
    holds: Option<Vec<u16>>,
}

fn set(point: &Point, value: &Value, with: WriteWith) -> Result<Write, CommandError> {
    let address = point.address;
    if point.is_partial() {
        return Ok(partial(point, value::encode_part(point, value)?));
    }
    let words = value::encode(point, value)?;
    let single = with == WriteWith::Single;
    let request = match words.as_slice() {
        [word] if point.table.is_bits() && single => Request::WriteCoil {
            address,
            on: *word != 0,
        },
        _ if point.table.is_bits() => Request::WriteCoils {
            address,
            bits: words.iter().map(|word| *word != 0).collect(),
        },
        [value] if single => Request::WriteRegister {
            address,
            value: *value,
        },
        _ => Request::WriteRegisters {
            address,
            values: words.clone(),
        },
    };
    Ok(Write {
        request,
        wanted: words.iter().map(|word| (u16::MAX, *word)).collect(),
        holds: Some(words),
    })
}

/// Part of a register is written with a mask, so that the device itself leaves
/// the other part alone: reading and writing back could undo someone's change.
fn partial(point: &Point, part: value::Part) -> Write {
    Write {
        request: Request::MaskWrite {
            address: point.address,
            and: !part.bits,
            or: part.value,
        },
        wanted: vec![(part.bits, part.value)],
        holds: Some(vec![part.value]),
    }
}

fn masked(point: &Point, mask: Mask) -> Write {
    Write {
        request: Request::MaskWrite {
            address: point.address,
            and: mask.and,
            or: mask.or,
        },
        wanted: vec![(!mask.and, mask.or)],
        holds: None,
    }
}

/// A raw request; identification is asked for to its end.
async fn raw<N: Net, B: Bus>(
    world: &World<'_, N, B>,
    unit: &mut Unit,
    connection: &mut Connection<N::Stream>,
    request: Request,
) -> Result<Json, CommandError> {
    let function = request.function();
    let result = match unit.ask(world, connection, &request).await? {
        Answer::Bits(bits) => json!({"ok": true, "function": function, "bits": bits}),
        Answer::Registers(words) => json!({"ok": true, "function": function, "registers": words}),
        Answer::Done => json!({"ok": true, "function": function}),
        Answer::Page(page) => {
            let Request::Identify { category, .. } = request else {
                return Ok(json!({"ok": true, "function": function}));
            };
            let mut collector = Collector::new(category);
            let mut next = collector.take(page);
            while let Some(request) = next {
                next = match unit.ask(world, connection, &request).await? {
                    Answer::Page(page) => collector.take(page),
                    _ => None,
                };
            }
            json!({"ok": true, "function": function, "objects": collector.into_objects()})
        }
    };
    Ok(result)
}
