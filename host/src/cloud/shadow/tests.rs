//! The machine, against the answers that AWS IoT documents and others.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::report::{Host, Report};
use super::wire::{Kind, Topics};
use super::{Pace, Shadow};
use crate::cloud::asking::{ANSWER_MAX, Sent};

const PACE: Pace = Pace {
    debounce: Duration::from_secs(1),
    interval: Duration::from_secs(10),
    bytes_max: 4096,
};

fn shadow() -> Shadow {
    let (thing, name) = ("gw".parse().unwrap(), "selvedge".parse().unwrap());
    let mut shadow = Shadow::new(Topics::new(&thing, Some(&name)), PACE);
    shadow.connected(true);
    shadow
}

fn report(version: &str) -> Report {
    Report {
        host: Host {
            version: version.to_owned(),
        },
        ..Report::default()
    }
}

fn body(sent: &Sent) -> Value {
    serde_json::from_slice(&sent.payload).unwrap()
}

fn token(sent: &Sent) -> String {
    body(sent)["clientToken"].as_str().unwrap().to_owned()
}

fn say(shadow: &mut Shadow, kind: Kind, said: &Value, now: Instant) {
    shadow.arrived(kind, said.to_string().as_bytes(), now);
}

/// Asks and is told `state` at `version`.
fn get(shadow: &mut Shadow, now: Instant, version: u64, state: &Value) {
    let sent = shadow.poll(now).unwrap();
    assert_eq!(
        sent.topic.as_str(),
        "$aws/things/gw/shadow/name/selvedge/get"
    );
    let said = json!({"version": version, "state": state, "clientToken": token(&sent)});
    say(shadow, Kind::GetAccepted, &said, now);
}

#[test]
fn it_asks_first_and_sends_the_difference_to_what_it_was_told() {
    let (mut shadow, now) = (shadow(), Instant::now());
    shadow.report(report("1"), now);
    let had = json!({"host": {"version": "1"}, "others": 1, "plugins": {"old": {}}});
    get(&mut shadow, now, 7, &json!({"reported": had}));
    assert_eq!(shadow.take_desired(), Some(None));
    assert_eq!(shadow.poll(now), None, "it waits for further changes");
    let now = now + PACE.debounce;
    let sent = shadow.poll(now).unwrap();
    assert_eq!(body(&sent)["version"], 7);
    let reported = &body(&sent)["state"]["reported"];
    assert_eq!(reported["plugins"], json!({"old": null}));
    assert!(reported.get("others").is_none() && reported.get("host").is_none());
    let said = json!({"version": 8, "state": {}, "clientToken": token(&sent)});
    say(&mut shadow, Kind::UpdateAccepted, &said, now);
    assert_eq!(shadow.due(now), None, "there is nothing more to say");
    shadow.report(report("2"), now);
    assert_eq!(shadow.due(now), Some(now + PACE.interval));
    let sent = shadow.poll(now + PACE.interval).unwrap();
    let expected = json!({"host": {"version": "2"}});
    assert_eq!(body(&sent)["state"]["reported"], expected);
    assert_eq!(body(&sent)["version"], 8);
}

#[test]
fn a_shadow_that_is_not_there_yet_is_made_whole() {
    let (mut shadow, now) = (shadow(), Instant::now());
    shadow.report(report("1"), now);
    let sent = shadow.poll(now).unwrap();
    let said = json!({"code": 404, "message": "No shadow exists", "clientToken": token(&sent)});
    say(&mut shadow, Kind::GetRejected, &said, now);
    let sent = shadow.poll(now + PACE.debounce).unwrap();
    assert!(body(&sent).get("version").is_none());
    assert_eq!(body(&sent)["state"]["reported"]["host"]["version"], "1");
}

#[test]
fn a_conflict_leads_to_a_new_difference() {
    let (mut shadow, now) = (shadow(), Instant::now());
    shadow.report(report("1"), now);
    get(&mut shadow, now, 7, &json!({}));
    let now = now + PACE.debounce;
    let sent = shadow.poll(now).unwrap();
    let said = json!({"code": 409, "message": "Version conflict", "clientToken": token(&sent)});
    say(&mut shadow, Kind::UpdateRejected, &said, now);
    let now = now + PACE.interval;
    get(
        &mut shadow,
        now,
        9,
        &json!({"reported": {"host": {"version": "0"}}}),
    );
    let sent = shadow.poll(now + PACE.interval).unwrap();
    assert_eq!(body(&sent)["version"], 9);
}

#[test]
fn what_is_too_large_for_the_cloud_is_cut() {
    let (mut shadow, mut now) = (shadow(), Instant::now());
    shadow.report(report("1"), now);
    get(&mut shadow, now, 7, &json!({}));
    for cut in [None, Some("texts"), Some("well"), Some("all")] {
        now += Duration::from_secs(700);
        let sent = shadow.poll(now).unwrap();
        assert_eq!(body(&sent)["state"]["reported"]["cut"].as_str(), cut);
        let said = json!({"code": 413, "message": "too large", "clientToken": token(&sent)});
        say(&mut shadow, Kind::UpdateRejected, &said, now);
    }
}

#[test]
fn answers_to_nobodys_question_change_nothing() {
    let (mut shadow, now) = (shadow(), Instant::now());
    shadow.report(report("1"), now);
    let sent = shadow.poll(now).unwrap();
    let desired = json!({"desired": {"deployment": {"document": "evil"}}});
    for said in [
        json!({"version": 7, "state": desired, "clientToken": "guessed"}),
        json!({"version": 7, "state": desired}),
        json!({"version": "7", "state": desired, "clientToken": token(&sent)}),
        json!({"version": -7, "state": desired, "clientToken": token(&sent)}),
        json!([1, 2]),
        json!("x".repeat(300_000)),
    ] {
        for kind in [
            Kind::GetAccepted,
            Kind::UpdateAccepted,
            Kind::GetRejected,
            Kind::UpdateRejected,
            Kind::Delta,
        ] {
            say(&mut shadow, kind, &said, now);
        }
    }
    shadow.arrived(Kind::GetAccepted, b"{\"version\":", now);
    shadow.arrived(Kind::Delta, &[0xff; 100], now);
    // An update's answer to a get.
    let said = json!({"version": 7, "state": desired, "clientToken": token(&sent)});
    say(&mut shadow, Kind::UpdateAccepted, &said, now);
    assert_eq!(shadow.take_desired(), None);
    assert_eq!(shadow.due(now), Some(now + ANSWER_MAX));
}

#[test]
fn a_storm_of_deltas_asks_once_in_each_interval() {
    let (mut shadow, mut now) = (shadow(), Instant::now());
    get(&mut shadow, now, 7, &json!({}));
    assert_eq!(shadow.take_desired(), Some(None));
    let mut asked = 0;
    for version in 8..1_008 {
        now += Duration::from_millis(30);
        let delta = json!({"version": version, "state": {"deployment": {"document": "d"}}});
        say(&mut shadow, Kind::Delta, &delta, now);
        if let Some(sent) = shadow.poll(now) {
            asked += 1;
            let state = json!({"desired": {"deployment": {"document": "d"}}});
            let said = json!({"version": version, "state": state, "clientToken": token(&sent)});
            say(&mut shadow, Kind::GetAccepted, &said, now);
            assert_eq!(shadow.take_desired(), Some(Some(json!({"document": "d"}))));
        }
    }
    assert!((2..=3).contains(&asked), "{asked}");
}

#[test]
fn a_late_delta_and_one_about_other_things_are_ignored() {
    let (mut shadow, now) = (shadow(), Instant::now());
    get(&mut shadow, now, 7, &json!({}));
    for delta in [
        json!({"version": 7, "state": {"deployment": {}}}),
        json!({"version": 6, "state": {"deployment": {}}}),
        json!({"version": 8, "state": {"colour": "red"}}),
    ] {
        say(&mut shadow, Kind::Delta, &delta, now);
    }
    assert_eq!(shadow.due(now), None);
}

/// Sends the first report to a shadow that is not there yet.
fn first_report(shadow: &mut Shadow, now: Instant) -> Sent {
    shadow.report(report("1"), now);
    let sent = shadow.poll(now).unwrap();
    let said = json!({"code": 404, "message": "No shadow exists", "clientToken": token(&sent)});
    say(shadow, Kind::GetRejected, &said, now);
    assert_eq!(shadow.take_desired(), Some(None));
    shadow.poll(now + PACE.debounce).unwrap()
}

#[test]
fn what_is_desired_while_an_answer_is_waited_for_is_asked_for_after_it() {
    let delta = |version| json!({"version": version, "state": {"deployment": {"document": "d"}}});
    let foreign = |version| json!({"version": version, "state": {}});
    let check = |kind, said: &Value, overlooked| {
        let (mut shadow, now) = (shadow(), Instant::now());
        let sent = first_report(&mut shadow, now);
        // The operator made the shadow first, and ours came after it.
        say(&mut shadow, kind, said, now);
        let said = json!({"version": 2, "state": {}, "clientToken": token(&sent)});
        say(&mut shadow, Kind::UpdateAccepted, &said, now);
        let asked = shadow.poll(now + PACE.interval);
        assert_eq!(asked.is_none(), overlooked);
        assert!(asked.is_none_or(|sent| sent.topic.as_str().ends_with("/get")));
    };
    check(Kind::Delta, &delta(1), false);
    check(Kind::UpdateAccepted, &foreign(1), false);
    check(
        Kind::Delta,
        &json!({"version": 1, "state": {"colour": "red"}}),
        true,
    );

    // To a version that was known, only a later one is news.
    for (version, asked) in [(7, false), (8, false), (9, true)] {
        let (mut shadow, now) = (shadow(), Instant::now());
        shadow.report(report("1"), now);
        get(&mut shadow, now, 7, &json!({}));
        let now = now + PACE.debounce;
        let sent = shadow.poll(now).unwrap();
        say(&mut shadow, Kind::Delta, &delta(version), now);
        let said = json!({"version": 8, "state": {}, "clientToken": token(&sent)});
        say(&mut shadow, Kind::UpdateAccepted, &said, now);
        let next = shadow.poll(now + PACE.interval);
        assert_eq!(next.is_some(), asked, "{version}");
    }
}

#[test]
fn what_is_desired_while_it_asks_is_asked_for_again() {
    let (mut shadow, now) = (shadow(), Instant::now());
    let sent = shadow.poll(now).unwrap();
    let delta = json!({"version": 9, "state": {"deployment": {"document": "d"}}});
    say(&mut shadow, Kind::Delta, &delta, now);
    let said = json!({"version": 8, "state": {}, "clientToken": token(&sent)});
    say(&mut shadow, Kind::GetAccepted, &said, now);
    assert_eq!(shadow.poll(now), None, "not faster than else");
    let now = now + PACE.interval;
    get(&mut shadow, now, 9, &json!({}));
    assert_eq!(shadow.due(now), None);
}

#[test]
fn no_answer_ever_means_fewer_and_fewer_questions() {
    let (mut shadow, start) = (shadow(), Instant::now());
    let (mut now, mut asked) = (start, 0);
    while now < start + Duration::from_secs(3_600) {
        if shadow.poll(now).is_some() {
            asked += 1;
        }
        now += Duration::from_secs(1);
    }
    assert!((8..30).contains(&asked), "{asked}");
}

#[test]
fn without_a_connection_nothing_is_sent_and_then_all_is_asked_anew() {
    let (mut shadow, now) = (shadow(), Instant::now());
    get(&mut shadow, now, 7, &json!({}));
    shadow.connected(false);
    shadow.report(report("1"), now);
    assert_eq!(shadow.due(now), None);
    assert_eq!(shadow.poll(now), None);
    shadow.connected(true);
    get(&mut shadow, now, 7, &json!({}));
}

#[test]
fn topics_are_those_of_the_shadow() {
    let thing = "gw".parse().unwrap();
    let topics = Topics::new(&thing, None);
    assert_eq!(topics.update().as_str(), "$aws/things/gw/shadow/update");
    let kind = |text: &str| topics.kind(&text.parse().unwrap());
    assert_eq!(
        kind("$aws/things/gw/shadow/update/delta"),
        Some(Kind::Delta)
    );
    assert_eq!(kind("$aws/things/gw/shadow/name/x/update/delta"), None);
    assert_eq!(kind("$aws/things/other/shadow/update/delta"), None);
    assert_eq!(topics.filters().len(), 5);
}
