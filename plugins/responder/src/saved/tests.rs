use super::*;
use crate::{Anomaly, AnomalyState, Config};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// The first state of form 1 that a version wrote. Whatever is changed, it must
/// be read.
const FORM_1: &[u8] = include_bytes!("form-1.jsonl");

fn at(ms: u64) -> Now {
    let unix_ms = 1_700_000_000_000 + ms;
    Now {
        monotonic_ms: ms,
        unix_ms,
    }
}

fn speed(value: u32) -> Json {
    json!({"command": {"topic": "command/{site}/{device}/speed", "payload": {"value": value},
        "timeout_ms": 1000, "attempts_max": 2}})
}

fn rules() -> Json {
    json!([
        {"name": "slow", "cool_down_ms": 5000, "actions_per_hour_max": 20,
         "actions": [speed(50)], "revert": [speed(100)]},
        {"name": "tell", "hold_off_ms": 2000, "cool_down_ms": 0, "states": ["raised", "ongoing"],
         "actions": [{"notify": {"text": "{device}: {kind}"}}]},
    ])
}

fn responder(rules: &Json, devices_max: u32, run: u64) -> Responder {
    let config = json!({"rules": rules, "devices_max": devices_max, "pending_max": 3});
    let config: Config = serde_json::from_value(config).unwrap();
    Responder::new(config, run).unwrap()
}

fn anomaly(device: &str, state: AnomalyState, since: f64) -> Anomaly {
    Anomaly {
        site: "hall".to_owned(),
        device: device.to_owned(),
        state,
        kind: "worn".to_owned(),
        score: Some(3.0),
        threshold: Some(2.0),
        since,
    }
}

use AnomalyState::{Cleared, Ongoing, Raised};

/// Topics, and the decisions of the audit with their reasons.
fn short(messages: &[Message]) -> Vec<String> {
    let one = |message: &Message| {
        let json: Json = serde_json::from_slice(&message.payload).unwrap();
        match json["decision"].as_str() {
            Some(decision) => format!("{decision} {}", json["reason"].as_str().unwrap_or("")),
            None => format!("{} {json}", message.topic),
        }
    };
    messages
        .iter()
        .map(|message| one(message).trim_end().to_owned())
        .collect()
}

const SLOW: &str = r#"command/hall/p1/speed {"value":50}"#;
const FAST: &str = r#"command/hall/p1/speed {"value":100}"#;

/// What the first state of form 1 was made of: `p1` has an anomaly since 5,
/// answered by a command that waits and a hold-off; `p2` had one.
fn first() -> (Responder, Outbox) {
    let mut responder = responder(&rules(), 3, 7);
    responder.anomaly(at(0), &anomaly("p2", Raised, 1.0));
    responder.reply(at(10), b"7-1", b"{}").unwrap();
    responder.anomaly(at(20), &anomaly("p2", Cleared, 1.0));
    responder.reply(at(30), b"7-2", b"{}").unwrap();
    let said = responder.anomaly(at(100), &anomaly("p1", Raised, 5.0));
    assert_eq!(short(&said), [SLOW, "acted", "held for 2000 ms"]);
    responder.reply(at(200), b"7-3", br#"{"error": "jammed"}"#);
    let mut outbox = Outbox::new(9);
    for message in said {
        outbox.push(message);
    }
    (responder, outbox)
}

/// Another run, which goes on with `state` under other rules.
fn restored(rules: &Json, state: &[u8]) -> Result<(Responder, Outbox, u64), StateError> {
    let (mut responder, mut outbox) = (responder(rules, 3, 8), Outbox::new(64));
    let unix_ms = at(0).unix_ms;
    let ms = read(state, &mut responder, &mut outbox, (unix_ms, 64))?;
    Ok((responder, outbox, ms))
}

fn state_of(responder: &Responder, ms: u64) -> Vec<u8> {
    write(responder, &Outbox::new(1), at(ms))
}

#[test]
fn the_first_state_of_form_1_is_still_read() {
    let (mut same, outbox, ms) = restored(&rules(), FORM_1).unwrap();
    assert_eq!(ms, 300);
    let waiting: Vec<_> = outbox.waiting().cloned().collect();
    assert_eq!(short(&waiting), [SLOW, "acted", "held for 2000 ms"]);
    // Still kept by the bus, and delivered again: it was answered.
    let again = same.anomaly(at(310), &anomaly("p1", Raised, 5.0));
    assert_eq!(short(&again), Vec::<String>::new());
    let retried = same.tick(at(1_100));
    assert_eq!(short(&retried), [SLOW, "retried jammed"]);
    assert_eq!(retried[0].correlation.as_deref(), Some(&b"7-3"[..]));
    let confirmed = same.reply(at(1_200), b"7-3", b"{}").unwrap();
    assert_eq!(short(&confirmed), ["confirmed"]);
    let told = short(&same.tick(at(2_100)));
    assert_eq!(told, [r#"notice/hall/p1 {"text":"p1: worn"}"#, "acted"]);
    // Cooling down since 0, and no longer at 5,000.
    let p2 = |same: &mut Responder, ms| {
        let said = same.anomaly(at(ms), &anomaly("p2", Raised, 0.1 * ms as f64));
        short(&said).remove(0)
    };
    assert_eq!(p2(&mut same, 4_999), "suppressed cool-down");
    assert_ne!(p2(&mut same, 5_000), "suppressed cool-down");
    let undone = same.anomaly(at(6_000), &anomaly("p1", Cleared, 5.0));
    assert_eq!(short(&undone), [FAST, "acted"]);
}

/// If this fails, the form has changed: it needs another number, another file
/// of its own, and this one must still be read.
#[test]
fn form_1_is_written_as_it_was_first() {
    let (responder, outbox) = first();
    let state = String::from_utf8(write(&responder, &outbox, at(300))).unwrap();
    assert_eq!(state, std::str::from_utf8(FORM_1).unwrap());
}

#[test]
fn another_run_does_not_use_correlations_that_are_waited_for() {
    let (mut next, _, ms) = restored(&rules(), FORM_1).unwrap();
    let said = next.anomaly(at(ms), &anomaly("p3", Raised, 9.0));
    assert_eq!(said[0].correlation.as_deref(), Some(&b"8-4"[..]));
}

#[test]
fn what_the_rules_no_longer_say_is_abandoned_and_written_down() {
    let mut other_speed = rules();
    other_speed[0]["actions"][0] = speed(40);
    let mut other_topic = rules();
    other_topic[0]["actions"][0]["command"]["topic"] = "command/{device}".into();
    let mut renamed = rules();
    renamed[0]["name"] = "slower".into();
    for rules in [other_speed, other_topic, renamed] {
        let (mut next, outbox, _) = restored(&rules, FORM_1).unwrap();
        let waiting: Vec<_> = outbox.waiting().cloned().collect();
        // The command was not sent yet, and never will be.
        let expected = [
            "acted",
            "held for 2000 ms",
            "abandoned the configuration changed",
        ];
        assert_eq!(short(&waiting), expected);
        assert_eq!(short(&next.tick(at(1_100))), Vec::<String>::new());
        assert!(next.reply(at(1_100), b"7-3", b"{}").is_none());
    }
    let mut sites = rules();
    sites[1]["sites"] = json!(["yard"]);
    let (mut next, outbox, _) = restored(&sites, FORM_1).unwrap();
    let last = outbox.waiting().last().cloned().unwrap();
    assert_eq!(short(&[last]), ["suppressed the configuration changed"]);
    assert_eq!(short(&next.tick(at(9_000))), [SLOW, "retried jammed"]);
}

#[test]
fn rules_are_known_by_their_names_and_a_new_one_may_act() {
    let mut turned = rules();
    let new = json!({"name": "new", "actions": [{"notify": {"text": "{device}"}}]});
    turned.as_array_mut().unwrap().insert(0, new);
    let (mut next, _, _) = restored(&turned, FORM_1).unwrap();
    let again = next.anomaly(at(310), &anomaly("p1", Raised, 5.0));
    let notice = r#"notice/hall/p1 {"text":"p1"}"#;
    assert_eq!(short(&again), [notice, "acted"]);
    let undone = short(&next.anomaly(at(320), &anomaly("p1", Cleared, 5.0)));
    assert!(undone.contains(&FAST.to_owned()), "{undone:?}");
    // What nobody knows how to undo is not undone.
    let (mut next, _, _) = restored(&json!([turned[0]]), FORM_1).unwrap();
    let undone = next.anomaly(at(320), &anomaly("p1", Cleared, 5.0));
    assert_eq!(short(&undone), Vec::<String>::new());
}

#[test]
fn no_state_makes_it_send_what_its_rules_do_not_say() {
    let good = std::str::from_utf8(FORM_1).unwrap();
    let stop = good
        .replace("command/hall/p1/speed", "command/hall/p1/stop")
        .replace("notice/", "command/");
    let faster = good.replace(r#"{\"value\":50}"#, r#"{\"value\":9999}"#);
    let yard = good.replace("hall", "yard");
    for forged in [stop, faster, yard] {
        assert_ne!(forged, good);
        let mut rules = rules();
        rules[0]["sites"] = json!(["hall"]);
        let (mut next, outbox, _) = restored(&rules, forged.as_bytes()).unwrap();
        let mut sent: Vec<_> = outbox.waiting().cloned().collect();
        sent.extend(next.tick(at(99_000)));
        let commands = sent.iter().filter(|one| one.topic.starts_with("command/"));
        assert_eq!(commands.count(), 0);
    }
}

#[test]
fn a_state_keeps_to_its_bound_and_leaves_out_the_healthy() {
    let name = |number: u32| format!("{}{number}", "x".repeat(200_000));
    let tell = json!([{"name": "tell", "actions": [{"notify": {"text": "{kind}"}}]}]);
    let mut many = responder(&tell, 60_000, 7);
    let mut outbox = Outbox::new(64);
    for number in 0..40 {
        many.anomaly(at(0), &anomaly(&name(number), Raised, 1.0));
        if number > 0 {
            many.anomaly(at(1), &anomaly(&name(number), Cleared, 1.0));
        }
        outbox.push(Message::new("notice/a/b", vec![b'x'; 100_000]));
    }
    let state = write(&many, &outbox, at(2));
    assert!(state.len() <= BYTES_MAX && state.len() > BYTES_MAX - 300_000);
    let (mut next, mut next_outbox) = (responder(&tell, 60_000, 8), Outbox::new(64));
    read(&state, &mut next, &mut next_outbox, (0, 64)).unwrap();
    assert!((20..=22).contains(&next_outbox.len()));
    let devices = next.parts().devices.len();
    assert!((9..40).contains(&devices), "{devices}");
    let again = next.anomaly(at(2), &anomaly(&name(0), Raised, 1.0));
    assert_eq!(short(&again), Vec::<String>::new());
}

#[test]
fn a_state_that_contradicts_itself_is_refused_and_nothing_of_it_is_kept() {
    let good = std::str::from_utf8(FORM_1).unwrap();
    let head = good.lines().next().unwrap();
    for (state, why) in [
        (String::new(), "does not begin with a head"),
        (good.replacen(head, "", 1), "does not begin with a head"),
        (format!("{good}{head}\n"), "two heads"),
        (good.replace("\"p2\"", "\"p1\""), "twice"),
        (good.replace("\"p2\"", "\"\""), "name is none"),
        (
            good.replace(
                "\"anomaly\":{\"site\":\"hall\"",
                "\"anomaly\":{\"site\":\"a/b\"",
            ),
            "the topic is not",
        ),
        (good.replace("worn", ""), "the kind is empty"),
        (
            good.replace("\"rule\":0", "\"rule\":9"),
            "a rule without a name",
        ),
        (good.replace("acknowledged", "seen"), "unknown field"),
        (
            good.replace(
                r#","acted_ms":[]}]"#,
                r#","acted_ms":[]},{"name":"x","acted_ms":[]}]"#,
            ),
            "other rules",
        ),
        (
            good.replace(
                "\"monotonic_ms\":300",
                "\"monotonic_ms\":18446744073709551615",
            ),
            "too large",
        ),
    ] {
        let (mut responder, mut outbox) = (responder(&rules(), 3, 8), Outbox::new(64));
        let refused = read(state.as_bytes(), &mut responder, &mut outbox, (0, 64));
        let error = refused.expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
        let parts = responder.parts();
        let counts = (parts.devices.len(), parts.held.len(), parts.pending.len());
        assert_eq!((counts, outbox.len()), ((0, 0, 0), 0));
    }
}

#[test]
fn a_plugin_goes_on_with_its_predecessors_clock() {
    use crate::ResponderPlugin;
    use selvedge_plugin::{Lifecycle, Stateful};

    let config = json!({"rules": rules(), "devices_max": 3, "pending_max": 3}).to_string();
    let config = selvedge_plugin::Config::from_json(&config).unwrap();
    let mut plugin = ResponderPlugin::init(&config).unwrap();
    plugin.restore(1, FORM_1).unwrap();
    let state = plugin.snapshot();
    let head = String::from_utf8_lossy(state.split(|byte| *byte == b'\n').next().unwrap());
    let head: Json = serde_json::from_str(&head).unwrap();
    let ms = head["head"]["monotonic_ms"].as_u64().unwrap();
    assert!((300..60_000).contains(&ms), "{ms}");
    assert!(plugin.restore(1, b"hostile").is_err());
}

proptest! {
    #[test]
    fn a_run_that_is_handed_over_anywhere_gives_the_same(
        events in prop::collection::vec((0..7_u8, 0..4_u8, 0..1_500_u64), 0..150),
        cuts in prop::collection::vec(0..150_usize, 0..6),
    ) {
        // One run for both, so that their correlations can be compared.
        let fresh = || responder(&rules(), 3, 7);
        let (mut unbroken, mut handed) = (fresh(), fresh());
        let mut ms = 0;
        for (place, (what, whom, later)) in events.into_iter().enumerate() {
            if cuts.contains(&place) {
                let state = state_of(&handed, ms);
                let (mut next, mut outbox) = (fresh(), Outbox::new(9));
                let at_ms = read(&state, &mut next, &mut outbox, (at(ms).unix_ms, 9)).unwrap();
                prop_assert_eq!((at_ms, outbox.len()), (ms, 0));
                handed = next;
            }
            ms += later;
            let device = whom.to_string();
            let happens = |responder: &mut Responder| match what {
                0 => responder.anomaly(at(ms), &anomaly(&device, Raised, 0.0)),
                1 => responder.anomaly(at(ms), &anomaly(&device, Raised, ms as f64)),
                2 => responder.anomaly(at(ms), &anomaly(&device, Ongoing, 0.0)),
                3 => responder.anomaly(at(ms), &anomaly(&device, Cleared, 0.0)),
                4 => responder.acknowledge(at(ms), ("hall", &device), b""),
                5 => {
                    let correlation = format!("7-{}", place / 2);
                    let answer: &[u8] = if whom > 1 { b"{}" } else { br#"{"ok":false}"# };
                    responder.reply(at(ms), correlation.as_bytes(), answer).unwrap_or_default()
                }
                _ => responder.tick(at(ms)),
            };
            let (expected, got) = (happens(&mut unbroken), happens(&mut handed));
            prop_assert_eq!(format!("{got:?}"), format!("{expected:?}"));
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
        if let Ok((mut next, _, ms)) = restored(&rules(), &state) {
            for (later, device) in [(0, "p1"), (500, "p2"), (9_000, "p3"), (9_001, "p4")] {
                let ms = ms.saturating_add(later);
                next.anomaly(at(ms.min(1 << 60)), &anomaly(device, Raised, 1.0));
                next.tick(at(ms.min(1 << 60)));
            }
            let parts = next.parts();
            prop_assert!(parts.devices.len() <= 3 && parts.pending.len() <= 3);
            prop_assert!(restored(&rules(), &state_of(&next, ms)).is_ok());
        }
    }
}
