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
        match flight.next(window, now) {
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
    assert!(flight.ended(Ending::Other, Instant::now()).is_empty());
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
        let gone = flight.ended(Ending::HungUp, Instant::now()).into_iter();
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
        assert!(flight.ended(Ending::Other, Instant::now()).is_empty());
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
        assert!(flight.ended(Ending::Unclear, Instant::now()).is_empty());
        assert!(flight.is_careful() && flight.lets_ask());
        assert_eq!(numbers(&send(&mut flight, 10)), [0], "alone");
        assert!(!flight.lets_ask(), "it would be unclear again");
    }
    // Asked for nothing else, it shows which one it is.
    for _ in 1..BLAMED_MAX {
        assert!(flight.ended(Ending::HungUp, Instant::now()).is_empty());
        assert_eq!(numbers(&send(&mut flight, 10)), [0]);
    }
    let given_up = flight.ended(Ending::HungUp, Instant::now());
    assert_eq!(given_up[0].0.queued_at, 0);
}

#[test]
fn what_must_be_answered_before_a_message_goes_alone_is_not_waited_for_ever() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    send(&mut flight, 10);
    flight.ended(Ending::Unclear, Instant::now());
    assert!(flight.is_careful());
    // A connection on which nothing went, for the target did not answer.
    flight.ended(Ending::Other, Instant::now());
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
        given_up = flight.ended(Ending::Silent, Instant::now());
    }
    let given_up: Vec<_> = given_up.iter().map(|(entry, _)| entry.queued_at).collect();
    assert_eq!(given_up, [ignored]);
}

#[test]
fn a_target_that_acknowledges_nothing_is_nobodys_fault() {
    let mut flight = flight(&[(0, 0), (0, 1)]);
    for _ in 0..10 * PASSED_MAX {
        assert_eq!(send(&mut flight, 10).len(), 2);
        assert!(flight.ended(Ending::Silent, Instant::now()).is_empty());
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
    flight.ended(Ending::Other, Instant::now());
    assert_eq!(send(&mut flight, 100).len(), 4);
}

/// Entries of topics, all in one lane and numbered.
fn of_topics(topics: &[&str]) -> Flight {
    let mut flight = Flight::new();
    for lane in 0..8 {
        let own: &[_] = if lane == 4 { topics } else { &[] };
        let entry = |topic: &str, number| {
            Entry::new(topic.parse().unwrap(), Bytes::from_static(b"x"), number).encode()
        };
        let entries = (0..).zip(own);
        let entries = entries.map(|(number, topic)| (number, entry(topic, number)));
        flight.load(lane, entries.collect());
        flight.load(lane, Vec::new());
    }
    flight
}

/// A target that takes what is asked for, and hangs up on one topic.
struct Target {
    flight: Flight,
    now: Instant,
    hangs_up: bool,
    delivered: Vec<u64>,
    given_up: Vec<u64>,
}

impl Target {
    fn new(topics: &[&str]) -> Self {
        Self {
            flight: of_topics(topics),
            now: Instant::now(),
            hangs_up: true,
            delivered: Vec::new(),
            given_up: Vec::new(),
        }
    }

    /// Until it hangs up or nothing more goes; whether it hung up.
    fn connection(&mut self) -> bool {
        loop {
            let (place, id) = match self.flight.next(1, self.now) {
                Next::Again(place) => {
                    self.flight.went(place, self.now);
                    (place, self.flight.at(place).unwrap().id)
                }
                Next::New(lane, number, entry) => {
                    let id = self.flight.free_id(|_| false);
                    self.flight.first((lane, number), entry, Some(id), self.now);
                    (self.flight.len() - 1, id)
                }
                Next::Nothing => return false,
            };
            let sent = self.flight.at(place).unwrap();
            if self.hangs_up && sent.entry.topic.as_str() == "bad" {
                let given_up = self.flight.ended(Ending::HungUp, self.now);
                let given_up = given_up.iter().map(|(entry, _)| entry.queued_at);
                self.given_up.extend(given_up);
                return true;
            }
            self.delivered.push(sent.number);
            self.flight.acknowledged(id, Reason::SUCCESS, self.now);
        }
    }

    /// Connects as often as the target hangs up; how often that was.
    fn hang_ups(&mut self) -> u32 {
        (0..)
            .take_while(|_| self.connection())
            .last()
            .map_or(0, |last| last + 1)
    }
}

#[test]
fn of_a_topic_at_which_the_target_hangs_up_the_first_costs_most_and_the_others_flow() {
    let topics = ["good", "bad", "bad", "good", "bad", "good", "bad", "bad"];
    let mut target = Target::new(&topics);
    // The first is found, the next one goes when the good ones have gone.
    assert_eq!(target.hang_ups(), BLAMED_MAX + 1);
    assert_eq!(target.delivered, [0, 3, 5]);
    assert_eq!(target.given_up, [1, 2]);
    assert!(target.flight.is_mended(), "so delays begin anew");
    assert!(!target.flight.is_mended());
    // The others wait, so that there is a connection meanwhile.
    let wake = target.flight.wake_at(target.now).unwrap();
    assert!(wake > target.now);
    target.now = wake;
    assert_eq!(target.hang_ups(), 1);
    assert_eq!(target.given_up, [1, 2, 4, 6], "twice as many");
    // Its policy is mended.
    target.hangs_up = false;
    assert_eq!(
        target
            .flight
            .wake_at(target.now + Duration::from_secs(3_600)),
        None
    );
    target.now = target.flight.wake_at(target.now).unwrap();
    assert_eq!(target.hang_ups(), 0);
    assert_eq!(target.delivered, [0, 3, 5, 7]);
    assert_eq!(target.flight.wake_at(target.now), None);
}

#[test]
fn a_stream_of_what_the_target_forbids_does_not_hold_up_what_it_takes() {
    let mut topics = vec!["bad"; 2_000];
    topics.extend(["good"; 10]);
    topics.splice(1..1, ["good"]);
    let mut target = Target::new(&topics);
    let mut hang_ups = 0;
    while target.delivered.len() < 11 {
        hang_ups += target.hang_ups();
        let next = target.flight.wake_at(target.now);
        target.now = next.unwrap_or(target.now);
    }
    assert!(hang_ups < 50, "{hang_ups} for 2,000 messages");
    assert!(target.given_up.is_sorted());
    assert!(target.delivered.is_sorted());
}

#[test]
fn a_target_that_hangs_up_on_everything_gets_no_further_than_before() {
    let mut target = Target::new(&["bad"; 100]);
    for count in 1..=3 {
        for _ in 0..BLAMED_MAX {
            assert!(target.connection());
        }
        assert_eq!(target.given_up.len(), count, "one for each {BLAMED_MAX}");
        target.now += Duration::from_secs(300);
    }
    assert!(!target.flight.is_mended(), "delays go on growing");
}

#[test]
fn what_waits_for_its_topic_goes_in_order_and_before_the_rest() {
    let mut target = Target::new(&["bad", "bad", "good", "bad", "good", "bad"]);
    target.flight.takes = true;
    for _ in 0..BLAMED_MAX {
        assert!(target.connection());
    }
    target.hangs_up = false;
    assert_eq!(target.hang_ups(), 0);
    let bad: Vec<_> = target
        .delivered
        .iter()
        .filter(|number| ![2, 4].contains(*number))
        .collect();
    assert_eq!(bad, [&1, &3, &5]);
    assert_eq!(target.delivered.len(), 5);
}
