//! Each answer moves one message on, and nothing else does.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::{Answer, Inflight, Sent, Stage};
use crate::bus::{Message, Receipt};
use crate::mqtt::PacketId;
use crate::names::Qos;

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn sent(packet: u16, qos: Qos) -> Sent {
    Sent {
        id: id(packet),
        qos,
        retain: false,
        stage: Stage::Sent,
        stored: None,
        stored_bytes: 0,
        message: Some(Arc::new(Message::new("a".parse().unwrap(), "1"))),
        at: Instant::now(),
    }
}

#[test]
fn identifiers_go_round_and_leave_out_what_is_under_way_or_taken() {
    let mut inflight = Inflight::default();
    assert_eq!(inflight.next_id(|_| false), Some(id(1)));
    inflight.push(sent(1, Qos::AtLeastOnce));
    inflight.push(sent(3, Qos::ExactlyOnce));
    inflight.go_on_after(u16::MAX);
    assert_eq!(inflight.next_id(|id| id.get() == 2), Some(id(4)));
    assert_eq!(inflight.next_id(|_| true), None);
}

#[test]
fn an_answer_that_fits_no_message_changes_nothing() {
    let mut inflight = Inflight::default();
    inflight.push(sent(1, Qos::AtLeastOnce));
    inflight.push(sent(2, Qos::ExactlyOnce));
    for answer in [
        inflight.acknowledged(id(2)),
        inflight.acknowledged(id(3)),
        inflight.received(id(1), false),
        inflight.completed(id(1)),
        inflight.completed(id(2)),
        inflight.refused(id(1)),
    ] {
        assert!(matches!(answer, Answer::Unknown), "{answer:?}");
    }
    assert_eq!(inflight.len(), 2);
}

#[test]
fn a_message_is_settled_as_soon_as_the_device_has_it() {
    let mut inflight = Inflight::default();
    let (receipt, settled) = Receipt::new();
    let mut two = sent(2, Qos::ExactlyOnce);
    two.message = Some(Arc::new(Message {
        receipt: Some(receipt),
        ..Message::new("a".parse().unwrap(), "1")
    }));
    inflight.push(two);
    assert!(!settled.is_settled());
    assert!(matches!(inflight.received(id(2), false), Answer::Again));
    assert!(settled.is_settled());
    assert!(matches!(inflight.received(id(2), false), Answer::Again));
    assert!(matches!(inflight.refused(id(2)), Answer::Unknown));
    assert!(matches!(inflight.completed(id(2)), Answer::Done(_)));
    assert_eq!(inflight.len(), 0);
}

#[test]
fn a_release_waits_until_it_is_noted() {
    let mut inflight = Inflight::default();
    let mut two = sent(2, Qos::ExactlyOnce);
    two.stored = Some(40);
    inflight.push(two);
    assert!(matches!(
        inflight.received(id(2), true),
        Answer::Note(Some(40))
    ));
    assert!(matches!(inflight.received(id(2), true), Answer::Busy));
    assert!(matches!(inflight.completed(id(2)), Answer::Unknown));
    assert!(inflight.noted(id(2), Some(41)));
    assert!(!inflight.noted(id(2), Some(41)));
    let Answer::Done(done) = inflight.completed(id(2)) else {
        panic!("it was released");
    };
    assert_eq!(done.stored, Some(41));
}

#[test]
fn what_was_not_answered_is_taken_out_in_order() {
    let mut inflight = Inflight::default();
    for packet in 1..=4 {
        inflight.push(sent(packet, Qos::ExactlyOnce));
    }
    assert!(matches!(inflight.received(id(2), false), Answer::Again));
    let ids = |sent: &[Sent]| sent.iter().map(|sent| sent.id.get()).collect::<Vec<_>>();
    assert!(inflight.oldest().is_none(), "nobody waits for them");
    let mut owed = Message::new("a".parse().unwrap(), "1");
    let (receipt, _settled) = Receipt::new();
    owed.receipt = Some(receipt);
    inflight.push(Sent {
        message: Some(Arc::new(owed)),
        ..sent(9, Qos::AtLeastOnce)
    });
    assert!(inflight.oldest().is_some());
    assert_eq!(ids(&inflight.take_unanswered()), [1, 3, 4, 9]);
    assert_eq!(inflight.iter().count(), 1);
    assert!(inflight.oldest().is_none());
}

proptest! {
    /// Whatever a device answers, no identifier is under way twice and each message
    /// is done once.
    #[test]
    fn no_identifier_is_under_way_twice(steps in prop::collection::vec((0_u8..6, 1_u16..8), 0..200)) {
        let mut inflight = Inflight::default();
        let (mut pushed, mut done) = (0_usize, 0_usize);
        for (step, packet) in steps {
            let answer = match step {
                0 | 1 => {
                    if inflight.len() < 6
                        && let Some(id) = inflight.next_id(|_| false)
                    {
                        let qos = if step == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                        inflight.push(sent(id.get(), qos));
                        pushed += 1;
                    }
                    if pushed % 5 == 0 {
                        inflight.go_on_after(0);
                    }
                    continue;
                }
                2 => inflight.acknowledged(id(packet)),
                3 => inflight.received(id(packet), packet % 2 == 0),
                4 => inflight.completed(id(packet)),
                _ => inflight.refused(id(packet)),
            };
            if let Answer::Done(_) = answer {
                done += 1;
            }
            let mut ids: Vec<_> = inflight.iter().map(|sent| sent.id).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), inflight.len());
            prop_assert_eq!(pushed, done + inflight.len());
        }
    }
}
