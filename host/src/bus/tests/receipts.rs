//! Receipts: when a publisher is told that its message is done with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{bus, drain, filters, limits, message, party, retained};
use crate::bus::{Inbox, InboxLimits, Message, Party, Reach, Receipt, Settled};
use crate::spec::Overflow;

fn answering(messages_max: u32, overflow: Overflow) -> InboxLimits {
    InboxLimits {
        answers: true,
        ..limits(messages_max, overflow)
    }
}

fn answerer(party: &Party, text: &str) -> Inbox {
    let limits = answering(16, Overflow::Block);
    party.subscribe(&filters(&[text]), limits).unwrap()
}

fn tap(party: &Party, text: &str) -> Inbox {
    let limits = limits(16, Overflow::DropOldest);
    party.subscribe(&filters(&[text]), limits).unwrap()
}

fn asking(topic: &str, payload: &str) -> (Message, Settled) {
    let (receipt, settled) = Receipt::new();
    let message = Message {
        receipt: Some(receipt),
        ..message(topic, payload)
    };
    (message, settled)
}

fn take(inbox: &Inbox) -> Arc<Message> {
    let mut taken = Vec::new();
    inbox.try_receive(1, &mut taken);
    taken.remove(0)
}

#[test]
fn a_receipt_is_settled_when_the_last_who_answers_lets_go() {
    let bus = bus();
    let p = party(&bus, "p");
    let (one, two) = (answerer(&p, "a/#"), answerer(&p, "a/b"));
    let (tap, other_tap) = (tap(&p, "a/#"), tap(&p, "#"));
    let (asking, settled) = asking("a/b", "1");
    assert_eq!(p.publish(asking), Ok(Reach::Some));
    let (one, two) = (take(&one), take(&two));
    assert!(one.receipt.is_some() && Arc::ptr_eq(&one, &two));
    let again = Arc::clone(&one);
    drop((one, two));
    assert!(!settled.is_settled());
    drop(again);
    assert!(settled.is_settled());
    // Who does not answer has it without, and all of them have the same one.
    let (one, two) = (take(&tap), take(&other_tap));
    assert!(one.receipt.is_none() && Arc::ptr_eq(&one, &two));
    assert_eq!(one.payload, "1");
}

#[test]
fn a_message_that_nobody_answers_for_is_settled_at_once() {
    let bus = bus();
    let p = party(&bus, "p");
    let (first, settled) = asking("a", "1");
    assert_eq!(p.publish(first), Ok(Reach::Nobody));
    assert!(settled.is_settled());
    let tap = tap(&p, "#");
    let (second, settled) = asking("a", "2");
    assert_eq!(p.publish(second), Ok(Reach::Some));
    assert!(settled.is_settled());
    assert_eq!(tap.len(), 1);
    // Nor does one wait that the bus refused.
    let (refused, settled) = asking("$selvedge/x", "3");
    assert!(p.publish(refused).is_err());
    assert!(settled.is_settled());
}

#[test]
fn whoever_waits_is_woken_and_whoever_gave_up_leaves_nothing() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = answerer(&p, "a");
    let (asking, mut settled) = asking("a", "1");
    p.publish(asking).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let poll = |settled: &mut Settled, waker: &Waker| {
        std::pin::Pin::new(settled).poll(&mut Context::from_waker(waker))
    };
    assert_eq!(poll(&mut settled, Waker::noop()), Poll::Pending);
    assert_eq!(poll(&mut settled, &waker), Poll::Pending);
    drop(take(&one));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(poll(&mut settled, &waker), Poll::Ready(()));
    drop(waker);
    let (asking, mut settled) = self::asking("a", "2");
    p.publish(asking).unwrap();
    let waker = Waker::from(Arc::clone(&woken));
    assert_eq!(poll(&mut settled, &waker), Poll::Pending);
    drop((settled, waker));
    assert_eq!(Arc::strong_count(&woken), 1);
    drop(take(&one));
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a policy drops is settled, and nothing else.
#[test]
fn a_policy_that_drops_a_message_settles_it() {
    for (overflow, dropped) in [
        (Overflow::DropOldest, 0),
        (Overflow::DropNewest, 2),
        (Overflow::LatestPerTopic, 1),
    ] {
        let bus = bus();
        let p = party(&bus, "p");
        let one = p
            .subscribe(&filters(&["#"]), answering(2, overflow))
            .unwrap();
        let settled: Vec<_> = [("a", "1"), ("b", "2"), ("b", "3")]
            .map(|(topic, text)| {
                let (asking, settled) = asking(topic, text);
                p.publish(asking).unwrap();
                settled
            })
            .into();
        let which: Vec<_> = settled.iter().map(Settled::is_settled).collect();
        let expected: Vec<_> = (0..3).map(|number| number == dropped).collect();
        assert_eq!(which, expected, "{overflow:?}");
        // Closing drops what waits.
        drop(one);
        assert!(settled.iter().all(Settled::is_settled));
    }
}

#[test]
fn what_is_led_away_and_what_is_too_large_is_settled() {
    let bus = bus();
    let p = party(&bus, "p");
    let small = InboxLimits {
        bytes_max: 20,
        ..answering(16, Overflow::Block)
    };
    let one = p.subscribe(&filters(&["a", "b"]), small).unwrap();
    let (large, settled) = asking("a", &"x".repeat(40));
    p.publish(large).unwrap();
    assert!(settled.is_settled());
    let (on_a, settled_a) = asking("a", "1");
    let (on_b, settled_b) = asking("b", "1");
    p.publish(on_a).unwrap();
    p.publish(on_b).unwrap();
    one.resubscribe(&p, &filters(&["b"]), small).unwrap();
    assert!(settled_a.is_settled() && !settled_b.is_settled());
    one.rest();
    assert!(!settled_b.is_settled());
    drop(one.unread());
    assert!(settled_b.is_settled());
}

#[test]
fn one_member_of_a_group_answers_for_all() {
    let bus = bus();
    let p = party(&bus, "p");
    let shared = ["$share/g/a"; 2].map(|text| answerer(&p, text));
    let settled: Vec<_> = (0..2)
        .map(|_| {
            let (asking, settled) = asking("a", "");
            p.publish(asking).unwrap();
            settled
        })
        .collect();
    let [one, two] = shared;
    assert_eq!((one.len(), two.len()), (1, 1));
    drop(take(&one));
    assert_eq!(settled.iter().filter(|one| one.is_settled()).count(), 1);
    drop(two);
    assert!(settled.iter().all(Settled::is_settled));
}

#[test]
fn a_receipt_keeps_nothing_but_itself() {
    struct Payload(Arc<AtomicBool>);
    impl AsRef<[u8]> for Payload {
        fn as_ref(&self) -> &[u8] {
            b"payload"
        }
    }
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let bus = bus();
    let p = party(&bus, "p");
    let one = answerer(&p, "a");
    let gone = Arc::new(AtomicBool::new(false));
    let (mut asking, settled) = asking("a", "");
    asking.payload = Bytes::from_owner(Payload(Arc::clone(&gone)));
    p.publish(asking).unwrap();
    let taken = take(&one);
    assert!(!gone.load(Ordering::Relaxed));
    drop(taken);
    assert!(gone.load(Ordering::Relaxed) && settled.is_settled());
}

#[test]
fn a_bus_that_is_closing_settles_nothing() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = answerer(&p, "a");
    let (before, settled) = asking("a", "1");
    p.publish(before).unwrap();
    bus.close();
    drop(one);
    assert!(!settled.is_settled());
    let (after, settled) = asking("nobody", "2");
    p.publish(after).unwrap();
    assert!(!settled.is_settled());
}

#[test]
fn a_kept_value_comes_without_the_receipt_of_who_published_it() {
    let bus = bus();
    let p = party(&bus, "p");
    let (receipt, settled) = Receipt::new();
    let mut asking = retained("a", "1");
    asking.receipt = Some(receipt);
    p.publish(asking).unwrap();
    // Nobody writes it to a disk.
    assert!(settled.is_settled());
    let late = answerer(&p, "a");
    assert!(take(&late).receipt.is_none());
}

#[test]
fn what_has_expired_is_not_handed_out_and_is_counted() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut one = answerer(&p, "#");
    let until = |at: Instant, message: Message| Message {
        expires_at: Some(at),
        ..message
    };
    let (past, settled) = asking("a", "past");
    let now = Instant::now();
    p.publish(until(now, past)).unwrap();
    p.publish(message("a", "plain")).unwrap();
    let later = now + Duration::from_secs(3600);
    p.publish(until(later, message("a", "later"))).unwrap();
    assert_eq!(drain(&mut one), ["a=plain", "a=later"]);
    assert!(settled.is_settled());
    assert_eq!((p.status().dropped_total, p.status().inbox_bytes), (1, 0));
    p.publish(until(now, retained("b", "past"))).unwrap();
    p.publish(until(later, retained("c", "later"))).unwrap();
    drop(one);
    assert_eq!(drain(&mut answerer(&p, "#")), ["c=later*"]);
    assert_eq!(bus.kept(&filters(&["#"]), 9).len(), 1);
    assert_eq!((bus.expire_kept(), bus.kept_usage().messages), (1, 1));
}

/// Publishers on every side of inboxes that overflow, are shared, are led anew and
/// are emptied late: nobody is told while somebody still has the message, and in the
/// end everybody is.
#[test]
fn nothing_is_settled_early_however_publishers_and_inboxes_race() {
    const MESSAGES: usize = 1_000;
    const PUBLISHERS: usize = 3;
    let bus = bus();
    let p = party(&bus, "p");
    let told: Vec<_> = (0..MESSAGES * PUBLISHERS)
        .map(|_| AtomicBool::new(false))
        .collect();
    let inboxes = [
        ("a/#", answering(3, Overflow::DropOldest)),
        ("a/#", answering(3, Overflow::LatestPerTopic)),
        ("a/+", answering(4, Overflow::Block)),
        ("$share/g/a/#", answering(2, Overflow::DropNewest)),
        ("$share/g/a/#", answering(2, Overflow::Block)),
        ("a/1", limits(2, Overflow::DropNewest)),
    ]
    .map(|(text, limits)| p.subscribe(&filters(&[text]), limits).unwrap());
    let done = AtomicBool::new(false);
    let number = |message: &Message| -> usize {
        let text = std::str::from_utf8(&message.payload).unwrap();
        text.parse().unwrap()
    };
    thread::scope(|scope| {
        for inbox in inboxes {
            let (done, told) = (&done, &told);
            scope.spawn(move || {
                let mut held = Vec::new();
                while !done.load(Ordering::Acquire) || !inbox.is_empty() {
                    inbox.try_receive(2, &mut held);
                    if held.len() < 5 && !done.load(Ordering::Acquire) {
                        thread::yield_now();
                        continue;
                    }
                    for message in held.drain(..) {
                        let early = told[number(&message)].load(Ordering::Acquire);
                        assert!(!early || message.receipt.is_none());
                    }
                }
            });
        }
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (bus, told) = (&bus, &told);
                scope.spawn(move || publish_all(bus, publisher, MESSAGES, told))
            })
            .collect();
        let waiting: Vec<_> = publishers
            .into_iter()
            .flat_map(|publisher| publisher.join().unwrap())
            .collect();
        done.store(true, Ordering::Release);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !waiting.iter().all(Settled::is_settled) {
            assert!(Instant::now() < deadline, "some are never settled");
            thread::yield_now();
        }
    });
}

/// Publishes numbers, and notes which it is told of; the rest.
fn publish_all(
    bus: &crate::bus::Bus,
    publisher: usize,
    messages: usize,
    told: &[AtomicBool],
) -> Vec<Settled> {
    let p = party(bus, &format!("publisher-{publisher}"));
    let mut waiting = Vec::new();
    for number in 0..messages {
        let number = publisher * messages + number;
        loop {
            let (asking, settled) = asking(&format!("a/{publisher}"), &number.to_string());
            if p.publish(asking).is_ok() {
                waiting.push((number, settled));
                break;
            }
            thread::yield_now();
        }
        waiting.retain(|(number, settled)| {
            if settled.is_settled() {
                told[*number].store(true, Ordering::Release);
            }
            !settled.is_settled()
        });
    }
    waiting.into_iter().map(|(_, settled)| settled).collect()
}
