use super::*;
use proptest::prelude::*;

const NOW: f64 = 1_700_000_000.0;

fn entries(json: &str) -> Vec<Entry> {
    parse_entries(json.as_bytes(), NOW).unwrap()
}

#[track_caller]
fn refused(json: &str, why: &str) {
    let error = parse(json.as_bytes(), NOW).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

/// Checks name, unit, value and time of each record.
#[track_caller]
fn check(json: &str, expected: &[(&str, &str, Value, f64)]) {
    let records = parse(json.as_bytes(), NOW).unwrap();
    let found: Vec<_> = records
        .iter()
        .map(|record| {
            let unit = record.unit.as_deref().unwrap_or_default();
            (
                record.name.as_str(),
                unit,
                record.value.clone(),
                record.time,
            )
        })
        .collect();
    assert_eq!(found, expected);
    // What was resolved and written is read the same again.
    assert_eq!(parse(&write(&records), 0.0).unwrap(), records);
}

fn number(value: f64) -> Value {
    Value::Number(value)
}

const SENSOR: &str = "urn:dev:ow:10e2073a01080063";

#[test]
fn rfc_8428_5_1_1_single_data_point() {
    let json = r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#;
    check(json, &[(SENSOR, "Cel", number(23.1), NOW)]);
}

#[test]
fn rfc_8428_5_1_2_multiple_data_points() {
    let json = r#"[
        {"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
        {"n":"current","u":"A","v":1.2}]"#;
    let (voltage, current) = (format!("{SENSOR}:voltage"), format!("{SENSOR}:current"));
    let expected = [
        (voltage.as_str(), "V", number(120.1), NOW),
        (current.as_str(), "A", number(1.2), NOW),
    ];
    check(json, &expected);

    let json = r#"[
        {"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,
         "bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
        {"n":"current","t":-5,"v":1.2},
        {"n":"current","t":-4,"v":1.3},
        {"n":"current","v":1.7}]"#;
    let base = 1_276_020_076.001;
    let (voltage, current) = (
        "urn:dev:ow:10e2073a0108006:voltage",
        "urn:dev:ow:10e2073a0108006:current",
    );
    let expected = [
        (voltage, "V", number(120.1), base),
        (current, "A", number(1.2), base - 5.0),
        (current, "A", number(1.3), base - 4.0),
        (current, "A", number(1.7), base),
    ];
    check(json, &expected);
}

#[test]
fn rfc_8428_5_1_3_multiple_measurements_resolve_as_in_5_1_4() {
    let json = r#"[
        {"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
        {"u":"lon","v":24.30621},
        {"u":"lat","v":60.07965},
        {"t":60,"v":20.3},
        {"u":"lon","t":60,"v":24.30622},
        {"u":"%EL","t":150,"v":98}]"#;
    let expected = [
        (SENSOR, "%RH", number(20.0), 1.320067464e9),
        (SENSOR, "lon", number(24.30621), 1.320067464e9),
        (SENSOR, "lat", number(60.07965), 1.320067464e9),
        (SENSOR, "%RH", number(20.3), 1.320067524e9),
        (SENSOR, "lon", number(24.30622), 1.320067524e9),
        (SENSOR, "%EL", number(98.0), 1.320067614e9),
    ];
    check(json, &expected);
}

#[test]
fn rfc_8428_5_1_5_multiple_data_types() {
    let json = r#"[
        {"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
        {"n":"label","vs":"Machine Room"},
        {"n":"open","vb":false},
        {"n":"nfc-reader","vd":"aGkgCg"}]"#;
    let name = |end: &str| format!("{SENSOR}:{end}");
    let (temp, label) = (name("temp"), name("label"));
    let (open, reader) = (name("open"), name("nfc-reader"));
    let expected = [
        (temp.as_str(), "Cel", number(23.1), NOW),
        (
            label.as_str(),
            "",
            Value::Text("Machine Room".to_owned()),
            NOW,
        ),
        (open.as_str(), "", Value::Bool(false), NOW),
        (reader.as_str(), "", Value::Data(b"hi \n".to_vec()), NOW),
    ];
    check(json, &expected);
}

#[test]
fn rfc_8428_5_1_6_a_later_base_name_replaces_the_former() {
    let json = r#"[
        {"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
        {"n":"humidity","u":"%RH","v":30},
        {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
        {"n":"humidity","u":"%RH","v":67}]"#;
    let expected = [
        (
            "2001:db8::2/temperature",
            "Cel",
            number(25.2),
            1.320078429e9,
        ),
        ("2001:db8::2/humidity", "%RH", number(30.0), 1.320078429e9),
        (
            "2001:db8::1/temperature",
            "Cel",
            number(12.3),
            1.320078429e9,
        ),
        ("2001:db8::1/humidity", "%RH", number(67.0), 1.320078429e9),
    ];
    check(json, &expected);
}

#[test]
fn times_below_two_to_the_28_count_from_now() {
    let json = r#"[{"n":"a","v":1,"t":-5},{"n":"a","v":1,"t":268435455},
        {"n":"a","v":1,"t":268435456}]"#;
    let one = || number(1.0);
    let expected = [
        ("a", "", one(), NOW - 5.0),
        ("a", "", one(), NOW + 268_435_455.0),
        ("a", "", one(), 268_435_456.0),
    ];
    let records = parse(json.as_bytes(), NOW).unwrap();
    for (record, (_, _, _, time)) in records.iter().zip(expected) {
        assert_eq!(record.time, time);
    }
    refused(r#"[{"n":"a","bt":1e308,"t":1e308,"v":1}]"#, "not finite");
}

#[test]
fn base_values_and_sums_are_added() {
    let json = r#"[{"bn":"m","bv":100,"bs":10,"v":5,"s":2},{"v":-1},{"n":"x","ut":30},{"n":"y","vb":true}]"#;
    let found = entries(json);
    let parts: Vec<_> = found
        .iter()
        .map(|entry| (entry.record.value.clone(), entry.sum, entry.update_time))
        .collect();
    let expected = [
        (number(105.0), Some(12.0), None),
        (number(99.0), Some(10.0), None),
        (number(100.0), Some(10.0), Some(30.0)),
        (Value::Bool(true), Some(10.0), None),
    ];
    assert_eq!(parts, expected);
    assert_eq!(parse_entries(&write_entries(&found), 0.0).unwrap(), found);
}

#[test]
fn a_record_may_have_only_a_sum() {
    let json = r#"[{"n":"meter","u":"kWh","s":17.5},{"n":"power","v":2}]"#;
    let found = entries(json);
    assert_eq!(
        (&found[0].record.value, found[0].sum),
        (&Value::Missing, Some(17.5))
    );
    let records = parse(json.as_bytes(), NOW).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].name, "power");
}

#[test]
fn a_record_that_only_sets_base_fields_is_no_reading() {
    let json = r#"[{"bn":"m/","bt":1.3e9,"bver":10},{"n":"a","v":1}]"#;
    check(json, &[("m/a", "", number(1.0), 1.3e9)]);
}

#[test]
fn unknown_fields_are_ignored_unless_they_must_be_understood() {
    let json = r#"[{"n":"a","v":1,"x":{"deep":[1,2]},"_y":null}]"#;
    check(json, &[("a", "", number(1.0), NOW)]);
    refused(r#"[{"n":"a","v":1,"mtu_":3}]"#, "`mtu_` must be understood");
    refused(r#"[{"n":"a","v":1},{"bv_":3}]"#, "`bv_` must be understood");
}

#[test]
fn a_version_not_known_or_not_the_same_is_refused() {
    refused(r#"[{"bver":11,"n":"a","v":1}]"#, "version 11 is not known");
    refused(r#"[{"bver":0,"n":"a","v":1}]"#, "version 0 is not known");
    refused(
        r#"[{"bver":9,"n":"a","v":1},{"bver":10,"n":"a","v":1}]"#,
        "versions 9 and 10",
    );
    check(
        r#"[{"bver":10,"n":"a","v":1}]"#,
        &[("a", "", number(1.0), NOW)],
    );
}

#[test]
fn what_is_no_pack_is_refused() {
    refused("[]", "0 records");
    refused("{}", "expected a sequence");
    refused(r#"[{"n":"a","v":1,"vs":"x"}]"#, "more than one value");
    refused(r#"[{"n":"a","v":1,"vd":"eA"}]"#, "more than one value");
    refused(r#"[{"n":"a","v":1,"v":2}]"#, "duplicate field `v`");
    refused(r#"[{"n":"a","vd":"?"}]"#, "not base64url");
    refused(r#"[{"n":"a","v":"1"}]"#, "invalid type");
    refused(r#"[{"v":1}]"#, "is not a record's name");
    refused(r#"[{"n":"a b","v":1}]"#, "`a b` is not a record's name");
    refused(r#"[{"n":"/a","v":1}]"#, "`/a` is not a record's name");
    let many = format!("[{}{{\"n\":\"a\"}}]", r#"{"n":"a"},"#.repeat(4096));
    refused(&many, "4097 records");
}

#[test]
fn the_quality_goes_both_ways() {
    let json = r#"[{"n":"a","v":1,"q":"uncertain","why":"drifts"},{"n":"b","q":"bad","why":"open"},
        {"n":"c"},{"n":"d","v":1,"q":"good"},{"n":"e","v":1,"q":"weird"}]"#;
    let records = parse(json.as_bytes(), NOW).unwrap();
    let qualities: Vec<_> = records
        .iter()
        .map(|record| record.quality.clone())
        .collect();
    let expected = [
        Quality::Uncertain("drifts".to_owned()),
        Quality::Bad("open".to_owned()),
        Quality::Bad("no value".to_owned()),
        Quality::Good,
        Quality::Bad(String::new()),
    ];
    assert_eq!(qualities, expected);
    let numbers: Vec<_> = records.iter().map(Record::number).collect();
    assert_eq!(numbers, [Some(1.0), None, None, Some(1.0), None]);
    assert_eq!(parse(&write(&records), 0.0).unwrap(), records);
}

#[test]
fn a_number_that_json_cannot_say_is_written_as_missing() {
    let mut record = parse(br#"[{"n":"a","v":1}]"#, NOW).unwrap().remove(0);
    record.value = number(f64::NAN);
    let read_back = parse(&write(&[record]), 0.0).unwrap();
    assert_eq!(read_back[0].value, Value::Missing);
    assert_eq!(read_back[0].number(), None);
}

/// Times: those long ago would count from now.
fn decimal() -> impl Strategy<Value = f64> {
    any::<i32>().prop_map(|thousandths| f64::from(thousandths) / 1e3)
}

/// Whatever a machine may say, to the last place.
fn reading() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has no others", |number| number.is_finite())
}

fn any_value() -> impl Strategy<Value = super::Value> {
    prop_oneof![
        reading().prop_map(number),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Data),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(
        name in "[a-z0-9][a-zA-Z0-9:./_-]{0,20}",
        unit in any::<Option<String>>(),
        value in any_value(),
        later in decimal(),
        (sum, update_time) in (proptest::option::of(decimal()), proptest::option::of(decimal())),
    ) {
        let time = NOW + later.round();
        let quality = Quality::Uncertain("why".to_owned());
        let record = Record { name, unit, value, time, quality };
        let entry = Entry { record, sum, update_time };
        let entries = std::slice::from_ref(&entry);
        prop_assert_eq!(parse_entries(&write_entries(entries), NOW).unwrap(), entries);
    }

    #[test]
    fn no_payload_panics(
        bytes in any::<Vec<u8>>(),
        fields in prop::collection::vec(("bn|bt|bu|bv|bs|bver|n|u|v|vb|vs|vd|s|t|ut|q|why|x_?",
            r#"-?[0-9]{1,3}(e[0-9]{1,3})?|"[a-zA-Z0-9=_-]{0,8}"|true|null"#), 0..8),
    ) {
        assert!(parse(&bytes, NOW).is_err() || bytes.starts_with(b"["));
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let json = format!("[{{{}}}]", fields.join(","));
        if let Ok(records) = parse(json.as_bytes(), NOW) {
            prop_assert!(records.iter().all(|record| record.time.is_finite()));
        }
    }
}
