use super::*;
use crate::{Config, Device, Features};
use proptest::prelude::*;
use selvedge_plugin::senml::{Quality, Record, Value};

/// The first state of form 1 that a version wrote. Whatever is changed, it must
/// be read.
const FORM_1: &[u8] = include_bytes!("form-1.jsonl");

/// A grid of 1 s, windows of 4 points each 2 points, gaps to 3 s.
fn windows(changed: &[(&str, serde_json::Value)]) -> Windows {
    let mut config = serde_json::json!({
        "step_ms": 1000, "length": 4, "hop": 2, "max_gap_ms": 3000, "wait_ms": 1000,
        "devices_max": 3, "samples_max": 16, "windows_per_message_max": 32,
        "series": [
            {"record": "t", "features": ["mean", "stuck", "bad"],
             "normalise": {"running": {"seconds": 20}}},
            {"record": "u", "resample": "hold", "features": ["last", "missing"]},
        ],
        "derived": [{"name": "d", "from": {"difference": ["t", "u"]}, "features": ["max"],
                     "normalise": {"running": {"seconds": 50}}}],
    });
    for (key, value) in changed {
        config[key] = value.clone();
    }
    let config: Config = serde_json::from_value(config).unwrap();
    Windows::new(config).unwrap()
}

fn restored(changed: &[(&str, serde_json::Value)], state: &[u8]) -> Result<Windows, StateError> {
    let (mut windows, mut outbox) = (windows(changed), Outbox::new(4));
    read(state, &mut windows, &mut outbox, ("feature", 4)).map(|()| windows)
}

fn state_of(windows: &Windows) -> Vec<u8> {
    write(windows, &Outbox::new(1))
}

fn device(name: &str) -> Device {
    Device {
        site: "hall".to_owned(),
        name: name.to_owned(),
    }
}

fn record(name: &str, time: f64, value: f64) -> Record {
    Record {
        name: name.to_owned(),
        unit: None,
        value: Value::Number(value),
        time,
        quality: Quality::Good,
    }
}

/// Readings of both series, a second apart.
fn push(windows: &mut Windows, device: &str, seconds: std::ops::Range<u32>) -> Vec<Features> {
    let records: Vec<_> = seconds
        .flat_map(|second| {
            let value = f64::from(second * second % 13);
            [
                record("t", f64::from(second), value / 3.0),
                record("u", f64::from(second), -value),
            ]
        })
        .collect();
    windows.push(&self::device(device), &records)
}

/// What the first state of form 1 was made of.
fn first() -> (Windows, Outbox) {
    let mut windows = windows(&[]);
    push(&mut windows, "p1", 1000..1007);
    push(&mut windows, "p2", 1001..1004);
    let mut outbox = Outbox::new(4);
    for number in 0..2 {
        outbox.push(Message::new(format!("feature/hall/p{number}"), "{}"));
    }
    (windows, outbox)
}

#[test]
fn the_first_state_of_form_1_is_still_read() {
    let (mut same, mut outbox) = (windows(&[]), Outbox::new(4));
    read(FORM_1, &mut same, &mut outbox, ("feature", 4)).unwrap();
    let waiting: Vec<_> = outbox.waiting().map(|one| one.topic.as_str()).collect();
    assert_eq!(waiting, ["feature/hall/p0", "feature/hall/p1"]);
    let (mut unbroken, _) = first();
    for device in ["p2", "p1"] {
        let expected = push(&mut unbroken, device, 1005..1012);
        assert!(expected.len() > 2);
        assert_eq!(push(&mut same, device, 1005..1012), expected);
    }
}

/// If this fails, the form has changed: it needs another number, another file
/// of its own, and this one must still be read.
#[test]
fn form_1_is_written_as_it_was_first() {
    let (windows, outbox) = first();
    let state = String::from_utf8(write(&windows, &outbox)).unwrap();
    assert_eq!(state, std::str::from_utf8(FORM_1).unwrap());
}

#[test]
fn another_grid_goes_on_where_the_former_was() {
    let (first, _) = first();
    let state = state_of(&first);
    let starts = |features: &[Features]| features.iter().map(|one| one.start).collect::<Vec<_>>();
    // The windows from 1000 and 1002 were published: none is published again.
    for (key, value, expected) in [
        ("length", 6, [1004.0, 1006.0]),
        ("length", 2, [1004.0, 1006.0]),
        ("hop", 3, [1005.0, 1008.0]),
        ("hop", 1, [1004.0, 1005.0]),
    ] {
        let changed = [(key, value.into()), ("max_gap_ms", 2000.into())];
        let mut windows = restored(&changed, &state).unwrap();
        let out = push(&mut windows, "p1", 1007..1016);
        assert_eq!(starts(&out)[..2], expected, "{key} = {value}");
        assert!(out.iter().all(|one| one.quality == 1.0), "{key} = {value}");
    }
    // Its next window would be thousands of windows ago.
    let fine = [
        ("step_ms", 1.into()),
        ("hop", 1.into()),
        ("max_gap_ms", 4.into()),
        ("wait_ms", 0.into()),
    ];
    let mut windows = restored(&fine, &state).unwrap();
    assert_eq!(push(&mut windows, "p1", 1007..1009), []);
    assert_eq!(windows.dropped().windows, 0);
}

#[test]
fn windows_that_wait_for_a_series_are_handed_over() {
    let hasty = [
        ("hop", 1.into()),
        ("wait_ms", 4_000.into()),
        ("max_gap_ms", 4_000.into()),
        ("windows_per_message_max", 1.into()),
    ];
    let (mut unbroken, device) = (windows(&hasty), device("p1"));
    for (time, count) in [
        (1000.0, 0),
        (1002.9, 0),
        (1006.9, 0),
        (1010.8, 0),
        (1010.9, 1),
    ] {
        let record = [record("t", time, 1.0)];
        let mut handed = restored(&hasty, &state_of(&unbroken)).unwrap();
        let expected = unbroken.push(&device, &record);
        assert_eq!(expected.len(), count, "{time}");
        assert_eq!(handed.push(&device, &record), expected);
        assert_eq!(state_of(&handed), state_of(&unbroken));
    }
}

#[test]
fn series_are_known_by_their_record_and_scales_by_what_they_were_learned_of() {
    let (mut first, _) = first();
    let state = state_of(&first);
    let turned = serde_json::json!([
        {"record": "new", "features": ["missing"]},
        {"record": "t", "name": "again", "features": ["mean"],
         "normalise": {"running": {"seconds": 20}}},
        {"record": "t", "resample": "hold", "features": ["mean"],
         "normalise": {"running": {"seconds": 20}}},
    ]);
    let changed = [("series", turned), ("derived", serde_json::json!([]))];
    let mut windows = restored(&changed, &state).unwrap();
    let expected = push(&mut first, "p1", 1007..1010);
    let out = push(&mut windows, "p1", 1007..1010);
    assert_eq!(out[0].start, expected[0].start);
    assert_eq!(out[0].values[0], Some(1.0));
    assert_eq!(out[0].values[1], expected[0].values[0]);
    // The points are the same, and the scale is learned anew.
    assert_ne!(out[0].values[2], out[0].values[1]);
}

#[test]
fn fewer_devices_are_the_latest_heard_of() {
    let (mut first, _) = first();
    push(&mut first, "p1", 1007..1008);
    let fewer = [("devices_max", 1.into())];
    let windows = restored(&fewer, &state_of(&first)).unwrap();
    let names: Vec<_> = windows.saved().map(|saved| format!("{saved:?}")).collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].contains("\"p1\""), "{names:?}");
}

#[test]
fn messages_for_elsewhere_are_not_taken_over() {
    let mut outbox = Outbox::new(9);
    for topic in ["feature/a/b", "command/a/b", "features/a", "feature"] {
        outbox.push(Message::new(topic, ""));
    }
    let state = write(&windows(&[]), &outbox);
    let mut read_into = Outbox::new(9);
    read(&state, &mut windows(&[]), &mut read_into, ("feature", 9)).unwrap();
    let topics: Vec<_> = read_into.waiting().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["feature/a/b"]);
}

#[test]
fn a_state_keeps_to_its_bound_and_leaves_out_the_oldest() {
    let many = [
        ("devices_max", 60_000.into()),
        ("samples_max", 60_000.into()),
    ];
    let mut windows = windows(&many);
    let mut outbox = Outbox::new(2_000);
    for number in 0..40 {
        outbox.push(Message::new("feature/a/b", vec![b'x'; 100_000]));
        let mut device = Device {
            site: "hall".to_owned(),
            name: "x".repeat(200_000),
        };
        device.name.push_str(&number.to_string());
        push(&mut windows, &device.name, 0..2);
    }
    let state = write(&windows, &outbox);
    assert!(state.len() <= BYTES_MAX && state.len() > BYTES_MAX - 300_000);
    let (mut next, mut next_outbox) = (super::tests::windows(&many), Outbox::new(2_000));
    read(&state, &mut next, &mut next_outbox, ("feature", 2_000)).unwrap();
    assert!((10..=12).contains(&next_outbox.len()));
    let kept = next.saved().count();
    assert!((10..40).contains(&kept), "{kept}");
    let lines = state.split(|byte| *byte == b'\n');
    let devices: Vec<_> = lines
        .filter(|line| line.starts_with(br#"{"device""#))
        .collect();
    assert!(String::from_utf8_lossy(devices[0]).contains("x39\""));
}

#[test]
fn a_state_that_contradicts_itself_is_refused_and_nothing_of_it_is_kept() {
    let good = std::str::from_utf8(FORM_1).unwrap();
    let head = good.lines().next().unwrap();
    let device =
        |rest: &str| format!("{head}\n{{\"device\":{{\"site\":\"s\",\"device\":{rest}}}}}\n");
    let times = r#""start":0,"newest":9,"learned_until":0,"late_in_a_row":0"#;
    let none = r#""running":[null,null,null]"#;
    for (state, why) in [
        (String::new(), "does not begin with a head"),
        (good.replacen(head, "", 1), "does not begin with a head"),
        (format!("{good}{head}\n"), "two heads"),
        (good.replace("p2", "p1"), "twice"),
        (good.replace("p2", ""), "no device is called"),
        (good.replace("p2", "a/b"), "no device is called"),
        (good.replace("\"newest\":1", "\"newest\":-1"), "do not rise"),
        (good.replace("late_in_a_row", "late"), "unknown field"),
        (
            device(&format!(r#""d",{times},"samples":[[]],{none}"#)),
            "other series",
        ),
        (
            device(&format!(
                r#""d",{times},"samples":[[[1,1],[0,1]],[]],{none}"#
            )),
            "do not rise",
        ),
        (
            device(&format!(r#""d",{times},"samples":[[[10,1]],[]],{none}"#)),
            "do not rise",
        ),
        (
            device(&format!(
                r#""d",{times},"samples":[[[-9223372036854775808,1],[-1,1]],[]],{none}"#
            )),
            "do not rise",
        ),
        (
            device(
                r#""d","start":9223372036854775807,"newest":0,"learned_until":0,
                "late_in_a_row":0,"samples":[[],[]],"running":[null,null,null]"#,
            )
            .replace("\n   ", ""),
            "time in it is none",
        ),
    ] {
        let (mut windows, mut outbox) = (windows(&[]), Outbox::new(4));
        let refused = read(state.as_bytes(), &mut windows, &mut outbox, ("feature", 4));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!((windows.saved().count(), outbox.len()), (0, 0));
    }
}

/// Device, series, seconds since the reading before (mostly), value.
type Reading = (u8, u8, f64, Option<f64>);

fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let later = prop_oneof![8 => 0.0..1.5_f64, 1 => -4.0..0.0_f64, 1 => 3.0..20.0_f64];
    let value = prop_oneof![
        8 => (-1e3..1e3_f64).prop_map(Some),
        1 => Just(None),
        1 => any::<f64>().prop_map(Some),
    ];
    prop::collection::vec((0..4_u8, 0..2_u8, later, value), 0..150)
}

proptest! {
    #[test]
    fn a_run_that_is_handed_over_anywhere_gives_the_same(
        readings in readings(),
        cuts in prop::collection::vec(0..150_usize, 0..6),
    ) {
        let (mut unbroken, mut handed) = (windows(&[]), windows(&[]));
        let mut time = 1000.0;
        for (place, (device, series, later, value)) in readings.into_iter().enumerate() {
            if cuts.contains(&place) {
                handed = restored(&[], &state_of(&handed)).unwrap();
                prop_assert_eq!(state_of(&handed), state_of(&unbroken));
            }
            time += later;
            let record = Record {
                name: if series == 0 { "t" } else { "u" }.to_owned(),
                unit: None,
                value: value.map_or(Value::Missing, Value::Number),
                time,
                quality: Quality::Good,
            };
            let (site, name) = ("hall".to_owned(), device.to_string());
            let device = Device { site, name };
            let records = std::slice::from_ref(&record);
            prop_assert_eq!(handed.push(&device, records), unbroken.push(&device, records));
        }
    }

    #[test]
    fn no_state_panics_or_grows_beyond_the_bounds(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        digits in any::<bool>(),
        readings in 1000..1030_u32,
    ) {
        let mut state = FORM_1.to_vec();
        for (place, byte) in changes {
            let byte = if digits { b'0' + byte % 10 } else { byte };
            *place.get_mut(&mut state) = byte;
        }
        if let Ok(mut windows) = restored(&[], &state) {
            prop_assert!(windows.saved().count() <= 3);
            push(&mut windows, "p1", readings..readings + 9);
            push(&mut windows, "p9", readings..readings + 9);
            prop_assert!(restored(&[], &state_of(&windows)).is_ok());
        }
    }
}
