use std::sync::Arc;

use super::{Bus, BusLimits, Grant, Inbox, InboxLimits, Message, Party};
use crate::names::{Topic, TopicFilter};
use crate::spec::Overflow;

mod leading;
mod receipts;
mod waiting;
mod widening;

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn filters(texts: &[&str]) -> Vec<TopicFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn bus() -> Bus {
    Bus::new(BusLimits::default())
}

/// A party that may do anything a guest may.
fn party(bus: &Bus, name: &str) -> Party {
    let all = filters(&["#", "$selvedge/#", "$share/g/#", "$share/h/#"]);
    let grant = Grant {
        publish: all.clone(),
        subscribe: all,
    };
    bus.attach(name.parse().unwrap(), grant).unwrap()
}

fn limits(messages_max: u32, overflow: Overflow) -> InboxLimits {
    InboxLimits {
        messages_max,
        bytes_max: 1 << 20,
        overflow,
        answers: false,
    }
}

fn inbox(party: &Party, texts: &[&str]) -> Inbox {
    let limits = limits(16, Overflow::Block);
    party.subscribe(&filters(texts), limits).unwrap()
}

fn message(topic_text: &str, payload: &str) -> Message {
    Message::new(topic(topic_text), payload.to_owned())
}

fn retained(topic_text: &str, payload: &str) -> Message {
    Message {
        retain: true,
        ..message(topic_text, payload)
    }
}

/// Everything that waits, as `topic=payload`, kept values marked with `*`.
fn drain(inbox: &mut Inbox) -> Vec<String> {
    let mut all = Vec::new();
    inbox.try_receive(usize::MAX, &mut all);
    let line = |message: &Arc<Message>| {
        let mark = if message.retain { "*" } else { "" };
        let payload = String::from_utf8_lossy(&message.payload);
        format!("{}={payload}{mark}", message.topic)
    };
    all.iter().map(line).collect()
}

#[test]
fn overlapping_filters_of_one_inbox_give_one_copy() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut one = inbox(&p, &["a/#", "a/+", "a/b", "$share/g/a/b"]);
    p.publish(message("a/b", "1")).unwrap();
    p.publish(message("a", "2")).unwrap();
    p.publish(message("b", "3")).unwrap();
    assert_eq!(drain(&mut one), ["a/b=1", "a=2"]);
}

#[test]
fn routing_agrees_with_the_filters() {
    let p = bus().host_party();
    let texts = [
        "#", "+", "+/+", "+/#", "a", "a/#", "a/+", "/", "/+", "a//b", "$x/#", "$x", "+/b/+",
        "a/b/#",
    ];
    let mut inboxes: Vec<_> = texts.iter().map(|text| inbox(&p, &[text])).collect();
    for name in [
        "a", "/", "a/b", "a//b", "$x", "$x/b", "a/b/c", "b", "a/", "/a", "a/b/c/d",
    ] {
        p.publish(message(name, "")).unwrap();
        for (text, inbox) in texts.iter().zip(&mut inboxes) {
            let matches = filters(&[text])[0].matches(&topic(name));
            assert_eq!(
                drain(inbox).len(),
                usize::from(matches),
                "`{text}` and `{name}`"
            );
        }
    }
}

#[test]
fn a_share_group_gives_each_message_to_one_member_in_turn() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut members: Vec<_> = (0..3).map(|_| inbox(&p, &["$share/g/a/#"])).collect();
    let mut other_group = inbox(&p, &["$share/h/a/#"]);
    let mut alone = inbox(&p, &["a/#"]);
    for serial in 0..9 {
        // Topics differ: turns are the group's, not the topic's.
        p.publish(message(&format!("a/{serial}"), "")).unwrap();
    }
    for member in &mut members {
        assert_eq!(drain(member).len(), 3);
    }
    assert_eq!(drain(&mut other_group).len(), 9);
    assert_eq!(drain(&mut alone).len(), 9);

    drop(members.pop());
    for _ in 0..4 {
        p.publish(message("a/x", "")).unwrap();
    }
    assert_eq!(
        members
            .iter_mut()
            .map(|one| drain(one).len())
            .collect::<Vec<_>>(),
        [2, 2]
    );
}

#[test]
fn a_full_member_of_a_share_group_is_passed_over() {
    for overflow in [Overflow::Block, Overflow::DropNewest] {
        let bus = bus();
        let p = party(&bus, "p");
        let shared = filters(&["$share/g/a"]);
        let mut small = p.subscribe(&shared, limits(1, overflow)).unwrap();
        let mut large = p.subscribe(&shared, limits(9, overflow)).unwrap();
        for _ in 0..10 {
            p.publish(message("a", "")).unwrap();
        }
        let last = p.publish(message("a", ""));
        assert_eq!(last.is_err(), overflow == Overflow::Block);
        assert_eq!(p.status().dropped_total, u64::from(last.is_ok()));
        assert_eq!((drain(&mut small).len(), drain(&mut large).len()), (1, 9));
    }
}

#[test]
fn later_subscribers_get_the_kept_value_marked() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut early = inbox(&p, &["a/#"]);
    p.publish(retained("a/b", "1")).unwrap();
    p.publish(retained("a/b", "2")).unwrap();
    p.publish(retained("a/c", "3")).unwrap();
    p.publish(retained("a/d", "4")).unwrap();
    p.publish(retained("a/c", "")).unwrap();
    assert_eq!(
        drain(&mut early),
        ["a/b=1", "a/b=2", "a/c=3", "a/d=4", "a/c="]
    );
    assert_eq!(drain(&mut inbox(&p, &["a/#", "a/+"])), ["a/b=2*", "a/d=4*"]);
    assert_eq!(drain(&mut inbox(&p, &["$share/g/a/#"])), [""; 0]);
    assert_eq!(drain(&mut inbox(&p, &["b/#"])), [""; 0]);
}

#[test]
fn kept_values_are_bounded_and_no_party_keeps_all() {
    let bus = Bus::new(BusLimits {
        retained_messages_max: 4,
        retained_bytes_max: 40,
        ..BusLimits::default()
    });
    let (p, q) = (party(&bus, "p"), party(&bus, "q"));
    for name in ["a", "b", "c"] {
        p.publish(retained(name, "1")).unwrap();
    }
    assert_eq!(p.status().unkept_total, 1);
    q.publish(retained("d", "1")).unwrap();
    // Too large beside the rest: and its older value is not left behind.
    q.publish(retained("d", &"x".repeat(39))).unwrap();
    assert_eq!(q.status().unkept_total, 1);
    assert_eq!(drain(&mut inbox(&q, &["#"])), ["a=1*", "b=1*"]);
    // Room given back is room.
    p.publish(retained("a", "")).unwrap();
    p.publish(retained("c", "1")).unwrap();
    assert_eq!(drain(&mut inbox(&q, &["#"])), ["b=1*", "c=1*"]);
}

#[test]
fn a_refused_message_reaches_nobody_and_is_not_kept() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut inboxes: Vec<_> = (0..4).map(|_| inbox(&p, &["a/#"])).collect();
    let lossy = limits(16, Overflow::DropOldest);
    inboxes.push(p.subscribe(&filters(&["a/#"]), lossy).unwrap());
    let stuck = party(&bus, "stuck");
    let mut full = stuck
        .subscribe(&filters(&["#"]), limits(1, Overflow::Block))
        .unwrap();
    p.publish(message("x", "")).unwrap();

    let refused = p.publish(retained("a/b", "1")).unwrap_err();
    assert_eq!(refused.code(), "subscriber-busy");
    assert_eq!(
        refused.to_string(),
        "`stuck` has no room for a message on `a/b`"
    );
    for inbox in &mut inboxes {
        assert_eq!(drain(inbox), [""; 0]);
    }
    assert_eq!(drain(&mut inbox(&p, &["a/b"])), [""; 0]);
    assert_eq!(
        (p.status().published_total, p.status().refused_total),
        (1, 1)
    );

    // Nothing stays reserved: all take their full number once there is room.
    drain(&mut full);
    drop(full);
    for _ in 0..16 {
        p.publish(message("a/b", "")).unwrap();
    }
    assert!(p.publish(message("a/b", "")).is_err());
    assert_eq!(drain(&mut inboxes[0]).len(), 16);
}

#[test]
fn a_lossy_publish_reaches_those_with_room_and_counts_the_others() {
    let bus = bus();
    let (p, slow) = (party(&bus, "p"), party(&bus, "slow"));
    let one = limits(1, Overflow::Block);
    let mut full = slow.subscribe(&filters(&["a"]), one).unwrap();
    let mut member = slow.subscribe(&filters(&["$share/g/a"]), one).unwrap();
    let mut room = inbox(&p, &["a"]);
    for serial in ["1", "2", "3"] {
        p.publish_lossy(message("a", serial)).unwrap();
    }
    assert_eq!(drain(&mut room), ["a=1", "a=2", "a=3"]);
    assert_eq!(drain(&mut full), ["a=1"]);
    assert_eq!(drain(&mut member), ["a=1"]);
    assert_eq!(slow.status().dropped_total, 4);
    assert!(p.publish_lossy(message("$selvedge/x", "")).is_err());
}

#[test]
fn a_message_larger_than_an_inbox_is_dropped_there_and_blocks_nobody() {
    let bus = bus();
    let (p, q) = (party(&bus, "p"), party(&bus, "q"));
    for overflow in [
        Overflow::Block,
        Overflow::DropOldest,
        Overflow::LatestPerTopic,
    ] {
        let small = InboxLimits {
            bytes_max: 10,
            ..limits(4, overflow)
        };
        let mut small = q.subscribe(&filters(&["#"]), small).unwrap();
        let mut large = inbox(&p, &["#"]);
        let before = q.status().dropped_total;
        p.publish(message("a", &"x".repeat(10))).unwrap();
        p.publish(message("a", "fits")).unwrap();
        assert_eq!(drain(&mut small), ["a=fits"]);
        assert_eq!(drain(&mut large).len(), 2);
        assert_eq!(q.status().dropped_total, before + 1);
    }
}

#[test]
fn what_exceeds_a_bound_is_refused_by_name() {
    let bus = bus();
    let p = party(&bus, "p");
    let refused = |change: fn(&mut Message)| {
        let mut message = message("a", "1");
        change(&mut message);
        p.publish(message).unwrap_err().code()
    };
    assert_eq!(
        refused(|m| m.payload = vec![0; (256 << 10) + 1].into()),
        "message-too-large"
    );
    assert_eq!(
        refused(|m| m.correlation = Some(vec![0; 129].into())),
        "message-malformed"
    );
    assert_eq!(
        refused(|m| m.content_type = Some("x".repeat(129).into())),
        "message-malformed"
    );
    let many = |m: &mut Message| m.properties = (0..33).map(|_| ("k", "v")).collect();
    assert_eq!(refused(many), "message-malformed");
    let large = |m: &mut Message| m.properties = [("k", "v".repeat(4096))].into_iter().collect();
    assert_eq!(refused(large), "message-malformed");

    let mut bounded = message("a", "");
    bounded.payload = vec![0; 256 << 10].into();
    bounded.properties = (0..32).map(|_| ("k", "v")).collect();
    bounded.correlation = Some(vec![0; 128].into());
    assert_eq!(bounded.size(), (256 << 10) + 1 + 64 + 128);
    p.publish(bounded).unwrap();
}

#[test]
fn a_party_reaches_only_what_its_grant_covers() {
    let bus = bus();
    let grant = Grant {
        publish: filters(&["a/+", "$selvedge/#"]),
        subscribe: filters(&["b/#", "$share/g/c"]),
    };
    let p = bus.attach("p".parse().unwrap(), grant).unwrap();
    for (name, granted) in [
        ("a/b", true),
        ("a", false),
        ("b/c", false),
        ("$selvedge/x", false),
    ] {
        assert_eq!(p.may_publish(&topic(name)), granted, "{name}");
        // Twice, once from the cache.
        assert_eq!(p.publish(message(name, "")).is_ok(), granted, "{name}");
    }
    let limits = limits(1, Overflow::Block);
    for text in ["b", "b/#", "b/+", "$share/g/c"] {
        assert!(p.subscribe(&filters(&[text]), limits).is_ok(), "{text}");
    }
    // Joining a group takes messages from its members: that needs a grant too.
    for text in ["#", "a/b", "c", "$share/g/b", "$share/h/c", "+/#"] {
        let refused = p.subscribe(&filters(&["b", text]), limits).unwrap_err();
        assert_eq!(refused.code(), "subscribe-not-granted", "{text}");
    }
    assert_eq!(p.status().subscriptions, 0);
}

#[test]
fn only_the_host_publishes_system_topics() {
    let bus = bus();
    let (p, host) = (party(&bus, "p"), bus.host_party());
    let mut listener = inbox(&p, &["$selvedge/#"]);
    assert!(p.publish(message("$selvedge/log/p", "forged")).is_err());
    assert!(p.publish(message("$selvedge", "forged")).is_err());
    host.publish(message("$selvedge/log/p", "real")).unwrap();
    assert_eq!(drain(&mut listener), ["$selvedge/log/p=real"]);
}

#[test]
fn a_name_is_held_until_its_last_party_is_dropped() {
    let bus = bus();
    let p = party(&bus, "p");
    let again = p.clone();
    let taken = |name: &str| bus.attach(name.parse().unwrap(), Grant::default()).err();
    drop(p);
    assert_eq!(taken("p").unwrap().code(), "party-taken");
    drop(again);
    assert!(taken("p").is_none());
    assert_eq!(taken("selvedge").unwrap().code(), "party-taken");
}

#[test]
fn parties_and_subscriptions_are_bounded() {
    let bus = Bus::new(BusLimits {
        parties_max: 2,
        subscriptions_max: 5,
        party_subscriptions_max: 3,
        ..BusLimits::default()
    });
    let (p, q) = (party(&bus, "p"), party(&bus, "q"));
    let third = bus.attach("r".parse().unwrap(), Grant::default());
    assert_eq!(third.unwrap_err().code(), "parties-exhausted");
    let one = inbox(&p, &["a", "b"]);
    let subscribe = |party: &Party, texts: &[&str]| {
        let limits = limits(1, Overflow::Block);
        party
            .subscribe(&filters(texts), limits)
            .map_err(|error| error.code())
    };
    assert_eq!(
        subscribe(&p, &["c", "d"]).unwrap_err(),
        "party-subscriptions-exhausted"
    );
    let _two = subscribe(&q, &["a", "b", "c"]).unwrap();
    assert_eq!(
        subscribe(&p, &["c"]).map(drop),
        Err("subscriptions-exhausted")
    );
    let deep = "/".repeat(128);
    assert_eq!(subscribe(&p, &[&deep]).unwrap_err(), "filter-too-deep");
    drop(one);
    assert!(subscribe(&p, &["c"]).is_ok());
}

#[test]
fn a_route_is_forgotten_when_subscriptions_change() {
    let bus = Bus::new(BusLimits {
        route_cache_max: 4,
        ..BusLimits::default()
    });
    let p = party(&bus, "p");
    let mut one = inbox(&p, &["+"]);
    // More topics than are remembered, each more than once.
    for name in (0..3).flat_map(|_| 0..5) {
        p.publish(message(&format!("t{name}"), "")).unwrap();
    }
    assert_eq!(drain(&mut one).len(), 15);
    let mut two = inbox(&p, &["t1"]);
    p.publish(message("t1", "")).unwrap();
    assert_eq!((drain(&mut one).len(), drain(&mut two).len()), (1, 1));
    drop(one);
    p.publish(message("t1", "")).unwrap();
    assert_eq!(drain(&mut two).len(), 1);
}

#[test]
fn subscriptions_that_come_and_go_leave_the_routes_right() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut stays = inbox(&p, &["a/+/c", "$share/g/b/#"]);
    for round in 0..3_000 {
        let deep = format!("a/{round}/c");
        let mut passing = inbox(&p, &[&deep, "$share/h/x"]);
        if round % 500 == 0 {
            p.publish(message(&deep, "")).unwrap();
            p.publish(message("b/1", "")).unwrap();
            assert_eq!((drain(&mut stays).len(), drain(&mut passing).len()), (2, 1));
        }
    }
    assert!(bus.0.router.read().node_count() < 4_096);
    assert_eq!(p.status().subscriptions, 2);
}

#[test]
fn the_bus_stamps_messages_and_counts_them() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = inbox(&p, &["#"]);
    let mut forged = message("a", "12");
    forged.published_at = 1;
    p.publish(forged).unwrap();
    let status = p.status();
    assert_eq!((status.inbox_messages, status.inbox_bytes), (1, 3));
    assert_eq!((one.len(), one.bytes()), (1, 3));
    let mut taken = Vec::new();
    assert_eq!(one.try_receive(4, &mut taken), 1);
    assert!(taken[0].published_at > 1_600_000_000_000_000_000);
    p.publish(message("a", "left behind")).unwrap();
    drop(one);
    let status = p.status();
    assert_eq!(status.published_total, 2);
    assert_eq!((status.delivered_total, status.dropped_total), (1, 1));
    assert_eq!((status.inbox_messages, status.subscriptions), (0, 0));
    let names: Vec<_> = bus
        .parties()
        .iter()
        .map(|party| party.name.to_string())
        .collect();
    assert_eq!(names, ["selvedge", "p"]);
}
