use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

fn at(ms: u64) -> Now {
    let unix_ms = 1_700_000_000_000 + ms;
    Now {
        monotonic_ms: ms,
        unix_ms,
    }
}

fn responder(rule: &str, rest: &str) -> Responder {
    let action = r#"{"command":{"topic":"command/{site}/{device}/speed","payload":{"value":50},
        "timeout_ms":1000,"attempts_max":2}}"#;
    let rule = format!(r#"{{"name":"slow","actions":[{action}]{rule}}}"#);
    let config = format!(r#"{{"rules":[{rule}]{rest}}}"#);
    Responder::new(serde_json::from_str(&config).unwrap(), 7).unwrap()
}

fn anomaly(device: &str, state: AnomalyState) -> Anomaly {
    Anomaly {
        site: "hall".to_owned(),
        device: device.to_owned(),
        state,
        kind: "worn".to_owned(),
        score: Some(3.0),
        threshold: Some(2.0),
        since: 5.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "hours at most")]
fn raised(device: &str, ms: u64) -> Anomaly {
    let since = ms as f64;
    Anomaly {
        since,
        ..anomaly(device, AnomalyState::Raised)
    }
}

/// What happens at one time: `raised p1` (another anomaly each time), `again p1`
/// (the one raised at 0), `ongoing p1`, `cleared p1`, `ack p1`, `yes 1`, `no 1` (answers to a command by its number), `tick`.
fn happens(responder: &mut Responder, ms: u64, what: &str) -> Vec<Message> {
    let (verb, whom) = what.split_once(' ').unwrap_or((what, ""));
    let correlation = format!("7-{whom}");
    let answer = |responder: &mut Responder, payload: &str| {
        let messages = responder.reply(at(ms), correlation.as_bytes(), payload.as_bytes());
        messages.unwrap_or_default()
    };
    match verb {
        "raised" => responder.anomaly(at(ms), &raised(whom, ms)),
        "again" => responder.anomaly(at(ms), &raised(whom, 0)),
        "ongoing" => responder.anomaly(at(ms), &anomaly(whom, AnomalyState::Ongoing)),
        "cleared" => responder.anomaly(at(ms), &anomaly(whom, AnomalyState::Cleared)),
        "ack" => responder.acknowledge(at(ms), ("hall", whom), br#"{"by":"ann"}"#),
        "yes" => answer(responder, r#"{"ok":true}"#),
        "no" => answer(responder, r#"{"ok":false,"error":"jammed"}"#),
        "tick" => responder.tick(at(ms)),
        _ => panic!("{what}"),
    }
}

/// A message in short: the audit's decision and reason, or topic and payload.
fn short(message: &Message) -> String {
    let json: Json = serde_json::from_slice(&message.payload).unwrap();
    if !message.topic.starts_with("audit/") {
        return format!("{} {json}", message.topic);
    }
    let revert = if json["revert"] == true {
        "revert "
    } else {
        ""
    };
    let decision = json["decision"].as_str().unwrap();
    let reason = json["reason"].as_str().map(|reason| format!(": {reason}"));
    format!("{revert}{decision}{}", reason.unwrap_or_default())
}

/// Plays a table of (milliseconds, what happens, what is said of it).
#[track_caller]
fn play(mut responder: Responder, table: &[(u64, &str, &[&str])]) {
    for (ms, what, expected) in table {
        let said: Vec<String> = happens(&mut responder, *ms, what)
            .iter()
            .map(short)
            .collect();
        assert_eq!(said, *expected, "at {ms}: {what}");
    }
}

const SLOW: &str = r#"command/hall/p1/speed {"value":50}"#;
const FAST: &str = r#"command/hall/p1/speed {"value":100}"#;

#[test]
fn a_command_is_sent_and_confirmed() {
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (10, "yes 9", &[]),
        (20, "yes 1", &["confirmed"]),
        (30, "yes 1", &[]),
        (5_000, "tick", &[]),
    ];
    play(responder("", ""), table);
}

#[test]
fn a_command_without_an_answer_is_sent_again_and_given_up() {
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (999, "tick", &[]),
        (1_000, "tick", &[SLOW, "retried: no answer"]),
        (2_000, "tick", &["timed_out: no answer"]),
        (9_000, "tick", &[]),
    ];
    play(responder("", ""), table);
}

#[test]
fn a_refused_command_is_sent_again_when_its_time_is_over() {
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (10, "no 1", &[]),
        (1_000, "tick", &[SLOW, "retried: jammed"]),
        (1_010, "no 1", &["failed: jammed"]),
    ];
    play(responder("", ""), table);
    let late: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (1_000, "tick", &[SLOW, "retried: no answer"]),
        (1_001, "yes 1", &["confirmed"]),
    ];
    play(responder("", ""), late);
}

#[test]
fn the_command_asks_for_an_answer() {
    let mut responder = responder("", r#","reply_to":"reply/r1""#);
    let messages = happens(&mut responder, 0, "raised p1");
    assert_eq!(messages[0].reply_to.as_deref(), Some("reply/r1"));
    assert_eq!(messages[0].correlation.as_deref(), Some(&b"7-1"[..]));
    let audit: Json = serde_json::from_slice(&messages[1].payload).unwrap();
    let expected = serde_json::json!({
        "at": 1_700_000_000.0, "site": "hall", "device": "p1", "kind": "worn", "rule": "slow",
        "decision": "acted", "topic": "command/hall/p1/speed", "attempt": 1,
    });
    assert_eq!(
        (messages[1].topic.as_str(), audit),
        ("audit/hall/p1", expected)
    );
}

#[test]
fn a_rule_leaves_a_device_alone_while_it_cools_down() {
    let rule = r#","cool_down_ms":5000,"states":["raised","ongoing"]"#;
    let other = r#"command/hall/p2/speed {"value":50}"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (10, "yes 1", &["confirmed"]),
        (4_999, "ongoing p1", &["suppressed: cool-down"]),
        (4_999, "raised p2", &[other, "acted"]),
        (5_000, "ongoing p1", &[SLOW, "acted"]),
    ];
    play(responder(rule, ""), table);
}

#[test]
fn a_rule_acts_only_so_often_in_an_hour() {
    let rule = r#","cool_down_ms":0,"actions_per_hour_max":2"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (1, "yes 1", &["confirmed"]),
        (
            2,
            "raised p2",
            &[r#"command/hall/p2/speed {"value":50}"#, "acted"],
        ),
        (3, "yes 2", &["confirmed"]),
        (4, "raised p3", &["suppressed: actions_per_hour_max"]),
        (
            3_599_999,
            "raised p1",
            &["suppressed: actions_per_hour_max"],
        ),
        (3_600_000, "raised p1", &[SLOW, "acted"]),
    ];
    play(responder(rule, ""), table);
}

#[test]
fn an_acknowledgement_suppresses_repeats_until_the_anomaly_clears() {
    let rule = r#","cool_down_ms":0,"states":["raised","ongoing"]"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "ack p1", &["suppressed: nothing to acknowledge"]),
        (0, "raised p1", &[SLOW, "acted"]),
        (10, "yes 1", &["confirmed"]),
        (20, "ack p1", &["acknowledged: by ann"]),
        (30, "ongoing p1", &["suppressed: acknowledged"]),
        (40, "raised p1", &["suppressed: acknowledged"]),
        (50, "cleared p1", &[]),
        (60, "raised p1", &[SLOW, "acted"]),
    ];
    play(responder(rule, ""), table);
}

#[test]
fn an_action_is_held_off_until_the_anomaly_has_gone_on() {
    let rule = r#","cool_down_ms":0,"hold_off_ms":2000"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &["held: for 2000 ms"]),
        (100, "raised p1", &[]),
        (
            1_000,
            "cleared p1",
            &["suppressed: cleared during the hold-off"],
        ),
        (3_000, "tick", &[]),
        (4_000, "raised p1", &["held: for 2000 ms"]),
        (5_999, "tick", &[]),
        (6_000, "tick", &[SLOW, "acted"]),
        (6_001, "yes 1", &["confirmed"]),
        (6_002, "cleared p1", &[]),
        (7_000, "raised p1", &["held: for 2000 ms"]),
        (
            7_500,
            "ack p1",
            &["acknowledged: by ann", "suppressed: acknowledged"],
        ),
        (9_000, "tick", &[]),
    ];
    play(responder(rule, ""), table);
}

#[test]
fn what_was_done_is_undone_when_the_anomaly_clears() {
    let rule = r#","revert":[{"command":{"topic":"command/{site}/{device}/speed",
        "payload":{"value":100},"timeout_ms":1000,"attempts_max":1}}]"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "cleared p1", &[]),
        (0, "raised p1", &[SLOW, "acted"]),
        (10, "yes 1", &["confirmed"]),
        (20, "cleared p1", &[FAST, "revert acted"]),
        (30, "yes 2", &["revert confirmed"]),
        (40, "cleared p1", &[]),
        // Still cooling down: nothing is done, so nothing is undone.
        (50, "raised p1", &["suppressed: cool-down"]),
        (60, "cleared p1", &[]),
        // The answer to the first command is no longer waited for.
        (70_000, "raised p1", &[SLOW, "acted"]),
        (
            70_010,
            "cleared p1",
            &["abandoned: the anomaly cleared", FAST, "revert acted"],
        ),
        (71_010, "tick", &["revert timed_out: no answer"]),
    ];
    play(responder(rule, ""), table);
}

#[test]
fn an_anomaly_first_heard_of_as_ongoing_counts_as_raised() {
    let table: &[(u64, &str, &[&str])] = &[
        (0, "ongoing p1", &[SLOW, "acted"]),
        (1, "yes 1", &["confirmed"]),
        (99_000, "ongoing p1", &[]),
    ];
    play(responder("", ""), table);
}

#[test]
fn an_anomaly_that_is_delivered_again_is_not_acted_on_again() {
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (1, "again p1", &[]),
        (2, "yes 1", &["confirmed"]),
        (99_000, "again p1", &[]),
        (99_001, "raised p1", &[SLOW, "acted"]),
        (99_002, "yes 2", &["confirmed"]),
        (99_003, "cleared p1", &[]),
        (199_000, "again p1", &[SLOW, "acted"]),
    ];
    play(responder("", ""), table);
}

#[test]
fn a_notice_carries_its_text() {
    let config = r#"{"rules":[{"name":"tell","kinds":["w*"],"score_min":3,
        "actions":[{"notify":{"text":"{device}: {kind}, score {score}"}}]}]}"#;
    let config: Config = serde_json::from_str(config).unwrap();
    let responder = Responder::new(config, 7).unwrap();
    let notice = r#"notice/hall/p1 {"text":"p1: worn, score 3.000"}"#;
    play(responder, &[(0, "raised p1", &[notice, "acted"])]);
}

#[test]
fn a_rule_is_only_for_what_it_names() {
    for (rule, acts) in [
        (r#","sites":["hall"]"#, true),
        (r#","sites":["yard"]"#, false),
        (r#","devices":["q1","p*"]"#, true),
        (r#","devices":["p"]"#, false),
        (r#","kinds":["worn"]"#, true),
        (r#","kinds":["wor"]"#, false),
        (r#","score_min":3"#, true),
        (r#","score_min":3.1"#, false),
        (r#","states":["ongoing"]"#, false),
    ] {
        let said = happens(&mut responder(rule, ""), 0, "raised p1");
        assert_eq!(!said.is_empty(), acts, "{rule}");
    }
    let mut scoreless = anomaly("p1", AnomalyState::Raised);
    scoreless.score = None;
    assert!(
        responder(r#","score_min":0"#, "")
            .anomaly(at(0), &scoreless)
            .is_empty()
    );
}

#[test]
fn what_does_not_fit_is_said_and_not_done() {
    let full = r#","pending_max":1,"devices_max":2"#;
    let table: &[(u64, &str, &[&str])] = &[
        (0, "raised p1", &[SLOW, "acted"]),
        (
            0,
            "raised p2",
            &["suppressed: too many commands wait for an answer"],
        ),
        (
            0,
            "raised p3",
            &["suppressed: too many devices have an anomaly"],
        ),
        (1, "yes 1", &["confirmed"]),
        (2, "cleared p2", &[]),
        (
            3,
            "raised p3",
            &[r#"command/hall/p3/speed {"value":50}"#, "acted"],
        ),
    ];
    play(responder("", full), table);
    let topic = r#"{"rules":[{"name":"r","actions":[{"command":{"topic":"command/{kind}",
        "payload":{}}}]}]}"#;
    let mut responder = Responder::new(serde_json::from_str(topic).unwrap(), 7).unwrap();
    let mut odd = anomaly("p1", AnomalyState::Raised);
    odd.kind = "a/b".to_owned();
    let said: Vec<String> = responder.anomaly(at(0), &odd).iter().map(short).collect();
    assert_eq!(said, ["suppressed: `a/b` cannot be part of a topic"]);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_by_name() {
    let notify = r#""actions":[{"notify":{"text":"x"}}]"#;
    for (config, expected) in [
        (r#"{"rules":[]}"#.to_owned(), "`rules` is 0"),
        (
            format!(r#"{{"rules":[{{"name":"",{notify}}}]}}"#),
            "`` is empty",
        ),
        (
            format!(r#"{{"rules":[{{"name":"r","states":[],{notify}}}]}}"#),
            "`states` is empty",
        ),
        (
            format!(r#"{{"rules":[{{"name":"r","states":["cleared"],{notify}}}]}}"#),
            "use `revert`",
        ),
        (
            format!(r#"{{"reply_to":"a/+","rules":[{{"name":"r",{notify}}}]}}"#),
            "`reply_to`",
        ),
        (
            format!(r#"{{"reply_to":"{{site}}","rules":[{{"name":"r",{notify}}}]}}"#),
            "`reply_to`",
        ),
        (
            r#"{"rules":[{"name":"r","actions":[{"notify":{"text":"{x}"}}]}]}"#.to_owned(),
            "rule `r`: `{x}` is not a field",
        ),
        (
            r#"{"rules":[{"name":"r","actions":[{"command":{"topic":"a/#","payload":1}}]}]}"#
                .to_owned(),
            "rule `r`: `a/#` is not a topic",
        ),
        (
            format!(r#"{{"rules":[{{"name":"r","actions_per_hour_max":0,{notify}}}]}}"#),
            "`actions_per_hour_max` is 0",
        ),
    ] {
        let error = Responder::new(serde_json::from_str(&config).unwrap(), 0).unwrap_err();
        assert!(error.to_string().contains(expected), "{config}: {error}");
    }
}

#[test]
fn an_anomaly_that_speaks_of_another_device_is_refused() {
    let anomaly = anomaly("p1", AnomalyState::Raised);
    assert_eq!(anomaly.check("anomaly/hall/p1"), Ok(()));
    for topic in ["anomaly/hall/p2", "anomaly/p1", "anomaly/hall/p1/x"] {
        assert!(anomaly.check(topic).is_err(), "{topic}");
    }
}

proptest! {
    #[test]
    fn no_course_of_events_panics_or_grows_the_state(
        events in prop::collection::vec((0..6_u8, 0..8_u8, 0..3_000_u64), 0..300)
    ) {
        let rule = r#","cool_down_ms":10,"hold_off_ms":500,"states":["raised","ongoing"],
            "actions_per_hour_max":5,"revert":[{"notify":{"text":"{kind} over"}}]"#;
        let mut responder = responder(rule, r#","devices_max":3,"pending_max":2"#);
        let mut ms = 0;
        for (what, whom, later) in events {
            ms += later;
            let verb = ["raised", "ongoing", "cleared", "ack", "yes", "tick"][usize::from(what)];
            for message in happens(&mut responder, ms, &format!("{verb} {whom}")) {
                prop_assert!(!message.topic.contains(['+', '#']));
                prop_assert!(serde_json::from_slice::<Json>(&message.payload).is_ok());
            }
            prop_assert!(responder.devices.len() <= 3);
            prop_assert!(responder.pending.len() <= 2);
            prop_assert!(responder.held.len() <= 3);
            prop_assert!(responder.acted[0].len() <= 5);
        }
    }
}
