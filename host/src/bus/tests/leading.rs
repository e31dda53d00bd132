//! An inbox outlives what is led to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{bus, drain, filters, inbox, limits, message, party, retained};
use crate::bus::{Bus, BusLimits, Grant, Inbox, InboxLimits, Message, Party};
use crate::spec::Overflow;

fn block(messages_max: u32) -> InboxLimits {
    limits(messages_max, Overflow::Block)
}

#[test]
fn what_waits_stays_in_order_and_what_is_not_led_there_any_more_goes() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut one = inbox(&p, &["a", "b/#", "$share/g/c"]);
    for (name, text) in [
        ("a", "1"),
        ("b/x", "2"),
        ("c", "3"),
        ("a", "4"),
        ("b/y", "5"),
    ] {
        p.publish(message(name, text)).unwrap();
    }
    one.resubscribe(&p, &filters(&["a", "b/x", "d"]), block(16))
        .unwrap();
    assert_eq!((p.status().dropped_total, p.status().subscriptions), (2, 3));
    assert_eq!(one.bytes(), 1 + 1 + 3 + 1 + 1 + 1);
    for (name, text) in [("c", "6"), ("b/y", "7"), ("d", "8"), ("a", "9")] {
        p.publish(message(name, text)).unwrap();
    }
    assert_eq!(drain(&mut one), ["a=1", "b/x=2", "a=4", "d=8", "a=9"]);
}

#[test]
fn kept_values_come_only_if_they_are_new_here() {
    let bus = bus();
    let p = party(&bus, "p");
    for name in ["a/1", "b/1", "c/1"] {
        p.publish(retained(name, "kept")).unwrap();
    }
    let mut one = inbox(&p, &["a/+", "$share/g/c/+"]);
    assert_eq!(drain(&mut one), ["a/1=kept*"]);
    let lead = |one: &Inbox, texts: &[&str]| one.resubscribe(&p, &filters(texts), block(16));
    lead(&one, &["a/+", "$share/g/c/+"]).unwrap();
    lead(&one, &["a/#", "b/+"]).unwrap();
    assert_eq!(drain(&mut one), ["b/1=kept*"]);
    p.publish(retained("a/2", "heard")).unwrap();
    assert_eq!(drain(&mut one), ["a/2=heard"]);
    // What was kept while it slept is not what it knows.
    one.rest();
    p.publish(retained("a/1", "newer")).unwrap();
    one.rest();
    lead(&one, &["a/+", "b/#"]).unwrap();
    assert_eq!(drain(&mut one), ["a/1=newer*"]);
    lead(&one, &["a/+", "b/#"]).unwrap();
    assert_eq!(drain(&mut one), [""; 0]);
    one.resubscribe(&p, &filters(&["c/+"]), block(16)).unwrap();
    assert_eq!(drain(&mut one), ["c/1=kept*"]);
}

#[test]
fn an_inbox_at_rest_keeps_what_waits_and_holds_up_nobody() {
    let bus = bus();
    let p = party(&bus, "p");
    let a = filters(&["a"]);
    let mut one = p.subscribe(&a, block(1)).unwrap();
    p.publish(message("a", "1")).unwrap();
    assert!(p.publish(message("a", "held up")).is_err());
    for rested in [true, false] {
        if rested {
            one.rest();
        } else {
            one.resubscribe(&p, &[], block(1)).unwrap();
        }
        p.publish(message("a", "missed")).unwrap();
        assert_eq!(p.status().inbox_messages, 1);
        one.resubscribe(&p, &a, block(1)).unwrap();
        assert!(p.publish(message("a", "held up")).is_err());
    }
    assert_eq!(drain(&mut one), ["a=1"]);
    p.publish(message("a", "2")).unwrap();
    assert_eq!(drain(&mut one), ["a=2"]);
    assert_eq!(p.status().dropped_total, 0);
}

#[test]
fn other_limits_and_policies_hold_at_once() {
    let bus = bus();
    let p = party(&bus, "p");
    let a = filters(&["#"]);
    let mut one = p.subscribe(&a, block(4)).unwrap();
    for (name, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        p.publish(message(name, text)).unwrap();
    }
    let lead = |limits| one.resubscribe(&p, &a, limits).unwrap();
    // What waits stays even beyond them.
    lead(block(2));
    assert!(p.publish(message("c", "")).is_err());
    lead(limits(2, Overflow::LatestPerTopic));
    p.publish(message("a", "5")).unwrap();
    lead(limits(3, Overflow::DropOldest));
    p.publish(message("b", "6")).unwrap();
    assert_eq!(drain(&mut one), ["a=5", "b=4", "b=6"]);
    assert_eq!(p.status().dropped_total, 3);
}

#[test]
fn who_may_not_lead_so_changes_nothing() {
    let bus = Bus::new(BusLimits {
        subscriptions_max: 3,
        party_subscriptions_max: 2,
        ..BusLimits::default()
    });
    let p = party(&bus, "p");
    let q = party(&bus, "q");
    let _others = inbox(&q, &["x"]);
    let mut one = inbox(&p, &["a", "b"]);
    p.publish(message("b", "1")).unwrap();
    let narrow = p.succeed(Grant {
        publish: Vec::new(),
        subscribe: filters(&["a"]),
    });
    let code = |refused: Result<(), crate::bus::SubscribeError>| refused.unwrap_err().code();
    assert_eq!(
        code(one.resubscribe(&narrow, &filters(&["a", "b"]), block(1))),
        "subscribe-not-granted"
    );
    assert_eq!(
        code(one.resubscribe(&p, &filters(&["a", "b", "c"]), block(1))),
        "party-subscriptions-exhausted"
    );
    // Its own count as given back.
    one.resubscribe(&p, &filters(&["c", "b"]), block(16))
        .unwrap();
    p.publish(message("c", "2")).unwrap();
    assert_eq!(drain(&mut one), ["b=1", "c=2"]);
    one.resubscribe(&narrow, &filters(&["a"]), block(16))
        .unwrap();
    drop((p, narrow));
}

#[test]
fn a_successor_has_the_same_name_and_counts_and_a_grant_of_its_own() {
    let bus = bus();
    let p = party(&bus, "p");
    let grant = Grant {
        publish: filters(&["a"]),
        subscribe: Vec::new(),
    };
    let next = p.succeed(grant);
    p.publish(message("b", "")).unwrap();
    assert!(next.publish(message("b", "")).is_err());
    next.publish(message("a", "")).unwrap();
    assert_eq!(
        (p.status().published_total, p.status().refused_total),
        (2, 1)
    );
    drop(p);
    let taken = || bus.attach("p".parse().unwrap(), Grant::default()).is_err();
    assert!(taken());
    drop(next);
    assert!(!taken());
}

#[test]
fn what_has_come_too_far_is_refused_and_kept_values_know_how_far() {
    let bus = Bus::new(BusLimits {
        hops_max: 2,
        ..BusLimits::default()
    });
    let p = party(&bus, "p");
    let far = |hops: u8| Message {
        hops,
        ..retained("a", "1")
    };
    p.publish(far(2)).unwrap();
    let refused = p.publish(far(3)).unwrap_err();
    assert_eq!(refused.code(), "too-many-hops");
    assert_eq!(bus.check(&Grant::default(), &far(3)), Err(refused));
    let one = inbox(&p, &["a"]);
    let mut kept = Vec::new();
    one.try_receive(1, &mut kept);
    assert_eq!((kept[0].hops, kept[0].retain), (2, true));
}

const MESSAGES: u32 = 30_000;

/// Publishes numbers on `a/<topic>` as fast as they are taken.
fn flood(publisher: &Party, topic: usize) {
    for number in 0..MESSAGES {
        let message = message(&format!("a/{topic}"), &number.to_string());
        while publisher.publish(message.clone()).is_err() {
            thread::yield_now();
        }
    }
}

/// Takes all there is until nothing more comes.
fn take(inbox: &Inbox, done: &AtomicBool) -> Vec<Arc<Message>> {
    let mut took = Vec::new();
    while !done.load(Ordering::Acquire) || !inbox.is_empty() {
        if inbox.try_receive(64, &mut took) == 0 {
            thread::yield_now();
        }
    }
    took
}

/// The numbers that came on `a/<topic>`.
fn numbers(took: &[Arc<Message>], topic: usize) -> Vec<u32> {
    let name = format!("a/{topic}");
    let on_topic = took.iter().filter(|message| message.topic.as_str() == name);
    let text = |message: &Arc<Message>| String::from_utf8(message.payload.to_vec()).unwrap();
    on_topic
        .map(|message| text(message).parse().unwrap())
        .collect()
}

/// Publishers on every side while an inbox is led anew without a pause: whatever
/// matches throughout arrives once, in order.
#[test]
fn nothing_is_lost_or_doubled_while_an_inbox_is_led_anew() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = p.subscribe(&filters(&["a/#"]), block(4)).unwrap();
    // Beside others, so that every way to deliver is taken.
    let roomy = limits(u32::MAX, Overflow::DropNewest);
    let beside = |name: &str, text: &str| {
        let beside = party(&bus, name).subscribe(&filters(&[text]), roomy);
        beside.unwrap()
    };
    let (direct, member) = (beside("q", "a/1"), beside("r", "$share/g/a/2"));
    let done = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|topic| {
                let publisher = party(&bus, &format!("publisher-{topic}"));
                scope.spawn(move || flood(&publisher, topic))
            })
            .collect();
        let taker = scope.spawn(|| take(&one, &done));
        let ways = [
            (&["a/#"][..], block(64)),
            (&["a/+", "b"], roomy),
            (&["a/0", "a/1", "a/2"], block(2)),
            (&["a/+", "a/#"], roomy),
            (&["#"], block(8)),
        ];
        for (texts, limits) in ways.iter().cycle() {
            one.resubscribe(&p, &filters(texts), *limits).unwrap();
            if publishers.iter().all(|publisher| publisher.is_finished()) {
                break;
            }
        }
        done.store(true, Ordering::Release);
        taker.join().unwrap()
    });
    for topic in 0..3 {
        let numbers = numbers(&took, topic);
        assert!(
            numbers.iter().copied().eq(0..MESSAGES),
            "a/{topic}: {}",
            numbers.len()
        );
    }
    assert_eq!(p.status().dropped_total, 0);
    assert_eq!(
        (direct.len(), member.len()),
        (MESSAGES as usize, MESSAGES as usize)
    );
}

/// Not even by a route that was found before.
#[test]
fn nothing_arrives_that_is_not_led_here_any_more() {
    let bus = bus();
    let p = party(&bus, "p");
    let lossy = limits(8, Overflow::DropOldest);
    let one = p.subscribe(&filters(&["a/#"]), lossy).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for topic in 0..3 {
            let publisher = party(&bus, &format!("publisher-{topic}"));
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let message = message(&format!("a/{topic}"), "");
                    publisher.publish(message).unwrap();
                }
            });
        }
        for _ in 0..2_000 {
            one.resubscribe(&p, &filters(&["a/0"]), lossy).unwrap();
            let mut took = Vec::new();
            for _ in 0..20 {
                one.try_receive(64, &mut took);
            }
            let strayed = took
                .iter()
                .filter(|message| message.topic.as_str() != "a/0");
            let strayed = strayed.count();
            one.resubscribe(&p, &filters(&["a/#"]), lossy).unwrap();
            if strayed > 0 {
                done.store(true, Ordering::Release);
            }
            assert_eq!(strayed, 0);
        }
        done.store(true, Ordering::Release);
    });
}
