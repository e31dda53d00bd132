use proptest::prelude::*;
use serde_json::json;

use super::*;

fn point(fields: serde_json::Value) -> Point {
    let mut all = json!({"name": "p", "table": "holding", "address": 0, "writable": true});
    all.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let config = json!({"devices": [
        {"name": "d", "site": "s", "address": "h:1", "points": [all]},
    ]});
    let config: crate::config::Config = serde_json::from_value(config).unwrap();
    let mut device = config.devices().unwrap().remove(0);
    device.points.remove(0)
}

fn check(fields: serde_json::Value, registers: &[u16], value: Value) {
    let (got, quality) = decode(&point(fields.clone()), registers);
    assert_eq!((got, quality), (value, Quality::Good), "{fields}");
}

#[test]
fn every_type_is_read() {
    let number = Value::Number;
    check(json!({"type": "bool"}), &[2], Value::Bool(true));
    check(
        json!({"type": "bit", "bit": 15}),
        &[0x8000],
        Value::Bool(true),
    );
    check(
        json!({"type": "bit", "bit": 0}),
        &[0x8000],
        Value::Bool(false),
    );
    check(json!({"type": "u8h"}), &[0xfe01], number(254.0));
    check(json!({"type": "u8l"}), &[0xfe01], number(1.0));
    check(json!({"type": "i8h"}), &[0xfe01], number(-2.0));
    check(json!({"type": "i8l"}), &[0x01fe], number(-2.0));
    check(json!({"type": "u16"}), &[0xffff], number(65535.0));
    check(json!({"type": "i16"}), &[0xffff], number(-1.0));
    check(json!({"type": "u32"}), &[1, 2], number(65538.0));
    check(json!({"type": "i32"}), &[0xffff, 0xfffe], number(-2.0));
    check(
        json!({"type": "u64"}),
        &[0, 1, 0, 0],
        number(4_294_967_296.0),
    );
    check(
        json!({"type": "i64"}),
        &[0xffff, 0xffff, 0xffff, 0xfffd],
        number(-3.0),
    );
    check(json!({"type": "f16"}), &[0x3e00], number(1.5));
    check(
        json!({"type": "f32"}),
        &[0x42f6, 0xe979],
        number(f64::from(123.456_f32)),
    );
    check(json!({"type": "f64"}), &[0x3ff8, 0, 0, 0], number(1.5));
    check(json!({"type": "bcd16"}), &[0x1234], number(1234.0));
    check(
        json!({"type": "bcd32"}),
        &[0x1234, 0x5678],
        number(12_345_678.0),
    );
    check(
        json!({"type": "string", "length": 6}),
        &[0x5365, 0x6c76, 0x0041],
        Value::Text("Selv".to_owned()),
    );
}

#[test]
fn every_order_is_read() {
    for (order, registers) in [
        ("ABCD", [0x0102, 0x0304]),
        ("BADC", [0x0201, 0x0403]),
        ("CDAB", [0x0304, 0x0102]),
        ("DCBA", [0x0403, 0x0201]),
    ] {
        check(
            json!({"type": "u32", "order": order}),
            &registers,
            Value::Number(f64::from(0x0102_0304)),
        );
    }
    check(
        json!({"type": "u64", "order": "CDAB"}),
        &[4, 3, 2, 1],
        Value::Number(281_483_566_841_860.0),
    );
    // The words of a text keep their places.
    check(
        json!({"type": "string", "length": 4, "order": "DCBA"}),
        &[0x6261, 0x6463],
        Value::Text("abcd".to_owned()),
    );
}

#[test]
fn numbers_are_scaled_and_sentinels_are_bad() {
    let fields = json!({"type": "i16", "scale": 0.1, "offset": -40.0, "not_implemented": "0x8000"});
    let (value, _) = decode(&point(fields.clone()), &[615]);
    assert_eq!(value, Value::Number(21.5));
    let (value, quality) = decode(&point(fields), &[0x8000]);
    assert_eq!(value, Value::Missing);
    assert_eq!(
        quality,
        Quality::Bad("not implemented by the device".to_owned())
    );
}

#[test]
fn what_is_no_number_is_bad() {
    for (fields, registers) in [
        (json!({"type": "f32"}), vec![0x7fc0, 0]),
        (json!({"type": "bcd16"}), vec![0x12a4]),
        (json!({"type": "string", "length": 2}), vec![0xff41]),
        (json!({"type": "u32"}), vec![1]),
    ] {
        let (value, quality) = decode(&point(fields.clone()), &registers);
        assert!(
            matches!((value, quality), (Value::Missing, Quality::Bad(_))),
            "{fields}"
        );
    }
}

#[test]
fn a_number_beyond_53_bits_is_uncertain() {
    let (_, quality) = decode(&point(json!({"type": "u64"})), &[0xffff; 4]);
    assert_eq!(quality, Quality::Uncertain("rounded to 53 bits".to_owned()));
}

#[test]
fn what_does_not_fit_is_not_written() {
    for (fields, value) in [
        (json!({"type": "u16"}), Value::Number(-1.0)),
        (json!({"type": "u16"}), Value::Number(65536.0)),
        (json!({"type": "u16"}), Value::Number(f64::NAN)),
        (json!({"type": "i32"}), Value::Number(2_147_483_648.0)),
        (json!({"type": "f32"}), Value::Number(1e300)),
        (json!({"type": "f16"}), Value::Number(1e5)),
        (json!({"type": "bcd16"}), Value::Number(10_000.0)),
        (json!({"type": "u16"}), Value::Bool(true)),
        (json!({"type": "bool"}), Value::Number(2.0)),
        (
            json!({"type": "string", "length": 2}),
            Value::Text("abc".to_owned()),
        ),
        (
            json!({"type": "string", "length": 4}),
            Value::Text("\u{e9}".to_owned()),
        ),
    ] {
        assert!(encode(&point(fields.clone()), &value).is_err(), "{fields}");
    }
}

const NUMERIC: [&str; 11] = [
    "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64", "bcd16", "bcd32",
];
const ORDERS: [&str; 4] = ["ABCD", "BADC", "CDAB", "DCBA"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_read_again(
        kind in prop::sample::select(&NUMERIC[..]),
        order in prop::sample::select(&ORDERS[..]),
        number in prop_oneof![0..1024_i32, any::<i32>()],
    ) {
        let point = point(json!({"type": kind, "order": order}));
        let number = f64::from(number);
        if let Ok(registers) = encode(&point, &Value::Number(number)) {
            let (value, _) = decode(&point, &registers);
            let Value::Number(back) = value else { panic!("{value:?}") };
            let error = match kind { "f16" => 1e-3, "f32" => 1e-6, _ => 0.0 };
            prop_assert!((back - number).abs() <= error * number.abs(), "{back} {number}");
        } else {
            prop_assert!(!(0.0..=9999.0).contains(&number));
        }
    }

    #[test]
    fn any_registers_are_a_value_or_bad(
        kind in prop::sample::select(&NUMERIC[..]),
        registers in prop::collection::vec(any::<u16>(), 0..6),
    ) {
        let (value, quality) = decode(&point(json!({"type": kind})), &registers);
        match value {
            Value::Number(number) => prop_assert!(number.is_finite()),
            Value::Missing => prop_assert!(matches!(quality, Quality::Bad(_))),
            other => panic!("{other:?}"),
        }
    }
}
