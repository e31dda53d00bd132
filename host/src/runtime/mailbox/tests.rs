use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Bounds, Mailbox};
use crate::bus::Message;
use crate::capabilities::port::Disposition;

fn mailbox(retries_max: u32, messages_max: u32) -> Mailbox {
    Mailbox::new(Bounds {
        retries_max,
        messages_max,
        bytes_max: 100,
    })
}

fn messages(payloads: &[&'static str]) -> Vec<Arc<Message>> {
    let message = |payload: &&'static str| Message::new("a".parse().unwrap(), *payload);
    payloads.iter().map(message).map(Arc::new).collect()
}

fn payloads(messages: &[Arc<Message>]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| std::str::from_utf8(&message.payload).unwrap())
        .collect()
}

#[test]
fn a_retried_message_comes_again_later_and_at_most_so_often() {
    let mut mailbox = mailbox(2, 10);
    let mut now = Instant::now();
    mailbox.take_fresh(messages(&["a", "b"]));
    let retry = || Disposition::Retry("not yet".to_owned());
    assert!(
        mailbox
            .settle(vec![Disposition::Done, retry()], now)
            .is_empty()
    );
    assert!(mailbox.take_held(10, now).is_empty());

    now += Duration::from_millis(100);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["b"]);
    assert!(mailbox.settle(vec![retry()], now).is_empty());
    assert_eq!(
        mailbox.next_due(now),
        Some(now + Duration::from_millis(200))
    );

    now += Duration::from_millis(200);
    mailbox.take_held(10, now);
    let dead = mailbox.settle(vec![retry()], now);
    assert_eq!(
        (dead[0].held.deliveries, dead[0].reason.as_str()),
        (3, "not yet")
    );
    assert_eq!(mailbox.next_due(now), None);
}

#[test]
fn the_killer_in_a_batch_is_found_and_its_neighbours_keep_their_order() {
    let mut mailbox = mailbox(3, 10);
    let now = Instant::now();
    mailbox.take_fresh(messages(&["a", "killer", "c"]));
    assert!(mailbox.bereave("trapped", false).is_empty());

    assert_eq!(payloads(&mailbox.take_held(10, now)), ["a"]);
    mailbox.settle(vec![], now);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["killer"]);
    let dead = mailbox.bereave("trapped", false);
    assert_eq!(payloads(&[Arc::clone(&dead[0].held.message)]), ["killer"]);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["c"]);
}

#[test]
fn a_rejected_message_is_given_up_at_once() {
    let mut mailbox = mailbox(3, 10);
    mailbox.take_fresh(messages(&["a"]));
    let dead = mailbox.settle(vec![Disposition::Reject("no".to_owned())], Instant::now());
    assert_eq!(dead[0].reason, "no");
}

#[test]
fn what_waits_to_be_tried_again_is_bounded() {
    let mut mailbox = mailbox(3, 1);
    mailbox.take_fresh(messages(&["a", "b"]));
    let retry = || Disposition::Retry("later".to_owned());
    let dead = mailbox.settle(vec![retry(), retry()], Instant::now());
    assert_eq!(dead[0].reason, "too many messages wait to be tried again");
}

#[test]
fn what_waits_to_be_tried_again_is_bounded_in_bytes_and_gives_them_back() {
    let mut mailbox = mailbox(3, 10);
    let large: &'static str = "012345678901234567890123456789012345678901234567890123456789";
    let retry = || Disposition::Retry("later".to_owned());
    let mut now = Instant::now();
    for _ in 0..2 {
        mailbox.take_fresh(messages(&[large, large]));
        assert_eq!(mailbox.settle(vec![retry(), retry()], now).len(), 1);
        now += Duration::from_secs(60);
        assert_eq!(mailbox.take_held(10, now).len(), 1);
        mailbox.settle(vec![], now);
    }
}

#[test]
fn the_innocent_of_a_batch_are_tried_alone_even_without_retries() {
    let mut mailbox = mailbox(0, 10);
    let now = Instant::now();
    mailbox.take_fresh(messages(&["innocent", "killer"]));
    assert!(mailbox.bereave("trapped", false).is_empty());
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["innocent"]);
    mailbox.settle(vec![], now);
    mailbox.take_held(10, now);
    assert_eq!(mailbox.bereave("trapped", false).len(), 1);
}

#[test]
fn what_a_successor_did_to_a_message_does_not_count_for_its_predecessor() {
    let mut mailbox = mailbox(3, 10);
    let now = Instant::now();
    mailbox.take_fresh(messages(&["seen", "a"]));
    assert!(mailbox.bereave("trapped", false).is_empty());
    mailbox.take_fresh(messages(&["in hand"]));
    // Whatever is in hand when the seat changes hands is nobody's fault.
    mailbox.hand_on();
    for _ in 0..5 {
        assert_eq!(payloads(&mailbox.take_held(10, now)), ["in hand"]);
        assert!(mailbox.bereave("trapped", true).is_empty());
    }
    mailbox.take_held(10, now);
    mailbox.hand_back();
    let delivered: Vec<_> = mailbox
        .suspects
        .iter()
        .map(|held| held.deliveries)
        .collect();
    assert_eq!(delivered, [1, 1, 1]);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["in hand"]);
    assert_eq!(mailbox.bereave("trapped", false).len(), 1);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["seen"]);
}

#[test]
fn what_is_not_granted_any_more_is_given_up() {
    let mut mailbox = mailbox(3, 10);
    let mut now = Instant::now();
    let other = Arc::new(Message::new("b".parse().unwrap(), "other"));
    let mut both = messages(&["a"]);
    both.push(other);
    mailbox.take_fresh(both.clone());
    let retry = || Disposition::Retry("later".to_owned());
    mailbox.settle(vec![retry(), retry()], now);
    mailbox.take_fresh(both);
    mailbox.hand_on();
    let dead = mailbox.keep(|topic| topic.as_str() == "a", "not granted");
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|dead| dead.reason == "not granted"));
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["a"]);
    mailbox.settle(vec![], now);
    now += Duration::from_secs(1);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["a"]);
    mailbox.settle(vec![], now);
    assert_eq!((mailbox.next_due(now), mailbox.delayed_bytes), (None, 0));
}
