use super::*;

fn parse(json: &str) -> Result<Config, String> {
    let config: Config = serde_json::from_str(json).map_err(|error| error.to_string())?;
    config.check().map_err(|error| error.to_string())?;
    Ok(config)
}

fn with(part: &str) -> Result<Config, String> {
    let series = r#""series":[{"record":"a","features":["mean"]},{"record":"b"}]"#;
    let grid = r#""step_ms":100,"length":8,"hop":4,"max_gap_ms":300"#;
    parse(&format!("{{{grid},{series}{part}}}"))
}

#[track_caller]
fn refused(part: &str, why: &str) {
    let error = with(part).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn the_smallest_configuration_has_defaults() {
    let config = with("").unwrap();
    assert_eq!(config.feature_names(), ["a.mean"]);
    assert_eq!(
        (config.samples_max(), config.wait_ms, config.topic.as_str()),
        (64, 0, "feature")
    );
}

#[test]
fn names_follow_the_order_of_the_configuration() {
    let derived = r#","derived":[{"name":"d","from":{"difference":["a","b"]},
        "features":["last",{"band":{"from_hz":0.5,"to_hz":2}}]}],
        "correlations":[{"name":"a_b","of":["a","b"]}]"#;
    let names = with(derived).unwrap().feature_names();
    assert_eq!(names, ["a.mean", "d.last", "d.band_0.5_2", "a_b"]);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    refused(r#","windows":1"#, "unknown field `windows`");
    refused(
        r#","devices_max":0"#,
        "`devices_max` is 0, but must be 1 to 65536",
    );
    refused(
        r#","samples_max":7"#,
        "`samples_max` is 7, but must be 8 to",
    );
    refused(r#","topic":"a/b""#, "one topic level");
    refused(
        r#","wait_ms":801"#,
        "`wait_ms` is 801, but must be 0 to 800",
    );
    refused(
        r#","correlations":[{"name":"c","of":["a","z"]}]"#,
        "`c` uses `z`",
    );
    refused(
        r#","correlations":[{"name":"a.mean","of":["a","b"]}]"#,
        "`a.mean` is named twice",
    );
    let band = r#","derived":[{"name":"d","from":{"ratio":["a","b"]},
        "features":[{"band":{"from_hz":1,"to_hz":6}}]}]"#;
    refused(band, "`d`: a band must satisfy");
    let scale = r#","derived":[{"name":"d","from":{"ratio":["a","b"]},
        "normalise":{"range":{"min":1,"max":1}},"features":["mean"]}]"#;
    refused(scale, "a scale above 0");
}

#[test]
fn a_configuration_without_features_is_refused() {
    let error =
        parse(r#"{"step_ms":1,"length":2,"hop":1,"max_gap_ms":1,"series":[{"record":"a"}]}"#);
    assert!(error.unwrap_err().contains("`features` is 0"));
}
