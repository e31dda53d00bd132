use super::*;

const MODEL: &str = r#""model":"m","features":[{"name":"a"},{"name":"b"}]"#;

#[track_caller]
fn check(rest: &str, expected: &str) {
    let json = format!("{{{MODEL},{rest}}}");
    let config = serde_json::from_str::<Config>(&json).map_err(|error| error.to_string());
    let outcome = config.and_then(|config| config.check().map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => assert_eq!(expected, "", "accepted: {json}"),
        Err(error) => {
            assert!(!expected.is_empty() && error.contains(expected), "{error}");
        }
    }
}

#[test]
fn each_way_to_score_and_to_set_a_threshold_is_read() {
    check(
        r#""score":{"output":"s"},"threshold":{"fixed":{"enter":1}}"#,
        "",
    );
    check(
        r#""score":{"reconstruction":"r"},"threshold":{"fixed":{"enter":1,"leave":0.5}}"#,
        "",
    );
    let kinds = r#""kinds":{"output":"p","labels":["ok","worn"],"healthy":"ok"}"#;
    let learned = r#""threshold":{"learned":{"windows":10,"quantile":0.99}}"#;
    check(&format!(r#""score":"kinds",{kinds},{learned}"#), "");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let fixed = r#""score":{"output":"s"},"threshold":{"fixed":{"enter":1}}"#;
    check(
        &format!(r#"{fixed},"quality":1"#),
        "unknown field `quality`",
    );
    check(&format!(r#"{fixed},"raise_after":0"#), "`raise_after` is 0");
    check(
        &format!(r#"{fixed},"quality_min":1.5"#),
        "`quality_min` is 1.5",
    );
    check(&format!(r#"{fixed},"kind":"""#), "is empty");
    check(
        &format!(r#"{fixed},"checks":[{{"kind":"k","feature":"a"}}]"#),
        "check `k` needs",
    );
    check(
        r#""score":"kinds","threshold":{"fixed":{"enter":1}}"#,
        "there are no `kinds`",
    );
    let leave = r#""score":{"output":"s"},"threshold":{"fixed":{"enter":1,"leave":2}}"#;
    check(leave, "`threshold.fixed.leave` is 2");
    let kinds = r#""kinds":{"output":"p","labels":["a","b"],"healthy":"ok"}"#;
    check(&format!("{fixed},{kinds}"), "`kinds.healthy` is `ok`");
    let learned = r#""score":{"output":"s"},"threshold":{"learned":{"windows":9,"quantile":1}}"#;
    check(learned, "`threshold.learned.windows` is 9");
}
