use proptest::prelude::*;

use super::*;

fn read(table: Table, address: u16, count: u16) -> Request {
    Request::Read {
        table,
        address,
        count,
    }
}

/// The examples of the specification, one for each function.
#[test]
fn the_examples_of_the_specification_are_encoded() {
    let cases: [(Request, &[u8]); 9] = [
        (read(Table::Coil, 0x13, 19), &[1, 0, 0x13, 0, 0x13]),
        (read(Table::Discrete, 0xc4, 22), &[2, 0, 0xc4, 0, 0x16]),
        (read(Table::Holding, 0x6b, 3), &[3, 0, 0x6b, 0, 3]),
        (read(Table::Input, 8, 1), &[4, 0, 8, 0, 1]),
        (
            Request::WriteCoil {
                address: 0xac,
                on: true,
            },
            &[5, 0, 0xac, 0xff, 0],
        ),
        (
            Request::WriteRegister {
                address: 1,
                value: 3,
            },
            &[6, 0, 1, 0, 3],
        ),
        (
            Request::WriteCoils {
                address: 0x13,
                bits: [1, 0, 1, 1, 0, 0, 1, 1, 1, 0].map(|bit| bit == 1).to_vec(),
            },
            &[15, 0, 0x13, 0, 0xa, 2, 0xcd, 1],
        ),
        (
            Request::WriteRegisters {
                address: 1,
                values: vec![0xa, 0x102],
            },
            &[16, 0, 1, 0, 2, 4, 0, 0xa, 1, 2],
        ),
        (
            Request::MaskWrite {
                address: 4,
                and: 0xf2,
                or: 0x25,
            },
            &[22, 0, 4, 0, 0xf2, 0, 0x25],
        ),
    ];
    for (request, bytes) in cases {
        assert_eq!(request.encode().unwrap(), bytes, "{request:?}");
    }
    let exchange = Request::Exchange {
        address: 3,
        count: 6,
        write_address: 0xe,
        values: vec![0xff; 3],
    };
    assert_eq!(
        exchange.encode().unwrap(),
        [23, 0, 3, 0, 6, 0, 0xe, 0, 3, 6, 0, 0xff, 0, 0xff, 0, 0xff]
    );
    let identify = Request::Identify {
        category: 1,
        object: 0,
    };
    assert_eq!(identify.encode().unwrap(), [43, 14, 1, 0]);
}

#[test]
fn bits_come_lowest_first_and_no_more_than_asked() {
    let answer = read(Table::Coil, 0, 10)
        .decode(&[1, 2, 0xcd, 0xff])
        .unwrap();
    let bits = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1].map(|bit| bit == 1).to_vec();
    assert_eq!(answer, Answer::Bits(bits));
}

#[test]
fn registers_must_be_as_many_as_asked() {
    let request = read(Table::Holding, 0, 4);
    // A reply that says 8 bytes and carries 4, and one that says 4.
    assert!(request.decode(&[3, 8, 0, 1, 0, 2]).is_err());
    assert!(request.decode(&[3, 4, 0, 1, 0, 2]).is_err());
    assert!(request.decode(&[3, 7, 0, 1, 0, 2, 0, 3, 0]).is_err());
    let answer = request.decode(&[3, 8, 0, 1, 0, 2, 0, 3, 0, 4]).unwrap();
    assert_eq!(answer, Answer::Registers(vec![1, 2, 3, 4]));
}

#[test]
fn an_exception_of_any_function_is_an_exception() {
    for function in [0x83, 0x80, 0xff] {
        assert_eq!(
            read(Table::Holding, 0, 1).decode(&[function, 2]),
            Err(AnswerError::Exception(2))
        );
    }
}

#[test]
fn a_write_must_be_echoed() {
    let request = Request::WriteRegister {
        address: 1,
        value: 3,
    };
    assert_eq!(request.decode(&[6, 0, 1, 0, 3]), Ok(Answer::Done));
    assert_eq!(
        request.decode(&[6, 0, 1, 0, 4]),
        Err(AnswerError::Contradiction)
    );
    assert!(request.decode(&[6, 0, 1]).is_err());
}

#[test]
fn what_no_frame_can_carry_is_refused() {
    assert!(read(Table::Holding, 0, 126).encode().is_err());
    assert!(read(Table::Coil, 0, 2001).encode().is_err());
    assert!(read(Table::Coil, 0, 0).encode().is_err());
    assert_eq!(
        read(Table::Holding, 0xffff, 2).encode(),
        Err(RequestError::Beyond)
    );
    assert!(read(Table::Holding, 0xffff, 1).encode().is_ok());
}

pub(crate) fn any_request() -> impl Strategy<Value = Request> {
    let table = prop_oneof![
        Just(Table::Coil),
        Just(Table::Discrete),
        Just(Table::Holding),
        Just(Table::Input)
    ];
    prop_oneof![
        (table, any::<u16>(), 0..2100_u16)
            .prop_map(|(table, address, count)| read(table, address, count)),
        (any::<u16>(), any::<bool>()).prop_map(|(address, on)| Request::WriteCoil { address, on }),
        (any::<u16>(), any::<u16>())
            .prop_map(|(address, value)| Request::WriteRegister { address, value }),
        (any::<u16>(), prop::collection::vec(any::<bool>(), 0..2100))
            .prop_map(|(address, bits)| Request::WriteCoils { address, bits }),
        (any::<u16>(), prop::collection::vec(any::<u16>(), 0..130))
            .prop_map(|(address, values)| Request::WriteRegisters { address, values }),
        any::<(u16, u16, u16)>().prop_map(|(address, and, or)| Request::MaskWrite {
            address,
            and,
            or
        }),
        any::<(u8, u8)>().prop_map(|(category, object)| Request::Identify { category, object }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_answer_is_read_or_refused(
        request in any_request(),
        mut pdu in prop::collection::vec(any::<u8>(), 0..260),
        fits in any::<bool>(),
    ) {
        // Half of them get past the first check.
        if fits && let Some(first) = pdu.first_mut() {
            *first = request.function();
        }
        let wanted = match &request {
            Request::Read { count, .. } => usize::from(*count),
            _ => 0,
        };
        match request.decode(&pdu) {
            Ok(Answer::Bits(bits)) => prop_assert_eq!(bits.len(), wanted),
            Ok(Answer::Registers(registers)) => prop_assert_eq!(registers.len(), wanted),
            _ => {}
        }
    }

    #[test]
    fn every_request_fits_a_frame_or_is_refused(request in any_request()) {
        if let Ok(pdu) = request.encode() {
            prop_assert!((2..=253).contains(&pdu.len()));
        }
    }
}
