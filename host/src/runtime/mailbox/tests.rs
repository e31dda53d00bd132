use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Mailbox;
use crate::bus::Message;
use crate::capabilities::port::Disposition;

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
    let mut mailbox = Mailbox::new(2, 10);
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
    let mut mailbox = Mailbox::new(3, 10);
    let now = Instant::now();
    mailbox.take_fresh(messages(&["a", "killer", "c"]));
    assert!(mailbox.bereave("trapped").is_empty());

    assert_eq!(payloads(&mailbox.take_held(10, now)), ["a"]);
    mailbox.settle(vec![], now);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["killer"]);
    let dead = mailbox.bereave("trapped");
    assert_eq!(payloads(&[Arc::clone(&dead[0].held.message)]), ["killer"]);
    assert_eq!(payloads(&mailbox.take_held(10, now)), ["c"]);
}

#[test]
fn a_rejected_message_is_given_up_at_once() {
    let mut mailbox = Mailbox::new(3, 10);
    mailbox.take_fresh(messages(&["a"]));
    let dead = mailbox.settle(vec![Disposition::Reject("no".to_owned())], Instant::now());
    assert_eq!(dead[0].reason, "no");
}

#[test]
fn what_waits_to_be_tried_again_is_bounded() {
    let mut mailbox = Mailbox::new(3, 1);
    mailbox.take_fresh(messages(&["a", "b"]));
    let retry = || Disposition::Retry("later".to_owned());
    let dead = mailbox.settle(vec![retry(), retry()], Instant::now());
    assert_eq!(dead[0].reason, "too many messages wait to be tried again");
}
