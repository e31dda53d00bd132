//! One filter at a time: as MQTT subscribes and unsubscribes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{bus, drain, filters, inbox, limits, message, party, retained};
use crate::bus::{Bus, BusLimits, Grant, Inbox, Kept, Message, Party};
use crate::names::TopicFilter;
use crate::spec::Overflow;

fn filter(text: &str) -> TopicFilter {
    text.parse().unwrap()
}

/// An inbox without filters, as a session begins.
fn empty(party: &Party) -> Inbox {
    inbox(party, &[])
}

#[test]
fn kept_values_come_with_a_filter_as_asked() {
    let bus = bus();
    let p = party(&bus, "p");
    for name in ["a/1", "a/2", "b"] {
        p.publish(retained(name, "kept")).unwrap();
    }
    let mut one = empty(&p);
    let a = filter("a/+");
    one.extend(&p, &a, Kept::IfNew).unwrap();
    assert_eq!(drain(&mut one), ["a/1=kept*", "a/2=kept*"]);
    one.extend(&p, &a, Kept::IfNew).unwrap();
    one.extend(&p, &a, Kept::None).unwrap();
    one.extend(&p, &filter("b"), Kept::None).unwrap();
    one.extend(&p, &filter("$share/g/a/+"), Kept::All).unwrap();
    assert_eq!(drain(&mut one), [""; 0]);
    one.extend(&p, &a, Kept::All).unwrap();
    assert_eq!(drain(&mut one), ["a/1=kept*", "a/2=kept*"]);
    // Another filter for the same topics is another subscription.
    one.extend(&p, &filter("a/1"), Kept::IfNew).unwrap();
    assert_eq!(drain(&mut one), ["a/1=kept*"]);
    assert_eq!(p.status().subscriptions, 4);
    let all: Vec<_> = one.filters().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["$share/g/a/+", "a/+", "a/1", "b"]);
}

#[test]
fn what_waits_stays_when_its_filter_goes() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut one = inbox(&p, &["a", "b"]);
    for name in ["a", "b"] {
        p.publish(message(name, "1")).unwrap();
    }
    assert!(!one.narrow(&filter("c")));
    assert!(one.narrow(&filter("a")) && !one.narrow(&filter("a")));
    for name in ["a", "b"] {
        p.publish(message(name, "2")).unwrap();
    }
    assert_eq!(drain(&mut one), ["a=1", "b=1", "b=2"]);
    assert!(one.narrow(&filter("b")));
    p.publish(retained("b", "3")).unwrap();
    assert_eq!(drain(&mut one), [""; 0]);
    assert_eq!(p.status().dropped_total, 0);
    one.extend(&p, &filter("b"), Kept::IfNew).unwrap();
    p.publish(message("b", "4")).unwrap();
    assert_eq!(drain(&mut one), ["b=3*", "b=4"]);
    // An inbox without filters costs as much as one with one.
    one.narrow(&filter("b"));
    assert_eq!(p.status().subscriptions, 1);
}

#[test]
fn what_is_not_granted_or_too_much_changes_nothing() {
    let bus = Bus::new(BusLimits {
        subscriptions_max: 4,
        party_subscriptions_max: 3,
        ..BusLimits::default()
    });
    let p = party(&bus, "p");
    let grant = Grant {
        publish: Vec::new(),
        subscribe: filters(&["a/#", "$share/g/a"]),
    };
    let q = bus.attach("q".parse().unwrap(), grant).unwrap();
    let one = empty(&q);
    let extend = |text: &str| {
        let extended = one.extend(&q, &filter(text), Kept::All);
        extended.map_err(|error| error.code())
    };
    assert_eq!(extend("b"), Err("subscribe-not-granted"));
    assert_eq!(extend("$share/h/a"), Err("subscribe-not-granted"));
    assert_eq!(extend("a/#"), Ok(()));
    assert_eq!(extend("$share/g/a"), Ok(()));
    assert_eq!(extend("a/b"), Ok(()));
    assert_eq!(extend("a/c"), Err("party-subscriptions-exhausted"));
    assert_eq!(extend("a/b"), Ok(()));
    let _others = inbox(&p, &["x"]);
    assert!(one.narrow(&filter("a/#")));
    let _more = inbox(&p, &["y"]);
    assert_eq!(extend("a/c"), Err("subscriptions-exhausted"));
    assert_eq!(q.status().subscriptions, 2);
    let all: Vec<_> = one.filters().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["$share/g/a", "a/b"]);
}

#[test]
fn room_for_nodes_is_given_back() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = empty(&p);
    for round in 0..3_000 {
        let passing = [format!("a/{round}/+"), format!("b/+/{round}/#")];
        for text in &passing {
            one.extend(&p, &filter(text), Kept::None).unwrap();
        }
        for text in &passing {
            assert!(one.narrow(&filter(text)));
        }
    }
    let router = bus.0.router.read();
    assert!(router.node_count() < 16);
    assert_eq!(router.len(), 0);
}

const MESSAGES: u32 = 20_000;

fn numbers(took: &[Arc<Message>], name: &str) -> Vec<u32> {
    let on_topic = took.iter().filter(|message| message.topic.as_str() == name);
    let text = |message: &Arc<Message>| String::from_utf8(message.payload.to_vec()).unwrap();
    on_topic
        .map(|message| text(message).parse().unwrap())
        .collect()
}

/// Filters come and go without a pause. What is led throughout arrives once and in
/// order; of what is led now and then each stretch begins with the kept value and
/// misses nothing until it ends.
#[test]
fn nothing_is_lost_or_doubled_while_filters_come_and_go() {
    let bus = bus();
    let p = party(&bus, "p");
    let roomy = limits(u32::MAX, Overflow::Block);
    let one = p.subscribe(&filters(&["steady/+"]), roomy).unwrap();
    let done = AtomicBool::new(false);
    let stretches = thread::scope(|scope| {
        let publishers: Vec<_> = ["steady/0", "steady/1", "passing"]
            .map(|name| {
                let p = party(&bus, &format!("of-{}", name.replace('/', "-")));
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let message = retained(name, &number.to_string());
                        p.publish(message).unwrap();
                    }
                })
            })
            .into();
        let mut stretches = Vec::new();
        let mut steady = Vec::new();
        while !done.load(Ordering::Acquire) {
            // Looked at before: the last stretch sees all.
            let over = publishers.iter().all(|publisher| publisher.is_finished());
            done.store(over, Ordering::Release);
            one.extend(&p, &filter("other/#"), Kept::All).unwrap();
            one.extend(&p, &filter("passing"), Kept::IfNew).unwrap();
            thread::yield_now();
            assert!(one.narrow(&filter("other/#")));
            assert!(one.narrow(&filter("passing")));
            let took = one.unread();
            stretches.push(numbers(&took, "passing"));
            steady.extend(took);
        }
        for name in ["steady/0", "steady/1"] {
            assert!(numbers(&steady, name).into_iter().eq(0..MESSAGES), "{name}");
        }
        stretches
    });
    let gapless = |stretch: &Vec<u32>| stretch.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    for stretch in &stretches {
        assert!(gapless(stretch), "{stretch:?}");
    }
    assert_eq!(stretches.last().unwrap(), &[MESSAGES - 1]);
    // None began later than the one before ended.
    let all: Vec<_> = stretches.iter().flatten().collect();
    assert!(all.is_sorted());
    assert_eq!(p.status().dropped_total, 0);
}
