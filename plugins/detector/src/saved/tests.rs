use super::*;
use crate::{AnomalyState, Config, Features, Outcome, Outputs};
use proptest::prelude::*;

/// The first state of form 1 that a version wrote. Whatever is changed, it must
/// be read.
const FORM_1: &[u8] = include_bytes!("form-1.jsonl");

fn detector(changed: &[(&str, serde_json::Value)]) -> Detector {
    let mut config = serde_json::json!({
        "model": "m", "input": "input", "features": [{"name": "a", "mean": 10, "std": 2}], "score": {"output": "s"},
        "threshold": {"learned": {"windows": 10, "quantile": 1.0, "factor": 1.5}},
        "checks": [{"kind": "stuck", "feature": "a", "above": 900}],
        "raise_after": 3, "clear_after": 2, "heartbeat_s": 10, "warm_up": 1, "devices_max": 3,
    });
    for (key, value) in changed {
        config[key] = value.clone();
    }
    let config: Config = serde_json::from_value(config).unwrap();
    Detector::new(config).unwrap()
}

fn restored(changed: &[(&str, serde_json::Value)], state: &[u8]) -> Result<Detector, StateError> {
    let (mut detector, mut outbox) = (detector(changed), Outbox::new(4));
    read(state, &mut detector, &mut outbox, 4).map(|()| detector)
}

fn state_of(detector: &Detector) -> Vec<u8> {
    write(detector, &Outbox::new(1))
}

/// The score is feature `a` itself.
fn judge(detector: &mut Detector, device: &str, end: f64, a: f64, quality: f64) -> Outcome {
    let features = Features {
        device: device.to_owned(),
        site: "hall".to_owned(),
        start: end - 1.0,
        end,
        names: vec!["a".to_owned()],
        values: vec![Some(a)],
        quality,
    };
    let infer =
        |input: &[f32]| -> Result<Outputs, String> { Ok(vec![("s".to_owned(), vec![input[0]])]) };
    detector.judge(&features, infer).unwrap()
}

/// One window a second; what is said of the device.
fn run(
    detector: &mut Detector,
    device: &str,
    from: u32,
    values: &[f64],
) -> Vec<(AnomalyState, u32)> {
    let mut said = Vec::new();
    for (second, value) in (from..).zip(values) {
        let outcome = judge(detector, device, f64::from(second), *value, 1.0);
        let states = outcome.anomalies.into_iter().map(|one| one.state);
        said.extend(states.map(|state| (state, second)));
    }
    said
}

use AnomalyState::{Cleared, Ongoing, Raised};

/// What the first state of form 1 was made of: `p1` has learned 9.0 and has an
/// anomaly since 12; `p2` still learns; `p3` has had two abnormal windows.
fn first() -> (Detector, Outbox) {
    let mut detector = detector(&[]);
    run(&mut detector, "p2", 0, &[1.0, 2.0, 3.5]);
    let learning = [6.0; 11];
    assert_eq!(run(&mut detector, "p1", 0, &learning), []);
    let raised = run(&mut detector, "p1", 11, &[7.0, 9.5, 9.5, 9.5]);
    assert_eq!(raised, [(Raised, 14)]);
    run(&mut detector, "p3", 0, &[1.0, 999.0, 999.0]);
    let mut outbox = Outbox::new(4);
    for number in 0..2 {
        outbox.push(Message::new(format!("score/hall/p{number}"), "[]"));
    }
    outbox.push(Message::new("anomaly/hall/p1", "{}").retained());
    (detector, outbox)
}

#[test]
fn the_first_state_of_form_1_is_still_read() {
    let (mut same, mut outbox) = (detector(&[]), Outbox::new(4));
    read(FORM_1, &mut same, &mut outbox, 4).unwrap();
    let waiting: Vec<_> = outbox.waiting().map(|one| one.topic.as_str()).collect();
    assert_eq!(
        waiting,
        ["score/hall/p0", "score/hall/p1", "anomaly/hall/p1"]
    );
    // Judged already, still going on, and over.
    let p1 = [9.5, 9.5, 9.5, 0.0, 0.0];
    assert_eq!(run(&mut same, "p1", 14, &p1), [(Cleared, 18)]);
    assert_eq!(run(&mut same, "p3", 3, &[999.0]), [(Raised, 3)]);
    // Its third window is the second that it learned from.
    let learned: Vec<_> = (3..14)
        .map(|second| judge(&mut same, "p2", f64::from(second), 1.0, 1.0).learned)
        .collect();
    let at = learned.iter().position(Option::is_some);
    assert_eq!((at, learned[7]), (Some(7), Some(5.25)));
}

/// If this fails, the form has changed: it needs another number, another file
/// of its own, and this one must still be read.
#[test]
fn form_1_is_written_as_it_was_first() {
    let (detector, outbox) = first();
    let state = String::from_utf8(write(&detector, &outbox)).unwrap();
    assert_eq!(state, std::str::from_utf8(FORM_1).unwrap());
}

#[test]
fn an_anomaly_stays_raised_under_any_configuration() {
    let state = state_of(&first().0);
    for (key, value) in [
        ("threshold", serde_json::json!({"fixed": {"enter": 5}})),
        ("model", "other".into()),
        ("devices_max", 1.into()),
        ("raise_after", 1.into()),
        ("checks", serde_json::json!([])),
    ] {
        let mut detector = restored(&[(key, value.clone())], &state).unwrap();
        let said = run(&mut detector, "p1", 15, &[9.5; 10]);
        // With another model the threshold is learned anew: nothing is known.
        let expected: &[_] = &[(Ongoing, 24)];
        assert_eq!(said, expected, "{key} = {value}");
    }
}

#[test]
fn a_threshold_is_kept_while_it_means_the_same() {
    let state = state_of(&first().0);
    let learned = |windows: u32, quantile: f64| {
        let leave = 0.5;
        serde_json::json!({"learned": {"windows": windows, "quantile": quantile, "factor": 1.5,
            "leave_fraction": leave, "persist": true}})
    };
    let other = serde_json::json!({"output": "s2"});
    for (key, value, known, scores) in [
        ("threshold", learned(10, 1.0), true, 2),
        ("threshold", learned(10, 0.9), false, 2),
        ("threshold", learned(11, 1.0), false, 2),
        ("heartbeat_s", 20.into(), true, 2),
        ("standardise", true.into(), false, 0),
        ("score", other, false, 0),
    ] {
        let detector = restored(&[(key, value.clone())], &state).unwrap();
        let lines = String::from_utf8(state_of(&detector)).unwrap();
        let of = |device: &str| {
            let line = lines.lines().find(|line| line.contains(device)).unwrap();
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let device = line["device"].clone();
            let scores = device["scores"].as_array().unwrap().len();
            (device["enter"].as_f64(), scores)
        };
        let what = format!("{key} = {value}");
        assert_eq!(of("\"p1\"").0, known.then_some(9.0), "{what}");
        assert_eq!(of("\"p2\""), (None, scores), "{what}");
    }
}

#[test]
fn messages_for_elsewhere_are_not_taken_over() {
    let mut outbox = Outbox::new(9);
    for topic in ["anomaly/a/b", "command/a/b", "scores/a", "score"] {
        outbox.push(Message::new(topic, ""));
    }
    let state = write(&detector(&[]), &outbox);
    let mut read_into = Outbox::new(9);
    read(&state, &mut detector(&[]), &mut read_into, 9).unwrap();
    let topics: Vec<_> = read_into.waiting().map(|one| one.topic.as_str()).collect();
    assert_eq!(topics, ["anomaly/a/b"]);
}

#[test]
fn a_state_keeps_to_its_bound_and_leaves_out_the_healthy() {
    let many = [("devices_max", 60_000.into())];
    let mut detector = detector(&many);
    let name = |number: u32| format!("{}{number}", "x".repeat(200_000));
    run(&mut detector, &name(0), 0, &[999.0; 4]);
    for number in 1..40 {
        run(&mut detector, &name(number), 0, &[1.0; 2]);
    }
    let state = state_of(&detector);
    assert!(state.len() <= BYTES_MAX && state.len() > BYTES_MAX - 300_000);
    let mut next = restored(&many, &state).unwrap();
    assert!((10..40).contains(&next.saved().count()));
    assert_eq!(run(&mut next, &name(0), 4, &[999.0; 10]), [(Ongoing, 13)]);
    assert!(next.knows("hall", &name(39)) && !next.knows("hall", &name(1)));
}

#[test]
fn a_state_that_contradicts_itself_is_refused_and_nothing_of_it_is_kept() {
    let good = std::str::from_utf8(FORM_1).unwrap();
    let head = good.lines().next().unwrap();
    for (state, why) in [
        (String::new(), "does not begin with a head"),
        (good.replacen(head, "", 1), "does not begin with a head"),
        (format!("{good}{head}\n"), "two heads"),
        (good.replace("p2", "p1"), "twice"),
        (good.replace("\"p2\"", "\"a/b\""), "name is none"),
        (good.replace("found_healthy", "found"), "unknown field"),
        (
            good.replace("\"since\":1", "\"since\":1e999"),
            "out of range",
        ),
        (good.replace("\"seen\":", "\"seen\":-"), "invalid value"),
    ] {
        let (mut detector, mut outbox) = (detector(&[]), Outbox::new(4));
        let refused = read(state.as_bytes(), &mut detector, &mut outbox, 4);
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!((detector.saved().count(), outbox.len()), (0, 0));
    }
}

proptest! {
    #[test]
    fn a_run_that_is_handed_over_anywhere_gives_the_same(
        windows in prop::collection::vec(
            (0..4_u8, 0..3_u32, prop_oneof![4 => 0.0..3.0_f64, 1 => 2.0..6.0_f64, 1 => Just(999.0)],
             prop_oneof![9 => Just(1.0), 1 => Just(0.1)]),
            0..200),
        cuts in prop::collection::vec(0..200_usize, 0..6),
        fixed in any::<bool>(),
    ) {
        let threshold = serde_json::json!({"fixed": {"enter": 3, "leave": 1}});
        let changed = [("threshold", threshold)];
        let changed = if fixed { &changed[..] } else { &[] };
        let (mut unbroken, mut handed) = (detector(changed), detector(changed));
        let mut end = 0;
        for (place, (device, later, a, quality)) in windows.into_iter().enumerate() {
            if cuts.contains(&place) {
                handed = restored(changed, &state_of(&handed)).unwrap();
            }
            // Windows of the same end are told apart by their device.
            end += later;
            let (device, end) = (device.to_string(), f64::from(end));
            prop_assert_eq!(
                judge(&mut handed, &device, end, a, quality),
                judge(&mut unbroken, &device, end, a, quality)
            );
        }
    }

    #[test]
    fn no_state_panics_or_grows_beyond_the_bounds(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        digits in any::<bool>(),
    ) {
        let mut state = FORM_1.to_vec();
        for (place, byte) in changes {
            let byte = if digits { b'0' + byte % 10 } else { byte };
            *place.get_mut(&mut state) = byte;
        }
        if let Ok(mut detector) = restored(&[], &state) {
            prop_assert!(detector.saved().count() <= 3);
            for device in ["p1", "p2", "p3", "p4"] {
                run(&mut detector, device, 10, &[9.5, 9.5, 9.5, 0.0, 0.0, 999.0, 1.0, 1.0, 1.0, 1.0]);
            }
            prop_assert!(restored(&[], &state_of(&detector)).is_ok());
        }
    }
}
