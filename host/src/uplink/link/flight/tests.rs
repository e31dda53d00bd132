use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ending::{BLAMED_MAX, PASSED_MAX};
use super::{Acked, Ending, Flight, IN_FLIGHT_BYTES_MAX, Next};
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
    assert!(flight.ended(Ending::Other).is_empty());
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
        let gone = flight.ended(Ending::HungUp).into_iter();
        given_up.extend(gone.map(|(entry, _)| entry.queued_at));
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
        assert!(flight.ended(Ending::Other).is_empty());
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
        assert!(flight.ended(Ending::Unclear).is_empty());
        assert!(flight.is_careful() && flight.lets_ask());
        assert_eq!(numbers(&send(&mut flight, 10)), [0], "alone");
        assert!(!flight.lets_ask(), "it would be unclear again");
    }
    // Asked for nothing else, it shows which one it is.
    for _ in 1..BLAMED_MAX {
        assert!(flight.ended(Ending::HungUp).is_empty());
        assert_eq!(numbers(&send(&mut flight, 10)), [0]);
    }
    let given_up = flight.ended(Ending::HungUp);
    assert_eq!(given_up[0].0.queued_at, 0);
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

#[test]
fn a_target_that_acknowledges_in_order_is_not_late_however_slow_the_way() {
    let mut flight = flight(&[(0, 0), (0, 1), (0, 2)]);
    let sent = send(&mut flight, 10);
    let mut now = Instant::now();
    for (_, id) in sent {
        now += Duration::from_secs(3_600);
        flight.acknowledged(id, Reason::SUCCESS, now);
        assert!(flight.waiting_since().is_none_or(|since| since == now));
    }
    assert_eq!(flight.waiting_since(), None);
}

#[test]
fn a_message_that_the_target_passes_over_is_late_and_in_the_end_given_up_alone() {
    let numbers: Vec<_> = (0..20).map(|number| (0, number)).collect();
    let mut flight = flight(&numbers);
    let ignored = 1;
    let mut given_up = Vec::new();
    for _ in 0..PASSED_MAX {
        let mut sent = send(&mut flight, 3);
        sent.retain(|(number, _)| *number != ignored);
        let start = Instant::now();
        let first = start + Duration::from_secs(1);
        flight.acknowledged(sent.remove(0).1, Reason::SUCCESS, first);
        if flight.len() == 2 && given_up.is_empty() {
            let later = start + Duration::from_secs(10);
            flight.acknowledged(sent.remove(0).1, Reason::SUCCESS, later);
        }
        assert!(given_up.is_empty());
        assert!(flight.waiting_since().unwrap() <= start + Duration::from_secs(10));
        let after = send(&mut flight, 3);
        let last = start + Duration::from_secs(3_600);
        flight.acknowledged(after[0].1, Reason::SUCCESS, last);
        assert!(flight.waiting_since().unwrap() < last, "no credit");
        given_up = flight.ended(Ending::Silent);
    }
    let given_up: Vec<_> = given_up.iter().map(|(entry, _)| entry.queued_at).collect();
    assert_eq!(given_up, [ignored]);
}

#[test]
fn a_target_that_acknowledges_nothing_is_nobodys_fault() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    for _ in 0..10 * PASSED_MAX {
        assert_eq!(send(&mut flight, 10).len(), 2);
        assert!(flight.ended(Ending::Silent).is_empty());
    }
}

#[test]
fn only_so_many_bytes_are_under_way() {
    let mut flight = flight(&[]);
    let payload = Bytes::from(vec![0; IN_FLIGHT_BYTES_MAX / 4]);
    flight.news();
    let entry = |number| Entry::new("t".parse().unwrap(), payload.clone(), number).encode();
    flight.load(0, (0..10).map(|number| (number, entry(number))).collect());
    let sent = send(&mut flight, 100);
    assert_eq!(numbers(&sent), [0, 1, 2, 3]);
    flight.acknowledged(sent[0].1, Reason::SUCCESS, Instant::now());
    assert_eq!(numbers(&send(&mut flight, 100)), [4]);
    flight.ended(Ending::Other);
    assert_eq!(send(&mut flight, 100).len(), 4);
}
