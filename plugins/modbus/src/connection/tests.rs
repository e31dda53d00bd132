use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, ready};
use std::io;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::pdu::Table;

/// What one read gives; past the last one the peer is silent, or has closed.
type Script = VecDeque<Vec<u8>>;

/// A peer that says the same whatever it is asked.
struct Peer {
    script: Script,
    closes: bool,
    /// Says the last chunk again and again.
    endless: bool,
    reads: Rc<Cell<usize>>,
}

impl Stream for Peer {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let Some(mut chunk) = self.script.pop_front() else {
            if self.closes {
                return Ok(0);
            }
            return pending().await;
        };
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        if self.endless && self.script.is_empty() {
            self.script.push_back(chunk);
        } else if count < chunk.len() {
            self.script.push_front(chunk.split_off(count));
        }
        Ok(count)
    }

    async fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Time stands still until nothing else happens; then every deadline is over.
struct World {
    peers: RefCell<VecDeque<Peer>>,
    reads: Rc<Cell<usize>>,
}

impl World {
    fn new(scripts: Vec<Vec<Vec<u8>>>) -> Self {
        let reads = Rc::new(Cell::new(0));
        let peers = scripts
            .into_iter()
            .map(|script| Peer {
                script: script.into(),
                closes: false,
                endless: false,
                reads: Rc::clone(&reads),
            })
            .collect();
        Self {
            peers: RefCell::new(peers),
            reads,
        }
    }

    fn ask(&self, connection: &mut Connection<Peer>) -> Result<Answer, Fault> {
        let to = Target {
            address: "h:1",
            unit: 1,
            timeout: Duration::from_millis(5),
        };
        let request = Request::Read {
            table: Table::Holding,
            address: 0,
            count: 1,
        };
        connection
            .ask(self, to, &request)
            .now_or_never()
            .expect("nothing waits: every deadline is over at once")
    }
}

impl Net for World {
    type Stream = Peer;

    async fn connect(&self, _: &str) -> io::Result<Peer> {
        let peer = self.peers.borrow_mut().pop_front();
        peer.ok_or_else(|| io::Error::other("refused"))
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> {
        ready(())
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> f64 {
        0.0
    }
}

/// One request without looking first at what came unasked.
fn exchange(open: &mut Open<Peer>) -> Result<Answer, Fault> {
    let request = Request::Read {
        table: Table::Holding,
        address: 0,
        count: 1,
    };
    open.exchange(Tid::Strict, 1, &request, &[3, 0, 0, 0, 1])
        .now_or_never()
        .expect("the script has enough")
}

fn reply(tid: u16, value: u8) -> Vec<u8> {
    frame::encode(tid, 1, &[3, 2, 0, value])
}

fn value(value: u16) -> Result<Answer, Fault> {
    Ok(Answer::Registers(vec![value]))
}

#[test]
fn a_late_reply_is_discarded_and_the_right_one_taken() {
    let world = World::new(vec![vec![]]);
    let mut connection = Connection::new(Tid::Strict);
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
    let open = connection.open.as_mut().unwrap();
    // The answer to the first request comes while waiting for the second.
    open.stream.script = [reply(1, 7), reply(2, 9)].into();
    assert_eq!(exchange(open), value(9));
}

#[test]
fn a_late_reply_between_requests_costs_nothing() {
    let world = World::new(vec![vec![]]);
    let mut connection = Connection::new(Tid::Strict);
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
    connection.open.as_mut().unwrap().stream.script = [reply(1, 7)].into();
    // Taken out before the next request goes out; then nothing comes.
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
}

#[test]
fn a_foreign_identifier_ends_the_connection() {
    for tid in [0, 2, 0x4001, 0xffff] {
        let world = World::new(vec![vec![reply(tid, 7)], vec![reply(1, 9)]]);
        let mut connection = Connection::new(Tid::Strict);
        assert_eq!(world.ask(&mut connection), Err(Fault::Foreign(tid)));
        assert_eq!(world.ask(&mut connection), value(9));
    }
}

#[test]
fn late_replies_without_end_are_given_up() {
    let world = World::new(vec![vec![reply(1, 7)], vec![]]);
    let mut connection = Connection::new(Tid::Strict);
    assert_eq!(world.ask(&mut connection), value(7));
    let open = connection.open.as_mut().unwrap();
    open.stream.script = [reply(1, 7)].into();
    open.stream.endless = true;
    assert_eq!(exchange(open), Err(Fault::Stale));
}

#[test]
fn serial_takes_any_identifier_but_ends_with_a_time_out() {
    let world = World::new(vec![vec![reply(0, 7)], vec![reply(999, 9)]]);
    let mut connection = Connection::new(Tid::Serial);
    assert_eq!(world.ask(&mut connection), value(7));
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
    assert!(connection.open.is_none());
    assert_eq!(world.ask(&mut connection), value(9));
}

#[test]
fn stray_bytes_between_requests_cost_no_reading() {
    for stray in [vec![0x13, 0x37], vec![0xff; 300], reply(0x5000, 1)] {
        let first = [reply(1, 7), stray].concat();
        let world = World::new(vec![vec![first], vec![reply(1, 9)]]);
        let mut connection = Connection::new(Tid::Strict);
        assert_eq!(world.ask(&mut connection), value(7));
        assert_eq!(world.ask(&mut connection), value(9));
    }
}

#[test]
fn a_connection_closed_while_idle_costs_no_reading() {
    let world = World::new(vec![vec![reply(1, 7)], vec![reply(1, 9)]]);
    let mut connection = Connection::new(Tid::Strict);
    assert_eq!(world.ask(&mut connection), value(7));
    connection.open.as_mut().unwrap().stream.closes = true;
    assert_eq!(world.ask(&mut connection), value(9));
}

#[test]
fn what_is_wrong_in_a_whole_frame_fails_the_request_only() {
    let wrong_unit = frame::encode(1, 2, &[3, 2, 0, 7]);
    let exception = frame::encode(1, 1, &[0x80, 1]);
    let short = frame::encode(1, 1, &[3, 2, 0]);
    for first in [wrong_unit, exception, short] {
        let world = World::new(vec![vec![first]]);
        let mut connection = Connection::new(Tid::Strict);
        assert!(world.ask(&mut connection).is_err());
        assert!(connection.open.is_some());
    }
}

#[test]
fn a_silent_connection_is_made_anew() {
    let world = World::new(vec![vec![], vec![reply(1, 9)]]);
    let mut connection = Connection::new(Tid::Strict);
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
    assert_eq!(world.ask(&mut connection), Err(Fault::Timeout(5)));
    assert_eq!(world.ask(&mut connection), value(9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Hostile peers: any bytes in any pieces, frames among them.
    #[test]
    fn any_bytes_fail_a_request_within_bounds(
        scripts in prop::collection::vec(prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 1..300),
            (0..4_u16, 0..3_u8, prop::collection::vec(any::<u8>(), 1..=253))
                .prop_map(|(tid, unit, pdu)| frame::encode(tid, unit, &pdu)),
            (1..4_u16, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(tid, more)| {
                frame::encode(tid, 1, &[vec![3, 2], more].concat())
            }),
        ], 0..6), 1..4),
        closes in any::<bool>(),
        endless in any::<bool>(),
        serial in any::<bool>(),
    ) {
        let world = World::new(scripts);
        for peer in world.peers.borrow_mut().iter_mut() {
            (peer.closes, peer.endless) = (closes, endless);
        }
        let mode = if serial { Tid::Serial } else { Tid::Strict };
        let mut connection = Connection::new(mode);
        for _ in 0..4 {
            let before = world.reads.get();
            if let Ok(answer) = world.ask(&mut connection) {
                prop_assert!(matches!(answer, Answer::Registers(words) if words.len() == 1));
            }
            // Twice at most, each time at most nine frames of 260 bytes.
            prop_assert!(world.reads.get() - before <= 2 * 10 * FRAME_MAX);
        }
    }
}
