use bytes::Bytes;
use tokio::time::Instant;

use super::{Acked, BLAMED_MAX, Ending, Flight, Next};
use crate::mqtt::{PacketId, Reason};
use crate::uplink::entry::Entry;

fn flight(lanes: &[(u8, u64)]) -> Flight {
    let mut flight = Flight::new();
    for lane in 0..8 {
        let own = lanes.iter().filter(|(own, _)| *own == lane);
        let entry = |number: &u64| Entry::new("t".parse().unwrap(), Bytes::new(), *number).encode();
        let entries = own.map(|(_, number)| (*number, entry(number))).collect();
        flight.load(lane, entries);
        flight.load(lane, Vec::new());
    }
    flight
}

/// Sends all that may go; the numbers, in order.
fn send(flight: &mut Flight, window: usize) -> Vec<(u64, PacketId)> {
    let now = Instant::now();
    let mut sent = Vec::new();
    loop {
        match flight.next(window) {
            Next::Again(place) => {
                let again = flight.at(place).unwrap();
                sent.push((again.number, again.id));
                flight.went(place, now);
            }
            Next::New(lane, number, entry) => {
                let id = flight.free_id(|_| false);
                flight.first((lane, number), entry, Some(id), now);
                sent.push((number, id));
            }
            Next::Nothing => return sent,
        }
    }
}

fn numbers(sent: &[(u64, PacketId)]) -> Vec<u64> {
    sent.iter().map(|(number, _)| *number).collect()
}

#[test]
fn the_urgent_go_first_within_the_window_and_again_in_the_same_order() {
    let mut flight = flight(&[(3, 0), (1, 1), (3, 2), (1, 3), (3, 4)]);
    let first = send(&mut flight, 4);
    assert_eq!(numbers(&first), [1, 3, 0, 2]);
    let done = flight.acknowledged(first[1].1, Reason::SUCCESS, Instant::now());
    assert!(matches!(done, Acked::Done));
    assert_eq!(numbers(&send(&mut flight, 4)), [4]);
    assert!(flight.ended(Ending::Other).is_none());
    let again = send(&mut flight, 4);
    assert_eq!(numbers(&again), [1, 0, 2, 4]);
    assert_eq!(again[0], first[0], "under the same identifier");
    assert_eq!(flight.take_gone(), [(1, 3)]);
    let old = flight.acknowledged(first[1].1, Reason::SUCCESS, Instant::now());
    assert!(matches!(old, Acked::Unknown));
}

#[test]
fn the_message_that_ends_connections_is_found_and_only_it_is_given_up() {
    let mut flight = flight(&[(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
    let culprit = 2;
    let mut delivered = Vec::new();
    let mut given_up = Vec::new();
    // The target takes what comes before the culprit, but acknowledges nothing that
    // comes together with it.
    for _ in 0..20 {
        loop {
            let sent = send(&mut flight, 3);
            if sent.is_empty() || numbers(&sent).contains(&culprit) {
                break;
            }
            for (number, id) in sent {
                delivered.push(number);
                flight.acknowledged(id, Reason::SUCCESS, Instant::now());
            }
        }
        if let Some((sent, _)) = flight.ended(Ending::HungUp) {
            given_up.push(sent.number);
        }
    }
    assert_eq!(given_up, [culprit]);
    assert_eq!(delivered, [0, 1, 3, 4]);
    assert_eq!(flight.len(), 0);
}

#[test]
fn a_target_that_fails_for_other_reasons_costs_nothing() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    for _ in 0..10 * BLAMED_MAX {
        assert_eq!(send(&mut flight, 10).len(), 2);
        assert!(flight.ended(Ending::Other).is_none());
    }
}

#[test]
fn what_the_target_has_no_room_for_goes_again_and_what_it_refuses_is_given_up() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    let sent = send(&mut flight, 1);
    let now = Instant::now();
    for _ in 0..20 {
        let later = flight.acknowledged(sent[0].1, Reason::QUOTA_EXCEEDED, now);
        assert!(matches!(later, Acked::Later), "{later:?}");
        assert!(flight.paused_until(now).is_some());
        assert_eq!(send(&mut flight, 2), sent, "alone");
    }
    let refused = flight.acknowledged(sent[0].1, Reason::NOT_AUTHORIZED, now);
    assert!(matches!(refused, Acked::Refused(..)));
    assert_eq!(numbers(&send(&mut flight, 2)), [1]);
    assert_eq!(flight.take_gone(), [(0, 0)]);
}

#[test]
fn what_comes_while_a_lane_is_read_is_looked_for_again() {
    let mut flight = flight(&[]);
    assert!(flight.wanting().is_empty());
    flight.news();
    let reading = flight.wanting();
    assert_eq!(reading.len(), 8);
    // It is put in after its lane was looked at.
    flight.news();
    for (lane, _) in reading {
        flight.load(lane, Vec::new());
    }
    let reading = flight.wanting();
    assert_eq!(reading.len(), 8, "it is not forgotten");
    for (lane, _) in reading {
        flight.load(lane, Vec::new());
    }
    assert!(flight.wanting().is_empty(), "and that is all");
}

#[test]
fn who_hangs_up_when_asked_for_something_else_blames_no_message() {
    let mut flight = flight(&[(0, 0), (0, 1), (0, 2)]);
    assert_eq!(send(&mut flight, 10).len(), 3);
    for _ in 0..10 * BLAMED_MAX {
        assert!(flight.ended(Ending::Unclear).is_none());
        assert!(flight.is_careful() && flight.lets_ask());
        assert_eq!(numbers(&send(&mut flight, 10)), [0], "alone");
        assert!(!flight.lets_ask(), "it would be unclear again");
    }
    // Asked for nothing else, it shows which one it is.
    for _ in 1..BLAMED_MAX {
        assert!(flight.ended(Ending::HungUp).is_none());
        assert_eq!(numbers(&send(&mut flight, 10)), [0]);
    }
    let (sent, _) = flight.ended(Ending::HungUp).unwrap();
    assert_eq!(sent.number, 0);
}

#[test]
fn what_must_be_answered_before_a_message_goes_alone_is_not_waited_for_ever() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    send(&mut flight, 10);
    flight.ended(Ending::Unclear);
    assert!(flight.is_careful());
    // A connection on which nothing went, for the target did not answer.
    flight.ended(Ending::Other);
    assert!(!flight.is_careful());
}
