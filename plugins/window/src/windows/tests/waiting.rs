//! When a window is finished, of several series: what is there of one time is
//! taken in first, however it comes.

use std::time::Duration;

use super::*;

/// A grid of 1 s, windows of 12 points each 4 points, gaps to 10 s.
fn windows(names: &[&str], rest: &str) -> Windows {
    let series: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"record":"{name}","features":["mean","missing"]}}"#))
        .collect();
    let json = format!(
        r#"{{"step_ms":1000,"length":12,"hop":4,"max_gap_ms":10000{rest},"series":[{}]}}"#,
        series.join(",")
    );
    Windows::new(serde_json::from_str(&json).unwrap()).unwrap()
}

fn push(windows: &mut Windows, records: &[(&str, f64)]) -> Vec<Features> {
    let records: Vec<Record> = records
        .iter()
        .map(|&(name, time)| record(name, time, time))
        .collect();
    windows.push(&device("p1"), &records)
}

/// Start of each window, and which part of each series is missing.
fn missing(features: &[Features]) -> Vec<(f64, Vec<f64>)> {
    let part = |features: &Features| {
        let values = features.values.iter().skip(1).step_by(2);
        values.map(|value| value.unwrap()).collect()
    };
    features
        .iter()
        .map(|features| (features.start, part(features)))
        .collect()
}

/// Every 5 s from 1000 on.
fn times() -> impl Iterator<Item = f64> {
    (0..12_u32).map(|number| 1000.0 + 5.0 * f64::from(number))
}

#[test]
fn all_series_of_a_time_count_in_one_message_or_several() {
    let whole = |out: &[Features]| {
        let starts: Vec<f64> = (0..12).map(|n| 1000.0 + 4.0 * f64::from(n)).collect();
        let expected: Vec<_> = starts
            .iter()
            .map(|start| (*start, vec![0.0, 0.0]))
            .collect();
        assert_eq!(missing(out), expected);
    };
    for order in [["a", "b"], ["b", "a"]] {
        let mut one = windows(&["a", "b"], "");
        let together: Vec<Features> = times()
            .flat_map(|time| push(&mut one, &order.map(|name| (name, time))))
            .collect();
        whole(&together);
        let mut two = windows(&["a", "b"], "");
        let split: Vec<Features> = times()
            .flat_map(|time| order.map(|name| (name, time)))
            .flat_map(|reading| push(&mut two, &[reading]))
            .collect();
        assert_eq!(split, together);
    }
    let all: Vec<_> = times()
        .flat_map(|time| [("b", time), ("a", time)])
        .collect();
    whole(&push(&mut windows(&["a", "b"], ""), &all));
}

/// As of a device that is asked for one series after the other.
#[test]
fn series_that_are_read_less_than_a_step_apart_need_no_wait() {
    let names = ["a", "b", "c"];
    let parts = names.into_iter().zip([0.0, 0.4, 0.999]);
    let readings: Vec<_> = times()
        .flat_map(|time| parts.clone().map(move |(name, part)| (name, time + part)))
        .collect();
    let together = push(&mut windows(&names, ""), &readings);
    assert!(
        missing(&together)
            .iter()
            .skip(1)
            .all(|one| one.1 == [0.0; 3])
    );
    for size in [1, 2, 3] {
        let mut windows = windows(&names, "");
        let out: Vec<_> = readings
            .chunks(size)
            .flat_map(|some| push(&mut windows, some))
            .collect();
        assert_eq!(out, together);
    }
}

#[test]
fn a_silent_series_is_waited_for_from_the_first_time_past_a_window() {
    // Windows end at 1011, 1015 and so on; what is first past them is from 1015.
    for (wait_ms, expected) in [
        (0, [1020.0, 1020.0, 1025.0]),
        (5_000, [1020.0, 1020.0, 1025.0]),
        (5_001, [1025.0, 1025.0, 1030.0]),
    ] {
        let mut windows = windows(&["a", "b"], &format!(r#","wait_ms":{wait_ms}"#));
        let mut finished = Vec::new();
        for time in times() {
            let out = push(&mut windows, &[("a", time)]);
            assert!(missing(&out).iter().all(|one| one.1 == [0.0, 1.0]));
            finished.extend(out.iter().map(|_| time));
        }
        assert_eq!(finished[..3], expected, "wait_ms = {wait_ms}");
    }
}

#[test]
fn a_series_that_left_out_a_time_is_missing_unless_it_is_waited_for() {
    let run = |rest: &str| {
        let mut windows = windows(&["a", "b"], rest);
        let readings = times().flat_map(|time| [("a", time), ("b", time)]);
        let sparse = readings.filter(|reading| *reading != ("b", 1015.0));
        let out: Vec<_> = sparse
            .flat_map(|reading| push(&mut windows, &[reading]))
            .collect();
        missing(&out)
    };
    // `b` is known until 1010 when `a` comes with 1020.
    let waited = run(r#","wait_ms":5001"#);
    assert!(waited.iter().all(|(_, missing)| *missing == [0.0, 0.0]));
    let hasty = run("");
    assert_eq!(hasty[0], (1000.0, vec![0.0, 1.0 / 12.0]));
    assert_eq!(hasty[1], (1004.0, vec![0.0, 5.0 / 12.0]));
    assert!(hasty[2..].iter().all(|(_, missing)| *missing == [0.0, 0.0]));
}

#[test]
fn a_silence_or_a_clock_set_back_ends_the_waiting() {
    for afresh in [1100.0, 900.0] {
        let mut windows = windows(&["a", "b"], r#","wait_ms":12000"#);
        let readings: Vec<_> = times().take(4).map(|time| ("a", time)).collect();
        assert_eq!(push(&mut windows, &readings), []);
        let mut out = Vec::new();
        for number in 0..12 {
            out.extend(push(&mut windows, &[("a", afresh + f64::from(number))]));
        }
        // Both windows that end by 1015, and nothing of afterwards.
        let expected = [(1000.0, vec![0.0, 1.0]), (1004.0, vec![0.0, 1.0])];
        assert_eq!(missing(&out), expected, "{afresh}");
    }
}

#[test]
fn displaced_samples_hold_no_window_up() {
    let rest = r#","wait_ms":12000,"samples_max":12"#;
    let mut windows = windows(&["a", "b"], rest);
    let (mut at, mut time) = (None, 1000.0);
    while at.is_none() && time < 1100.0 {
        let out = push(&mut windows, &[("a", time)]);
        at = (!out.is_empty()).then_some(time);
        time += 0.5;
    }
    // The last point, the longest gap, and the wait.
    assert_eq!(at, Some(1011.0 + 10.0 + 12.0));
}

#[test]
fn samples_of_one_time_after_a_clock_was_set_back_are_kept_or_dropped_together() {
    for order in [["a", "b", "c"], ["c", "a", "b"]] {
        let mut windows = windows(&["a", "b", "c"], "");
        push(&mut windows, &order.map(|name| (name, 5000.0)));
        let back: Vec<_> = (0..40)
            .flat_map(|number| order.map(|name| (name, 1000.0 + f64::from(number))))
            .collect();
        let out = missing(&push(&mut windows, &back));
        assert_eq!(out[0], (1004.0, vec![0.0; 3]));
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// One time: milliseconds since the one before, the series with a sample then
/// and their values, and the order that they come in.
type Time = (i64, [Option<f64>; 3], Vec<usize>);

fn any_times(gaps: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Time>> {
    let value =
        || prop::option::weighted(0.7, prop_oneof![9 => -1e3..1e3_f64, 1 => Just(f64::NAN)]);
    let values = (value(), value(), value()).prop_map(|(a, b, c)| [a, b, c]);
    let order = Just(vec![0, 1, 2]).prop_shuffle();
    prop::collection::vec((gaps, values, order), 0..60)
}

/// The records of each time, in the order given.
fn records(times: &[Time]) -> Vec<Vec<Record>> {
    let mut now = 1_000_000;
    let mut all = Vec::new();
    for (gap, values, order) in times {
        now += gap;
        let of = |place: &usize| {
            let time = Duration::from_millis(now.unsigned_abs()).as_secs_f64();
            values[*place].map(|value| record(NAMES[*place], time, value))
        };
        all.push(order.iter().filter_map(of).collect());
    }
    all
}

/// Every series has a sample whenever it would otherwise have none for `wait`
/// and more, until the device falls silent.
fn steady(times: &mut [Time], wait: i64, gap_max: i64) {
    let gaps: Vec<i64> = times.iter().map(|time| time.0).collect();
    let mut since = [None; 3];
    for (place, (gap, values, _)) in times.iter_mut().enumerate() {
        let next = gaps.get(place + 1).copied().unwrap_or_default();
        for (value, since) in values.iter_mut().zip(&mut since) {
            let before = since
                .filter(|_| *gap <= gap_max)
                .map(|since: i64| since + *gap);
            let due = before.is_none_or(|before| before + next > wait);
            if due && value.is_none() {
                *value = Some(1.0);
            }
            *since = if value.is_some() { Some(0) } else { before };
        }
    }
}

fn run(rest: &str, messages: &[Vec<Record>]) -> Vec<String> {
    let mut windows = windows(&NAMES, rest);
    let out = messages
        .iter()
        .flat_map(|records| windows.push(&device("p1"), records));
    // As text, so that what cannot be computed is the same as itself.
    out.map(|features| format!("{features:?}")).collect()
}

proptest! {
    #[test]
    fn records_of_one_time_in_any_order_make_the_same_windows(
        times in any_times(prop_oneof![
            12 => 1..6_000_i64, 1 => -40_000..0_i64, 1 => 10_000..30_000_i64,
        ]),
        wait_ms in prop_oneof![Just(0), 1..12_000],
    ) {
        let rest = format!(r#","wait_ms":{wait_ms}"#);
        let mut ordered = times.clone();
        for (_, _, order) in &mut ordered {
            order.sort_unstable();
        }
        prop_assert_eq!(run(&rest, &records(&times)), run(&rest, &records(&ordered)));
    }

    /// As long as no series lags by more than `wait_ms`, nothing depends on how
    /// readings in the order of their time are cut into messages.
    #[test]
    fn series_that_are_waited_for_make_the_same_windows_in_any_messages(
        mut times in any_times(prop_oneof![12 => 1..=4_000_i64, 1 => 10_001..30_000_i64]),
        cuts in prop::collection::vec(1..6_usize, 180),
    ) {
        let rest = r#","wait_ms":4000"#;
        steady(&mut times, 4_000, 10_000);
        let each = records(&times);
        let all = each.concat();
        let expected = run(rest, &each);
        let mut messages = Vec::new();
        let mut left = all.as_slice();
        for cut in cuts {
            let (message, after) = left.split_at(cut.min(left.len()));
            messages.push(message.to_vec());
            left = after;
        }
        prop_assert_eq!(&run(rest, &messages), &expected);
        prop_assert_eq!(&run(rest, &[all]), &expected);
    }

    /// Where each series has a sample of each time, there is nothing to wait for.
    #[test]
    fn whole_times_make_the_same_windows_in_any_messages_without_waiting(
        mut times in any_times(prop_oneof![12 => 1..8_000_i64, 1 => 10_001..30_000_i64]),
        cuts in prop::collection::vec(1..6_usize, 180),
    ) {
        for (_, values, _) in &mut times {
            *values = values.map(|value| value.or(Some(2.0)));
        }
        let each = records(&times);
        let all = each.concat();
        let mut messages = Vec::new();
        let mut left = all.as_slice();
        for cut in cuts {
            let (message, after) = left.split_at(cut.min(left.len()));
            messages.push(message.to_vec());
            left = after;
        }
        prop_assert_eq!(run("", &messages), run("", &each));
        prop_assert_eq!(run("", &[all]), run("", &each));
    }
}
