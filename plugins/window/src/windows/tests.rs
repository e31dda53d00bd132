mod waiting;

use super::*;
use proptest::prelude::*;

/// A grid of 1 s, windows of 4 points each 2 points, gaps to 3 s.
fn config(rest: &str) -> Config {
    let json = format!(
        r#"{{"step_ms":1000,"length":4,"hop":2,"max_gap_ms":3000,"devices_max":2,{rest}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn plain() -> Windows {
    let series = r#""series":[{"record":"t","features":["mean","last","stuck","missing","bad"]}]"#;
    Windows::new(config(series)).unwrap()
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

fn readings(list: &[(f64, f64)]) -> Vec<Record> {
    list.iter()
        .map(|&(time, value)| record("t", time, value))
        .collect()
}

/// One reading a second from `from`, as many as there are values.
fn each_second(from: f64, values: &[f64]) -> Vec<Record> {
    values
        .iter()
        .zip(0_u32..)
        .map(|(value, place)| record("t", from + f64::from(place), *value))
        .collect()
}

fn starts(features: &[Features]) -> Vec<f64> {
    features.iter().map(|features| features.start).collect()
}

#[test]
fn a_message_from_the_topic_names_its_device() {
    assert_eq!(Device::from_topic("telemetry/hall/p1"), Some(device("p1")));
    for topic in ["telemetry/hall", "telemetry/hall/p1/x", "telemetry//p1", ""] {
        assert_eq!(Device::from_topic(topic), None);
    }
}

#[test]
fn a_window_is_published_for_each_hop_on_the_grid_of_the_epoch() {
    let mut windows = plain();
    // The first reading lies inside a hop: the first window starts at the next.
    let out = windows.push(
        &device("p1"),
        &each_second(1001.0, &[9.0, 1.0, 2.0, 3.0, 4.0]),
    );
    assert_eq!(starts(&out), [1002.0]);
    assert_eq!((out[0].end, out[0].quality), (1005.0, 1.0));
    assert_eq!(
        out[0].names,
        ["t.mean", "t.last", "t.stuck", "t.missing", "t.bad"]
    );
    let values: Vec<f64> = out[0].values.iter().map(|value| value.unwrap()).collect();
    assert_eq!(values, [2.5, 4.0, 0.0, 0.0, 0.0]);

    let out = windows.push(&device("p1"), &each_second(1006.0, &[5.0, 6.0, 7.0]));
    assert_eq!(starts(&out), [1004.0]);
    assert_eq!(out[0].values[0], Some(4.5));
}

#[test]
fn one_pack_or_many_in_any_order_make_the_same_windows() {
    let values: Vec<f64> = (0..40).map(|n| f64::from(n * n % 13)).collect();
    let all = each_second(1000.3, &values);
    let together = plain().push(&device("p1"), &all);
    let mut windows = plain();
    let one_by_one: Vec<Features> = all
        .iter()
        .flat_map(|record| windows.push(&device("p1"), std::slice::from_ref(record)))
        .collect();
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(together.len(), 18);
    assert_eq!(together, one_by_one);
    assert_eq!(together, plain().push(&device("p1"), &reversed));
    assert_eq!(
        together,
        plain().push(&device("p1"), &[all.clone(), all].concat())
    );
}

#[test]
fn a_late_reading_counts_while_its_window_is_open_and_is_dropped_afterwards() {
    let mut windows = plain();
    windows.push(&device("p1"), &readings(&[(1000.0, 0.0), (1002.0, 8.0)]));
    let out = windows.push(&device("p1"), &readings(&[(1001.0, 8.0), (1003.0, 8.0)]));
    assert_eq!(out[0].values[0], Some(6.0));
    windows.push(&device("p1"), &readings(&[(990.0, 1e9)]));
    assert_eq!(windows.dropped().late, 1);
    let out = windows.push(&device("p1"), &each_second(1004.0, &[8.0, 8.0]));
    assert_eq!(out[0].values[0], Some(8.0));
}

#[test]
fn a_clock_set_back_makes_the_device_start_afresh() {
    let mut windows = plain();
    windows.push(&device("p1"), &each_second(5000.0, &[1.0; 6]));
    let out = windows.push(&device("p1"), &each_second(1000.0, &[2.0; 12]));
    assert_eq!(windows.dropped().late, 4);
    assert_eq!(starts(&out), [1004.0, 1006.0, 1008.0]);
    assert_eq!(out[0].values[0], Some(2.0));
}

#[test]
fn no_window_spans_a_silence_of_the_device() {
    let mut windows = plain();
    windows.push(&device("p1"), &each_second(1000.0, &[1.0; 3]));
    let out = windows.push(&device("p1"), &each_second(1010.0, &[2.0; 6]));
    assert_eq!(starts(&out), [1010.0, 1012.0]);
    assert_eq!(out[0].values[0], Some(2.0));
}

#[test]
fn bad_and_missing_readings_lower_the_quality() {
    let mut windows = plain();
    let mut records = each_second(1000.0, &[1.0, 1.0, f64::NAN, 1.0]);
    records[1].quality = Quality::Bad("no answer".to_owned());
    let out = windows.push(&device("p1"), &records);
    assert_eq!(out[0].quality, 0.5);
    assert_eq!(out[0].values[4], Some(0.5));
    let mut records = each_second(1004.0, &[1.0, 1.0]);
    records[0].value = Value::Missing;
    records[1].value = Value::Bool(true);
    let out = windows.push(&device("p1"), &records);
    assert_eq!((out[0].quality, out[0].values[1]), (0.5, Some(1.0)));
}

#[test]
fn the_quality_depends_on_the_readings_alone() {
    let series: Vec<_> = (0..10)
        .map(|n| format!(r#"{{"record":"s{n}","features":["mean"]}}"#))
        .collect();
    let run = || {
        let json = format!(
            r#"{{"step_ms":1000,"length":10,"hop":10,"max_gap_ms":1000,"series":[{}]}}"#,
            series.join(",")
        );
        let mut windows = Windows::new(serde_json::from_str(&json).unwrap()).unwrap();
        let each = |n: u32| (0..10).map(move |second| (n, second));
        let records: Vec<_> = (0..10)
            .flat_map(each)
            .filter(|(n, second)| second >= n)
            .map(|(n, second)| record(&format!("s{n}"), 1000.0 + f64::from(second), 1.0))
            .collect();
        windows.push(&device("p1"), &records)
    };
    let first = run();
    assert_eq!(first.len(), 1);
    for _ in 0..20 {
        assert_eq!(run(), first);
    }
}

#[test]
fn a_series_that_lags_is_waited_for_and_then_missing() {
    let series = r#""wait_ms":2000,"series":[
        {"record":"t","features":["mean"]},{"record":"u","features":["mean","missing"]}]"#;
    let mut windows = Windows::new(config(series)).unwrap();
    assert!(
        windows
            .push(&device("p1"), &each_second(1000.0, &[1.0; 5]))
            .is_empty()
    );
    let late: Vec<Record> = (1000..1004)
        .map(|time| record("plant/u", f64::from(time), 3.0))
        .collect();
    let out = windows.push(&device("p1"), &late);
    assert_eq!(out[0].values, [Some(1.0), Some(3.0), Some(0.0)]);
    let out = windows.push(&device("p1"), &each_second(1005.0, &[1.0; 5]));
    assert_eq!(starts(&out), [1002.0, 1004.0]);
    assert_eq!(out[1].values, [Some(1.0), None, Some(1.0)]);
    assert_eq!(out[1].quality, 0.5);
}

#[test]
fn derived_series_are_computed_point_by_point() {
    let series = r#""series":[{"record":"t"},{"record":"u"}],"derived":[
        {"name":"d","from":{"difference":["t","u"]},"features":["mean"]},
        {"name":"r","from":{"ratio":["t","u"]},"features":["mean","missing"]},
        {"name":"e","from":{"residual":{"of":"t","offset":1,"factors":{"u":2}}},
         "features":["last"],"normalise":{"standard":{"mean":0,"std":0.5}}}],
        "correlations":[{"name":"c","of":["t","u"]}]"#;
    let mut windows = Windows::new(config(series)).unwrap();
    let mut records = each_second(1000.0, &[1.0, 2.0, 3.0, 4.0]);
    for (time, value) in [(1000.0, 0.0), (1001.0, 1.0), (1002.0, 2.0), (1003.0, 1.0)] {
        records.push(record("site:u", time, value));
    }
    let out = windows.push(&device("p1"), &records);
    let values: Vec<f64> = out[0].values.iter().map(|value| value.unwrap()).collect();
    // t - u = 1, 1, 1, 3; t / u = -, 2, 1.5, 4; 4 - (1 + 2) = 1 by 0.5;
    // covariance 2 by sqrt(5 * 2).
    let expected = [1.5, 2.5, 0.25, 2.0, 2.0 / 10.0_f64.sqrt()];
    for (value, expected) in values.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-12, "{values:?}");
    }
}

#[test]
fn drift_step_and_stuck_show_in_their_features() {
    let json = r#"{"step_ms":100,"length":32,"hop":32,"max_gap_ms":300,
        "series":[{"record":"t","features":["slope","stuck","range"]}]}"#;
    let run = |value: fn(f64) -> f64| -> Vec<Vec<f64>> {
        let mut windows = Windows::new(serde_json::from_str(json).unwrap()).unwrap();
        let records: Vec<Record> = (0..128)
            .map(|n| f64::from(n) / 10.0)
            .map(|t| record("t", t, value(t)))
            .collect();
        let out = windows.push(&device("p1"), &records);
        out.iter()
            .map(|features| features.values.iter().map(|value| value.unwrap()).collect())
            .collect()
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let drift = run(|t| 20.0 + 0.3 * t);
    assert_eq!(drift.len(), 4);
    assert!(drift.iter().all(|w| close(w[0], 0.3) && close(w[1], 0.0)));
    let step = run(|t| if t < 4.8 { 1.0 } else { 3.0 });
    assert!(close(step[0][2], 0.0) && close(step[1][2], 2.0) && close(step[2][2], 0.0));
    assert!(step[1][0] > 0.5 && close(step[1][1], 0.5));
    let stuck = run(|t| if t < 6.4 { (t * 7.0).sin() } else { 0.3 });
    assert!(stuck[1][1] < 0.1 && close(stuck[2][1], 1.0) && close(stuck[3][1], 1.0));
}

#[test]
fn a_running_scale_learns_each_point_once() {
    let series = r#""series":[{"record":"t","features":["mean"],
        "normalise":{"running":{"seconds":1e9}}}]"#;
    let mut windows = Windows::new(config(series)).unwrap();
    let values: Vec<f64> = (0..10).map(f64::from).collect();
    let out = windows.push(&device("p1"), &each_second(1000.0, &values));
    // Of 0..=9: mean 4.5, variance 8.25; the last window holds 6 to 9.
    let expected = (7.5 - 4.5) / 8.25_f64.sqrt();
    let last = out.last().unwrap();
    assert!(
        (last.values[0].unwrap() - expected).abs() < 1e-6,
        "{last:?}"
    );
}

#[test]
fn the_device_unheard_of_for_longest_gives_way() {
    let mut windows = plain();
    for name in ["p1", "p2", "p1", "p3"] {
        windows.push(&device(name), &each_second(1000.0, &[1.0]));
    }
    assert_eq!(windows.dropped().devices, 1);
    assert!(windows.devices.contains_key(&device("p1")));
    assert!(!windows.devices.contains_key(&device("p2")));
}

#[test]
fn a_pack_that_finishes_too_many_windows_skips_some() {
    let series = r#""windows_per_message_max":2,"series":[{"record":"t","features":["mean"]}]"#;
    let mut windows = Windows::new(config(series)).unwrap();
    let out = windows.push(&device("p1"), &each_second(1000.0, &[1.0; 20]));
    assert_eq!((out.len(), windows.dropped().windows), (2, 7));
    let out = windows.push(&device("p1"), &each_second(1020.0, &[2.0; 2]));
    assert_eq!(starts(&out), [1018.0]);
}

#[test]
fn a_value_that_cannot_be_computed_is_null() {
    let mut windows = plain();
    let records = each_second(1000.0, &[f64::NAN; 4]);
    let out = windows.push(&device("p1"), &records);
    let json = serde_json::to_value(&out[0]).unwrap();
    assert!(json["values"][0].is_null());
    assert_eq!(serde_json::from_value::<Features>(json).unwrap(), out[0]);
}

fn any_record() -> impl Strategy<Value = Record> {
    let time = prop_oneof![
        4 => 0.0..100.0_f64,
        1 => any::<f64>(),
        1 => (0..100_i32).prop_map(f64::from),
    ];
    let value = prop_oneof![
        4 => (-1e3..1e3_f64).prop_map(Value::Number),
        1 => any::<f64>().prop_map(Value::Number),
        1 => Just(Value::Missing),
        1 => any::<bool>().prop_map(Value::Bool),
    ];
    let quality = prop_oneof![3 => Just(Quality::Good), 1 => Just(Quality::Bad(String::new()))];
    let name = prop_oneof![Just("t"), Just("x/u"), Just("other")];
    (name, time, value, quality).prop_map(|(name, time, value, quality)| Record {
        name: name.to_owned(),
        unit: None,
        value,
        time,
        quality,
    })
}

proptest! {
    #[test]
    fn no_readings_panic_or_grow_the_state(
        packs in prop::collection::vec(
            (0..5_u8, prop::collection::vec(any_record(), 0..40)), 0..30)
    ) {
        let series = r#""samples_max":8,"windows_per_message_max":16,"series":[
            {"record":"t","resample":"hold","features":["mean","std","slope","kurtosis","crest",
             "stuck","dominant_hz",{"band":{"from_hz":0,"to_hz":0.5}}],
             "normalise":{"running":{"seconds":5}}},
            {"record":"u","features":["rms","last","missing"]}],
            "derived":[{"name":"r","from":{"ratio":["t","u"]},"features":["max"]}],
            "correlations":[{"name":"c","of":["t","u"]}]"#;
        let mut windows = Windows::new(config(series)).unwrap();
        for (name, records) in packs {
            let out = windows.push(&device(&name.to_string()), &records);
            prop_assert!(out.len() <= 16);
            for features in out {
                prop_assert_eq!(features.values.len(), windows.names().len());
                prop_assert!((0.0..=1.0).contains(&features.quality));
                prop_assert!(features.values.iter().flatten().all(|value| value.is_finite()));
            }
            prop_assert!(windows.devices.len() <= 2);
            for state in windows.devices.values() {
                prop_assert!(state.samples.iter().all(|samples| samples.len() <= 8));
            }
        }
    }
}
