use super::*;

const GOOD: fn(f64) -> Point = Point::Good;

#[track_caller]
fn check(points: &[Point], feature: Feature, expected: Option<f64>) {
    let window = Window {
        raw: points,
        scaled: points,
        step: 0.5,
        stuck_tolerance: 0.0,
    };
    let value = compute(window, &[feature])[0];
    let close = match (value, expected) {
        (Some(value), Some(expected)) => (value - expected).abs() < 1e-12,
        (value, expected) => value == expected,
    };
    assert!(close, "{feature:?}: {value:?}, expected {expected:?}");
}

#[test]
fn each_feature_is_what_a_hand_computes() {
    // Mean 5; squared distances 9, 1, 1, 1, 0, 0, 4, 16; squares sum to 232.
    let points = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(GOOD);
    check(&points, Feature::Mean, Some(5.0));
    check(&points, Feature::Std, Some(2.0));
    check(&points, Feature::Min, Some(2.0));
    check(&points, Feature::Max, Some(9.0));
    check(&points, Feature::Range, Some(7.0));
    check(&points, Feature::Rms, Some(29.0_f64.sqrt()));
    // Fourth powers 81 + 1 + 1 + 1 + 0 + 0 + 16 + 256 = 356, by 8, by 2^4.
    check(&points, Feature::Kurtosis, Some(356.0 / 8.0 / 16.0));
    check(&points, Feature::Crest, Some(9.0 / 29.0_f64.sqrt()));
    // Places less 3.5 times values: 34 of 42, at two places a second.
    check(&points, Feature::Slope, Some(34.0 / 42.0 * 2.0));
    check(&points, Feature::Last, Some(9.0));
    check(&points, Feature::Stuck, Some(3.0 / 8.0));
    check(&points, Feature::Missing, Some(0.0));
    check(&points, Feature::Bad, Some(0.0));
}

#[test]
fn a_series_that_does_not_move_has_no_spread_and_no_nan() {
    // 0.1 is not exact: neither the mean nor the deviation may show it.
    let points = [GOOD(0.1); 7];
    check(&points, Feature::Mean, Some(0.1));
    for feature in [
        Feature::Std,
        Feature::Range,
        Feature::Slope,
        Feature::Kurtosis,
    ] {
        check(&points, feature, Some(0.0));
    }
    check(&points, Feature::Crest, Some(1.0));
    check(&points, Feature::Stuck, Some(1.0));
    check(&[GOOD(0.0); 7], Feature::Crest, Some(0.0));
}

#[test]
fn points_that_are_not_good_are_counted_and_left_out() {
    let points = [
        GOOD(1.0),
        Point::Bad,
        Point::Missing,
        Point::Missing,
        GOOD(3.0),
    ];
    check(&points, Feature::Mean, Some(2.0));
    check(&points, Feature::Slope, Some(1.0));
    check(&points, Feature::Bad, Some(0.2));
    check(&points, Feature::Missing, Some(0.4));
    check(&points, Feature::Stuck, Some(0.0));
}

#[test]
fn a_window_without_a_good_point_has_only_its_counts() {
    let points = [Point::Missing, Point::Bad];
    for feature in [Feature::Mean, Feature::Slope, Feature::Last, Feature::Stuck] {
        check(&points, feature, None);
    }
    check(&points, Feature::DominantHz, None);
    check(&points, Feature::Missing, Some(0.5));
}

#[test]
fn values_beyond_what_can_be_squared_have_no_deviation() {
    check(&[GOOD(1e300), GOOD(-1e300)], Feature::Std, None);
    check(&[GOOD(1e300), GOOD(-1e300)], Feature::Max, Some(1e300));
}

#[test]
fn a_run_is_measured_against_its_first_value() {
    let points = [0.0, 0.4, 0.8, 1.2, 1.3].map(GOOD);
    // Drifting is not being stuck: 0.8 is too far from 0.0.
    assert_eq!(stuck(&points, 0.5), 0.6);
    assert_eq!(stuck(&points, 0.0), 0.0);
}

#[test]
fn a_correlation_is_one_of_what_moves_together() {
    let a = [1.0, 2.0, 3.0, 4.0].map(GOOD);
    let close = |b: [f64; 4], expected: f64| {
        let value = correlation(&a, &b.map(GOOD)).unwrap();
        assert!((value - expected).abs() < 1e-12, "{value}");
    };
    close([10.0, 20.0, 30.0, 40.0], 1.0);
    close([4.0, 3.0, 2.0, 1.0], -1.0);
    close([5.0, 5.0, 5.0, 5.0], 0.0);
    // Covariance 4 by sqrt(5 * 5).
    close([1.0, 3.0, 2.0, 4.0], 0.8);
    assert_eq!(correlation(&a, &[Point::Missing; 4]), None);
}
