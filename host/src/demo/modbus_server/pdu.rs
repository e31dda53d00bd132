//! One request, one answer.
//!
//! Checks go in the order of the specification's state diagrams: function,
//! quantity (exception 3), address (exception 2), value.

use crate::demo::machine::Machine;
use crate::demo::registers::TableError;

/// The exception codes used, `Illegal` left out (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exception {
    Function = 1,
    Address = 2,
    Value = 3,
}

impl From<TableError> for Exception {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Address => Self::Address,
            TableError::Value => Self::Value,
        }
    }
}

type Answer = Result<Vec<u8>, Exception>;

/// The answer to `request`, an exception included; `None` if it is empty.
pub(super) fn answer(machine: &mut Machine, request: &[u8]) -> Option<Vec<u8>> {
    let (&function, body) = request.split_first()?;
    let answer = match function {
        1 | 2 => read_bits(machine, function, body),
        3 | 4 => read_registers(machine, function, body),
        5 => write_coil(machine, body),
        6 => write_register(machine, body),
        15 => write_coils(machine, body),
        16 => write_registers(machine, body),
        22 => mask_register(machine, body),
        23 => read_write(machine, body),
        43 => identify(machine, body),
        _ => Err(Exception::Function),
    };
    let mut reply = vec![function];
    match answer {
        Ok(body) => reply.extend_from_slice(&body),
        Err(exception) => reply = vec![function | 0x80, exception as u8],
    }
    Some(reply)
}

fn words<const N: usize>(body: &[u8]) -> Result<[u16; N], Exception> {
    if body.len() != 2 * N {
        return Err(Exception::Value);
    }
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(body.chunks_exact(2)) {
        *word = big_endian(bytes);
    }
    Ok(words)
}

fn big_endian(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |word, byte| (word << 8) | u16::from(*byte))
}

/// A byte count and the bytes.
fn counted(bytes: Vec<u8>) -> Answer {
    let count = u8::try_from(bytes.len()).map_err(|_| Exception::Value)?;
    Ok([vec![count], bytes].concat())
}

fn within(count: u16, max: u16) -> Result<(), Exception> {
    match (1..=max).contains(&count) {
        true => Ok(()),
        false => Err(Exception::Value),
    }
}

fn read_bits(machine: &mut Machine, function: u8, body: &[u8]) -> Answer {
    let [address, count] = words(body)?;
    within(count, 2000)?;
    let registers = machine.registers();
    let bits = match function {
        1 => registers.coils(address, count)?,
        _ => registers.discrete(address, count)?,
    };
    let pack = |bits: &[bool]| {
        let bit = |byte, (place, bit): (u32, &bool)| byte | (u8::from(*bit) << place);
        (0..).zip(bits).fold(0, bit)
    };
    counted(bits.chunks(8).map(pack).collect())
}

fn read_registers(machine: &mut Machine, function: u8, body: &[u8]) -> Answer {
    let [address, count] = words(body)?;
    within(count, 125)?;
    let registers = machine.registers();
    let values = match function {
        3 => registers.holding(address, count)?,
        _ => registers.inputs(address, count)?.to_vec(),
    };
    counted(values.into_iter().flat_map(u16::to_be_bytes).collect())
}

fn write_coil(machine: &mut Machine, body: &[u8]) -> Answer {
    let [address, value] = words(body)?;
    let bit = match value {
        0xff00 => true,
        0 => false,
        _ => return Err(Exception::Value),
    };
    machine.registers().write_coils(address, &[bit])?;
    Ok(body.to_vec())
}

fn write_register(machine: &mut Machine, body: &[u8]) -> Answer {
    let [address, value] = words(body)?;
    machine.registers().write_holding(address, &[value])?;
    Ok(body.to_vec())
}

type WithData<'a> = (&'a [u8], [u16; 2], &'a [u8]);

/// Splits a body into two words and the bytes that a byte count announces.
fn with_data(body: &[u8]) -> Result<WithData<'_>, Exception> {
    let (head, rest) = body.split_at_checked(4).ok_or(Exception::Value)?;
    let (&count, data) = rest.split_first().ok_or(Exception::Value)?;
    if data.len() != usize::from(count) {
        return Err(Exception::Value);
    }
    Ok((head, words(head)?, data))
}

fn write_coils(machine: &mut Machine, body: &[u8]) -> Answer {
    let (head, [address, count], data) = with_data(body)?;
    within(count, 1968)?;
    let count = usize::from(count);
    if data.len() != count.div_ceil(8) {
        return Err(Exception::Value);
    }
    let bits = data
        .iter()
        .flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1));
    let bits: Vec<bool> = bits.take(count).collect();
    machine.registers().write_coils(address, &bits)?;
    Ok(head.to_vec())
}

fn registers_of(data: &[u8], count: u16) -> Result<Vec<u16>, Exception> {
    if data.len() != 2 * usize::from(count) {
        return Err(Exception::Value);
    }
    Ok(data.chunks_exact(2).map(big_endian).collect())
}

fn write_registers(machine: &mut Machine, body: &[u8]) -> Answer {
    let (head, [address, count], data) = with_data(body)?;
    within(count, 123)?;
    let values = registers_of(data, count)?;
    machine.registers().write_holding(address, &values)?;
    Ok(head.to_vec())
}

fn mask_register(machine: &mut Machine, body: &[u8]) -> Answer {
    let [address, and, or] = words(body)?;
    let registers = machine.registers();
    let current = registers.holding(address, 1)?;
    let current = current.first().copied().unwrap_or_default();
    let masked = (current & and) | (or & !and);
    registers.write_holding(address, &[masked])?;
    Ok(body.to_vec())
}

fn read_write(machine: &mut Machine, body: &[u8]) -> Answer {
    let (read, write) = body.split_at_checked(4).ok_or(Exception::Value)?;
    let [read_address, read_count] = words(read)?;
    let (_, [address, count], data) = with_data(write)?;
    within(read_count, 125)?;
    within(count, 121)?;
    let values = registers_of(data, count)?;
    let registers = machine.registers();
    // The write comes first (section 6.17), but not if the read must fail.
    registers.holding(read_address, read_count)?;
    registers.write_holding(address, &values)?;
    let values = registers.holding(read_address, read_count)?;
    counted(values.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// Read Device Identification (section 6.21): the basic objects, also one by one.
fn identify(machine: &Machine, body: &[u8]) -> Answer {
    let [mei, code, first] = body else {
        return Err(Exception::Value);
    };
    if *mei != 14 {
        return Err(Exception::Function);
    }
    let objects: [(u8, &str); 3] = [
        (0, "Selvedge"),
        (1, machine.kind().short()),
        (2, env!("CARGO_PKG_VERSION")),
    ];
    let known = objects.iter().any(|(id, _)| id == first);
    let wanted = |id: u8| match code {
        4 => id == *first,
        // An unknown start means from the beginning.
        _ => id >= if known { *first } else { 0 },
    };
    if !(1..=4).contains(code) {
        return Err(Exception::Value);
    }
    if *code == 4 && !known {
        return Err(Exception::Address);
    }
    let chosen = objects.iter().filter(|(id, _)| wanted(*id));
    let mut reply = vec![14, *code, 0x81, 0, 0, 0];
    let mut count = 0_u8;
    for (id, text) in chosen {
        let length = u8::try_from(text.len()).map_err(|_| Exception::Value)?;
        reply.extend([*id, length]);
        reply.extend_from_slice(text.as_bytes());
        count += 1;
    }
    if let Some(place) = reply.get_mut(5) {
        *place = count;
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::answer;
    use crate::demo::{Kind, Machine};

    fn check(machine: &mut Machine, request: &[u8], expected: &[u8]) {
        let reply = answer(machine, request).unwrap();
        assert_eq!(reply, expected, "{request:?}");
    }

    #[test]
    fn registers_are_written_read_and_masked() {
        let pump = &mut Machine::new(Kind::Pump, 1);
        check(pump, &[3, 0, 0, 0, 1], &[3, 2, 0x09, 0x60]);
        check(pump, &[6, 0, 0, 0x05, 0xdc], &[6, 0, 0, 0x05, 0xdc]);
        check(pump, &[16, 0, 0, 0, 1, 2, 0x01, 0xf4], &[16, 0, 0, 0, 1]);
        check(pump, &[3, 0, 0, 0, 1], &[3, 2, 0x01, 0xf4]);
        let mask = [22, 0, 0, 0xff, 0x0f, 0x00, 0x20];
        check(pump, &mask, &mask);
        check(pump, &[3, 0, 0, 0, 1], &[3, 2, 0x01, 0x24]);
        let both = [23, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0x03, 0xe8];
        check(pump, &both, &[23, 2, 0x03, 0xe8]);
    }

    #[test]
    fn coils_are_written_and_read() {
        let press = &mut Machine::new(Kind::Press, 1);
        check(press, &[1, 0, 0, 0, 1], &[1, 1, 0]);
        check(press, &[5, 0, 0, 0xff, 0], &[5, 0, 0, 0xff, 0]);
        check(press, &[1, 0, 0, 0, 1], &[1, 1, 1]);
        check(press, &[15, 0, 0, 0, 1, 1, 0], &[15, 0, 0, 0, 1]);
        check(press, &[1, 0, 0, 0, 1], &[1, 1, 0]);
        check(press, &[2, 0, 0, 0, 1], &[2, 1, 0]);
    }

    #[test]
    fn what_cannot_be_done_is_an_exception() {
        let pump = &mut Machine::new(Kind::Pump, 1);
        check(pump, &[7], &[0x87, 1]);
        check(pump, &[3, 0, 1, 0, 1], &[0x83, 2]);
        check(pump, &[4, 0xff, 0xff, 0, 125], &[0x84, 2]);
        check(pump, &[4, 0, 0, 0, 126], &[0x84, 3]);
        check(pump, &[4, 0, 0, 0, 0], &[0x84, 3]);
        check(pump, &[4, 0, 0], &[0x84, 3]);
        check(pump, &[5, 0, 0, 0x12, 0x34], &[0x85, 3]);
        check(pump, &[6, 0, 0, 0xff, 0xff], &[0x86, 3]);
        check(pump, &[16, 0, 0, 0, 1, 4, 0, 1, 0, 2], &[0x90, 3]);
        check(pump, &[15, 0, 0, 0, 9, 1, 0], &[0x8f, 3]);
        check(pump, &[43, 14, 1], &[0xab, 3]);
        check(pump, &[43, 13, 0, 0], &[0xab, 1]);
        check(pump, &[43, 14, 4, 9], &[0xab, 2]);
    }

    #[test]
    fn a_machine_says_what_it_is() {
        let oven = &mut Machine::new(Kind::Oven, 1);
        let reply = answer(oven, &[43, 14, 1, 0]).unwrap();
        assert_eq!(reply[..7], [43, 14, 1, 0x81, 0, 0, 3]);
        assert_eq!(reply[7..17], *b"\x00\x08Selvedge");
        check(
            oven,
            &[43, 14, 4, 1],
            b"\x2b\x0e\x04\x81\x00\x00\x01\x01\x04oven",
        );
    }

    proptest! {
        #[test]
        fn any_request_is_answered_in_a_frame(request: Vec<u8>, start in any::<[u8; 3]>()) {
            let mut pump = Machine::new(Kind::Pump, 1);
            let request = [&start[..], &request].concat();
            let reply = answer(&mut pump, &request).unwrap();
            assert!((2..=253).contains(&reply.len()));
        }
    }
}
