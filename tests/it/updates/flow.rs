//! Numbered messages through two plugins while something is done to the first,
//! and what must hold of all that comes out.

use std::collections::BTreeSet;
use std::time::Duration;

use selvedge::bus::Inbox;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::deployments::world::Host;
use crate::process::DEADLINE;

/// How often each of the two is sent a message.
const PACE: Duration = Duration::from_millis(1);
/// The plugin that is updated, and one beside it.
pub(super) const UPDATED: &str = "p";
pub(super) const NEIGHBOUR: &str = "n";
/// How long the neighbour may say nothing. Shorter than any call that spins here.
const SILENCE_MAX: Duration = Duration::from_millis(3_500);
/// Milliseconds that a call may take which spins.
pub(super) const SPIN_MS: u32 = 4_000;
/// The last message.
const END: &str = "end";

/// One message that came through.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The version that handled it.
    pub(super) label: String,
    /// What it had counted.
    pub(super) count: u64,
    /// The message's own number.
    pub(super) number: u64,
}

/// All that came through one plugin.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    silence: Duration,
}

/// All that came through both.
#[derive(Debug)]
pub(super) struct Seen {
    sent: u64,
    pub(super) updated: Rows,
    neighbour: Rows,
    /// Numbers of messages to the first that were given up.
    pub(super) dead: BTreeSet<u64>,
}

/// Sends messages through both plugins while `work` goes on, and waits until all
/// have come out.
pub(super) async fn under_load<T>(host: &Host, work: impl Future<Output = T>) -> (T, Seen) {
    let listen = |name: &str| host.listen(&format!("seen/{name}"));
    let (updated, neighbour) = (listen(UPDATED), listen(NEIGHBOUR));
    let letters = host.listen(&format!("$selvedge/dead-letter/{UPDATED}"));
    let done = CancellationToken::new();
    let work = async {
        let done = done.clone().drop_guard();
        let out = work.await;
        drop(done);
        out
    };
    let all = async {
        tokio::join!(
            work,
            feed(host, UPDATED, &done),
            feed(host, NEIGHBOUR, &done),
            collect(updated),
            collect(neighbour),
        )
    };
    let (out, sent, beside, updated, neighbour) = timeout(DEADLINE, all).await.unwrap();
    let mut batch = Vec::new();
    while letters.try_receive(64, &mut batch) > 0 {}
    let dead = batch.iter().map(|letter| number(&letter.payload).unwrap());
    let seen = Seen {
        sent,
        updated,
        neighbour,
        dead: dead.collect(),
    };
    seen.check(beside);
    (out, seen)
}

async fn feed(host: &Host, name: &str, done: &CancellationToken) -> u64 {
    let topic = format!("in/{name}/x");
    let mut pace = interval(PACE);
    let mut number = 0;
    while !done.is_cancelled() {
        pace.tick().await;
        host.publish_waiting(&topic, &number.to_string()).await;
        number += 1;
    }
    host.publish_waiting(&topic, END).await;
    number
}

async fn collect(mut inbox: Inbox) -> Rows {
    let mut seen = Rows::default();
    let (mut batch, mut last) = (Vec::new(), Instant::now());
    loop {
        inbox.receive(64, &mut batch).await;
        seen.silence = seen.silence.max(last.elapsed());
        last = Instant::now();
        for message in batch.drain(..) {
            let text = std::str::from_utf8(&message.payload).unwrap();
            let mut words = text.split(' ');
            let (Some(label), Some(count), Some(number)) =
                (words.next(), words.next(), words.next())
            else {
                // What a plugin says beside it.
                continue;
            };
            if number == END {
                return seen;
            }
            seen.rows.push(Row {
                label: label.to_owned(),
                count: count.parse().unwrap(),
                number: number.parse().unwrap(),
            });
        }
    }
}

fn number(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

impl Seen {
    /// Nothing is lost, doubled or out of order, and nothing is given up that came
    /// through; the neighbour was not disturbed at all.
    fn check(&self, beside: u64) {
        let numbers =
            |rows: &Rows| -> Vec<u64> { rows.rows.iter().map(|row| row.number).collect() };
        let expected = (0..self.sent).filter(|number| !self.dead.contains(number));
        assert_same(&numbers(&self.updated), &expected.collect::<Vec<_>>());
        assert_same(&numbers(&self.neighbour), &(0..beside).collect::<Vec<_>>());
        let counts: Vec<_> = self.neighbour.rows.iter().map(|row| row.count).collect();
        assert_same(&counts, &(1..=beside).collect::<Vec<_>>());
        let silence = self.neighbour.silence;
        assert!(
            silence < SILENCE_MAX,
            "the neighbour paused for {silence:?}"
        );
    }

    /// The labels of the versions that handled something, in their order.
    pub(super) fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<_> = self.updated.rows.iter().map(|row| &*row.label).collect();
        labels.dedup();
        labels
    }

    /// The count goes on from one version to the next. Where the version called one
    /// of `died` had it, it goes on from what that one was handed.
    pub(super) fn assert_counts_go_on(&self, died: &[&str]) {
        let (mut kept, mut last, mut label) = (0, 0, "");
        for row in &self.updated.rows {
            if row.label != label {
                kept = if died.contains(&label) { kept } else { last };
                (last, label) = (kept, &row.label);
            }
            let begins_anew = died.contains(&label) && row.count == kept + 1;
            assert!(
                row.count == last + 1 || begins_anew,
                "after {last} by `{label}` comes {row:?}"
            );
            last = row.count;
        }
    }
}

/// Says where two differ, not all of both.
fn assert_same(found: &[u64], expected: &[u64]) {
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b);
    let at = same.count();
    let part = |all: &[u64]| all.iter().skip(at).take(8).copied().collect::<Vec<_>>();
    assert_eq!(part(found), part(expected), "they differ at {at}");
}
