use super::*;
use proptest::prelude::*;

fn config(rest: &str) -> Config {
    let json = format!(
        r#"{{"model":"m","features":[{{"name":"a","mean":10,"std":2}},{{"name":"b"}}],{rest}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn fixed(rest: &str) -> Detector {
    let all = format!(
        r#""score":{{"output":"s"}},"threshold":{{"fixed":{{"enter":2,"leave":1}}}},
           "raise_after":2,"clear_after":2,"heartbeat_s":10{rest}"#
    );
    Detector::new(config(&all)).unwrap()
}

fn window(end: f64, a: f64, quality: f64) -> Features {
    Features {
        device: "p1".to_owned(),
        site: "hall".to_owned(),
        start: end - 1.0,
        end,
        names: vec!["b".to_owned(), "a".to_owned()],
        values: vec![Some(0.5), Some(a)],
        quality,
    }
}

/// The score is feature `a` itself: the input comes in the model's order.
fn identity(input: &[f32]) -> Result<Outputs, String> {
    Ok(vec![("s".to_owned(), vec![input[0]])])
}

/// Judges windows one second apart; gives state, kind and time of what is said.
fn run(detector: &mut Detector, scores: &[f64]) -> Vec<(AnomalyState, String, f64)> {
    (0_u32..)
        .zip(scores)
        .flat_map(|(second, score)| {
            let features = window(f64::from(second), *score, 1.0);
            detector.judge(&features, identity).unwrap().anomalies
        })
        .map(|anomaly| (anomaly.state, anomaly.kind, anomaly.window[1]))
        .collect()
}

use AnomalyState::{Cleared, Ongoing, Raised as RaisedState};

fn said(state: AnomalyState, end: f64) -> (AnomalyState, String, f64) {
    (state, "anomaly".to_owned(), end)
}

#[test]
fn an_anomaly_is_raised_reported_and_cleared() {
    let mut detector = fixed("");
    let scores = [&[3.0; 14][..], &[1.5; 3], &[0.5; 5], &[3.0; 2]].concat();
    let expected = [
        said(RaisedState, 1.0),
        said(Ongoing, 11.0),
        said(Cleared, 18.0),
        said(RaisedState, 23.0),
    ];
    assert_eq!(run(&mut detector, &scores), expected);
}

#[test]
fn a_device_first_found_healthy_is_said_to_be_so_once() {
    let mut detector = fixed("");
    assert_eq!(run(&mut detector, &[0.0; 30]), [said(Cleared, 1.0)]);
}

#[test]
fn an_anomaly_says_what_deviates_and_since_when() {
    let mut detector = fixed(r#","top_features_max":1"#);
    detector.judge(&window(1.0, 4.0, 1.0), identity).unwrap();
    let outcome = detector.judge(&window(2.0, 4.0, 1.0), identity).unwrap();
    let anomaly = serde_json::to_value(&outcome.anomalies[0]).unwrap();
    let expected = serde_json::json!({
        "site": "hall", "device": "p1", "state": "raised", "kind": "anomaly", "score": 4.0,
        "threshold": 2.0, "since": 1.0, "window": [1.0, 2.0],
        "top_features": [{"name": "a", "z": -3.0}],
    });
    assert_eq!(anomaly, expected);
}

#[test]
fn a_window_of_poor_quality_is_unknown_but_a_check_still_holds() {
    let mut detector = fixed(r#","checks":[{"kind":"lost","feature":"b","above":0.9}]"#);
    for second in 0..5 {
        let poor = window(f64::from(second), 9.0, 0.5);
        let never = |_: &[f32]| -> Result<Outputs, String> { panic!("asked the model") };
        let outcome = detector.judge(&poor, never).unwrap();
        assert!(outcome.anomalies.is_empty());
        assert!(matches!(outcome.score, Some(Err(_))));
    }
    let mut outcomes = Vec::new();
    for second in 5..7 {
        let mut lost = window(f64::from(second), 9.0, 0.0);
        lost.values[0] = Some(1.0);
        outcomes.push(detector.judge(&lost, identity).unwrap());
    }
    let anomaly = &outcomes[1].anomalies[0];
    assert_eq!(
        (anomaly.kind.as_str(), anomaly.score, anomaly.threshold),
        ("lost", Some(1.0), Some(0.9))
    );
}

#[test]
fn a_feature_without_a_value_is_unknown_and_one_that_is_not_there_an_error() {
    let mut detector = fixed("");
    let mut features = window(0.0, 9.0, 1.0);
    features.values[0] = None;
    let outcome = detector.judge(&features, identity).unwrap();
    assert_eq!(
        outcome.score,
        Some(Err("a feature has no value".to_owned()))
    );
    features.names[0] = "c".to_owned();
    let error = detector.judge(&features, identity).unwrap_err();
    assert_eq!(
        error,
        JudgeError::Features(FeaturesError::NotThere("b".to_owned()))
    );
}

#[test]
fn a_failing_model_changes_nothing_and_a_window_counts_once() {
    let mut detector = fixed("");
    let broken = |_: &[f32]| Err("Timeout");
    for _ in 0..5 {
        let error = detector.judge(&window(0.0, 9.0, 1.0), broken).unwrap_err();
        assert_eq!(error, JudgeError::Model("Timeout"));
    }
    for _ in 0..5 {
        let outcome = detector.judge(&window(1.0, 9.0, 1.0), identity).unwrap();
        assert!(outcome.anomalies.is_empty());
    }
    let outcome = detector.judge(&window(2.0, 9.0, 1.0), identity).unwrap();
    assert_eq!(outcome.anomalies[0].state, RaisedState);
}

#[test]
fn outputs_of_another_shape_are_an_error() {
    let mut detector = fixed("");
    let mut judge = |outputs: Outputs| {
        let answer = |_: &[f32]| Ok::<_, String>(outputs);
        detector
            .judge(&window(0.0, 9.0, 1.0), answer)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(judge(vec![]), "the model has no output `s`");
    let two = vec![("s".to_owned(), vec![1.0, 2.0])];
    assert_eq!(
        judge(two),
        "the model's output `s` has 2 values instead of 1"
    );
    let nan = vec![("s".to_owned(), vec![f32::NAN])];
    assert_eq!(judge(nan), "the model's output `s` is not finite");
}

#[test]
fn the_likeliest_label_that_is_not_healthy_is_the_kind() {
    let rest = r#""score":"kinds","raise_after":1,"threshold":{"fixed":{"enter":0.5}},
        "kinds":{"output":"p","labels":["ok","worn","blocked"],"healthy":"ok"}"#;
    let mut detector = Detector::new(config(rest)).unwrap();
    let mut kind = |end: f64, output: [f32; 3]| {
        let answer = |_: &[f32]| Ok::<_, String>(vec![("p".to_owned(), output.to_vec())]);
        let outcome = detector.judge(&window(end, 0.0, 1.0), answer).unwrap();
        let said = outcome.anomalies.into_iter();
        said.map(|said| (said.state, said.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kind(0.0, [0.9, 0.1, 0.0]), []);
    assert_eq!(
        kind(1.0, [0.1, 0.2, 0.7]),
        [(RaisedState, "blocked".to_owned())]
    );
    let turned = [
        (Cleared, "blocked".to_owned()),
        (RaisedState, "worn".to_owned()),
    ];
    assert_eq!(kind(2.0, [0.1, 0.8, 0.1]), turned);
}

#[test]
fn the_reconstruction_error_is_computed_over_standardised_features() {
    let rest = r#""score":{"reconstruction":"r"},"standardise":true,
        "threshold":{"fixed":{"enter":1}}"#;
    let mut detector = Detector::new(config(rest)).unwrap();
    // a = 16 is 3 deviations up, b is 0.5: (3 - 1)^2 and (0.5 - 0.5)^2.
    let answer = |input: &[f32]| {
        assert_eq!(input, [3.0, 0.5]);
        Ok::<_, String>(vec![("r".to_owned(), vec![1.0, 0.5])])
    };
    let outcome = detector.judge(&window(0.0, 16.0, 1.0), answer).unwrap();
    assert_eq!(outcome.score, Some(Ok(2.0)));
}

#[test]
fn a_threshold_is_learned_after_the_warm_up_and_found_again() {
    let rest = r#""score":{"output":"s"},"warm_up":5,"raise_after":1,
        "threshold":{"learned":{"windows":10,"quantile":1.0,"factor":2.0}}"#;
    let mut detector = Detector::new(config(rest)).unwrap();
    let mut learned = Vec::new();
    for second in 0..15_u32 {
        let score = if second < 5 { 1e6 } else { f64::from(second) };
        let outcome = detector
            .judge(&window(f64::from(second), score, 1.0), identity)
            .unwrap();
        assert!(outcome.anomalies.is_empty());
        learned.extend(outcome.learned);
    }
    assert_eq!(learned, [28.0]);
    let outcome = detector.judge(&window(15.0, 28.0, 1.0), identity).unwrap();
    assert_eq!(outcome.anomalies[0].threshold, Some(28.0));

    let mut restored = Detector::new(config(rest)).unwrap();
    assert!(!restored.knows("hall", "p1"));
    restored.restore("hall", "p1", 28.0);
    let scores = [0.0, 0.0, 0.0, 0.0, 0.0, 30.0];
    assert_eq!(run(&mut restored, &scores), [said(RaisedState, 5.0)]);
}

#[test]
fn devices_without_an_anomaly_give_way_first() {
    let mut detector = fixed(r#","devices_max":2"#);
    let mut judge = |device: &str, end: f64, score: f64| {
        let mut features = window(end, score, 1.0);
        features.device = device.to_owned();
        detector.judge(&features, identity).unwrap();
    };
    judge("sick", 0.0, 9.0);
    judge("sick", 1.0, 9.0);
    judge("well", 2.0, 0.0);
    judge("new", 3.0, 0.0);
    assert!(detector.knows("hall", "sick") && !detector.knows("hall", "well"));
    assert_eq!(detector.devices.len(), 2);
}

#[test]
fn features_that_speak_of_another_device_are_refused() {
    let features = window(0.0, 0.0, 1.0);
    assert_eq!(features.check("feature/hall/p1"), Ok(()));
    for topic in [
        "feature/hall/p2",
        "feature/hall/p1/x",
        "feature",
        "feature/x/hall/p1",
    ] {
        assert!(features.check(topic).is_err(), "{topic}");
    }
}

proptest! {
    #[test]
    fn no_features_panic_or_grow_the_state(
        windows in prop::collection::vec(
            (0..6_u8, any::<f64>(), any::<f64>(), any::<Option<f64>>(), any::<f32>()), 0..200)
    ) {
        let rest = r#""score":{"output":"s"},"devices_max":3,"raise_after":1,"clear_after":1,
            "threshold":{"learned":{"windows":10,"quantile":0.9}},
            "checks":[{"kind":"k","feature":"a","above":1e9}]"#;
        let mut detector = Detector::new(config(rest)).unwrap();
        for (device, end, quality, a, score) in windows {
            let mut features = window(end, 0.0, quality);
            features.device = device.to_string();
            features.values[1] = a;
            let answer = |_: &[f32]| Ok::<_, String>(vec![("s".to_owned(), vec![score])]);
            if let Ok(outcome) = detector.judge(&features, answer) {
                prop_assert!(outcome.anomalies.len() <= 2);
            }
            prop_assert!(detector.devices.len() <= 3);
            for state in detector.devices.values() {
                prop_assert!(state.recent.len() <= RECENT_MAX);
            }
        }
    }
}
