//! The bus against a queue behind a mutex, on one core.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use selvedge::bus::{Bus, BusLimits, Inbox, Message, Party};

use crate::Outcome;
use crate::guests::Guests;
use crate::measure::{best_of_all, rate};
use crate::report::{Bar, Figure, Row};
use crate::world::{PAYLOAD_BYTES, subscribe, topic};

const ROUNDS: u32 = 5;
/// Messages published before the subscriber takes them.
const BATCH: usize = 256;
const SUBSCRIBERS: usize = 100;

pub(crate) fn measure(_: &Guests) -> Outcome<Vec<Row>> {
    let bar = Bar::Figure(Figure::PerSecond(5e6));
    let (ours, raw) = deliveries(1, 4_000)?;
    let one = Row::new("bus, 1 to 1, one core: messages", rate(ours))
        .raw(rate(raw))
        .bar(bar);
    let (ours, raw) = deliveries(SUBSCRIBERS, 100)?;
    let many = Row::new("bus, 1 to 100, one core: deliveries", rate(ours)).raw(rate(raw));
    Ok(vec![one, many])
}

/// Nanoseconds for one delivery, ours and raw.
fn deliveries(subscribers: usize, batches: usize) -> Outcome<(f64, f64)> {
    let bus = Bus::new(BusLimits::default());
    let party = bus.host_party();
    let inboxes: Result<Vec<_>, _> = (0..subscribers)
        .map(|_| subscribe(&party, "telemetry/#"))
        .collect();
    let inboxes = inboxes?;
    let queues: Vec<_> = (0..subscribers).map(|_| Mutex::default()).collect();
    let (topic, payload) = (
        topic("telemetry/plant/device-00001")?,
        Bytes::from(vec![7; PAYLOAD_BYTES]),
    );
    let message = || Message::new(topic.clone(), payload.clone());
    let count = subscribers * batches * BATCH;
    let mut ours = f64::INFINITY;
    let mut raw = f64::INFINITY;
    // Taken in turns, so that both see the same machine.
    for _ in 0..ROUNDS {
        ours = ours.min(best_of_all(1, count, || {
            (0..batches).try_for_each(|_| through_bus(&party, &inboxes, &message))
        })?);
        raw = raw.min(best_of_all(1, count, || {
            (0..batches).for_each(|_| through_queues(&queues, &message));
            Ok(())
        })?);
    }
    Ok((ours, raw))
}

fn through_bus(party: &Party, inboxes: &[Inbox], message: &impl Fn() -> Message) -> Outcome<()> {
    for _ in 0..BATCH {
        party.publish(message())?;
    }
    let mut taken = Vec::with_capacity(BATCH);
    for inbox in inboxes {
        if inbox.try_receive(BATCH, &mut taken) != BATCH {
            return Err("a message is missing".into());
        }
        black_box(&mut taken).clear();
    }
    Ok(())
}

fn through_queues(queues: &[Mutex<VecDeque<Arc<Message>>>], message: &impl Fn() -> Message) {
    for _ in 0..BATCH {
        let message = Arc::new(message());
        for queue in queues {
            queue.lock().push_back(Arc::clone(&message));
        }
    }
    let mut taken = Vec::with_capacity(BATCH);
    for queue in queues {
        taken.extend(queue.lock().drain(..));
        black_box(&mut taken).clear();
    }
}
