use super::Rules;
use crate::uplink::config::{RuleConfig, UplinkConfig};

fn rules(text: &str) -> Rules {
    let rule: RuleConfig = toml::from_str(text).unwrap();
    let config = format!("endpoint = \"localhost\"\nplain = true\n[[rules]]\n{text}");
    let config: UplinkConfig = toml::from_str(&config).unwrap();
    assert_eq!(config.faults(), []);
    Rules::new(&[rule], "gw-1")
}

fn out(text: &str, topic: &str) -> Option<String> {
    let rules = rules(text);
    let topic = topic.parse().unwrap();
    let rule = rules.rule_out(&topic)?;
    let to = rules.map(rule, &topic).unwrap();
    assert!(
        rule.reach.matches(&to),
        "{} does not reach {to}",
        rule.reach
    );
    Some(to.to_string())
}

fn into(text: &str, topic: &str) -> Option<String> {
    let rules = rules(text);
    let topic = topic.parse().unwrap();
    let rule = rules.rule_in(&topic)?;
    let to = rules.map(rule, &topic).unwrap();
    assert!(
        rule.reach.matches(&to),
        "{} does not reach {to}",
        rule.reach
    );
    Some(to.to_string())
}

#[test]
fn what_wildcards_match_is_put_where_the_rule_says() {
    let rule = "filter = \"telemetry/+/+/#\"\nto = \"sites/{1}/{client_id}/x-{2}/{#}\"";
    let to = out(rule, "telemetry/lab/press/a/b");
    assert_eq!(to.as_deref(), Some("sites/lab/gw-1/x-press/a/b"));
    let to = out(rule, "telemetry/lab/press");
    assert_eq!(to.as_deref(), Some("sites/lab/gw-1/x-press"));
    assert_eq!(out(rule, "telemetry/lab"), None);
    let same = "filter = \"#\"\nto = \"{topic}\"";
    assert_eq!(out(same, "a//b").as_deref(), Some("a//b"));
    assert_eq!(out("filter = \"a/+\"", "a/b").as_deref(), Some("a/b"));
}

#[test]
fn a_prefix_goes_on_and_comes_off_again() {
    let rule =
        "filter = \"local/anomaly/#\"\nstrip = \"local/\"\nprefix = \"gw/\"\ndirection = \"both\"";
    let to = out(rule, "local/anomaly/press");
    assert_eq!(to.as_deref(), Some("gw/anomaly/press"));
    let back = into(rule, "gw/anomaly/press");
    assert_eq!(back.as_deref(), Some("local/anomaly/press"));
    assert_eq!(into(rule, "gw/other"), None);
    let aws = "filter = \"a/#\"\nprefix = \"$aws/rules/keep/\"";
    assert_eq!(out(aws, "a/b").as_deref(), Some("$aws/rules/keep/a/b"));
}

#[test]
fn of_rules_that_match_the_first_counts() {
    let text = "endpoint = \"localhost\"\nplain = true\n\
        [[rules]]\nfilter = \"a/b\"\nto = \"first\"\n[[rules]]\nfilter = \"a/#\"\nto = \"second\"";
    let config: UplinkConfig = toml::from_str(text).unwrap();
    let rules = Rules::new(&config.rules, "gw");
    let to = |topic: &str| {
        let topic = topic.parse().unwrap();
        rules
            .map(rules.rule_out(&topic).unwrap(), &topic)
            .unwrap()
            .to_string()
    };
    assert_eq!([to("a/b"), to("a/c")], ["first", "second"]);
}

#[test]
fn a_captured_part_that_makes_no_topic_is_refused_for_that_message() {
    let rules = rules("filter = \"+\"\nto = \"{1}\"");
    let long = "x".repeat(1_020);
    let rule = &rules.out[0];
    assert!(rules.map(rule, &long.parse().unwrap()).is_some());
    let rules = super::Rules::new(
        &[toml::from_str("filter = \"+\"\nto = \"prefix/{1}\"").unwrap()],
        "gw",
    );
    assert!(rules.map(&rules.out[0], &long.parse().unwrap()).is_none());
}
