use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{bus, drain, filters, inbox, limits, message, party, retained};
use crate::bus::Message;
use crate::names::Topic;
use crate::spec::Overflow;

/// A wait that ends a failing test rather than hanging it.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let wait = tokio::time::timeout(Duration::from_secs(20), future);
    wait.await.expect("it happens soon")
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_blocked_publisher_goes_on_when_there_is_room() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut slow = p
        .subscribe(&filters(&["#"]), limits(1, Overflow::Block))
        .unwrap();
    p.publish(message("a", "1")).unwrap();
    let publisher = p.clone();
    let mut waiting = Box::pin(publisher.publish_waiting(message("a", "2")));
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(drain(&mut slow), ["a=1"]);
    // The room is promised to the one in line.
    assert!(p.publish(message("a", "pushing in")).is_err());
    soon(waiting).await.unwrap();
    assert_eq!(drain(&mut slow), ["a=2"]);
}

#[tokio::test]
async fn a_blocked_publisher_goes_on_when_the_inbox_is_dropped() {
    let bus = bus();
    let p = party(&bus, "p");
    let slow = p
        .subscribe(&filters(&["#"]), limits(1, Overflow::Block))
        .unwrap();
    p.publish(message("a", "1")).unwrap();
    let mut waiting = Box::pin(p.publish_waiting(message("a", "2")));
    assert!(poll_once(&mut waiting).is_pending());
    drop(slow);
    soon(waiting).await.unwrap();
}

#[tokio::test]
async fn a_waiting_publish_that_is_dropped_leaves_nothing_behind() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut slow = p
        .subscribe(&filters(&["#"]), limits(2, Overflow::Block))
        .unwrap();
    let mut fast = inbox(&p, &["#"]);
    p.publish(message("a", "1")).unwrap();
    p.publish(message("a", "2")).unwrap();
    let waiting = |text| Box::pin(p.publish_waiting(message("a", text)));
    let (mut in_line, mut promised) = (waiting("3"), waiting("4"));
    assert!(poll_once(&mut promised).is_pending());
    assert!(poll_once(&mut in_line).is_pending());
    drop(in_line);
    drain(&mut slow);
    // Promised room by now, and never told.
    drop(promised);
    assert_eq!(drain(&mut fast), ["a=1", "a=2"]);
    p.publish(message("a", "5")).unwrap();
    p.publish(message("a", "6")).unwrap();
    assert_eq!(drain(&mut slow), ["a=5", "a=6"]);
}

#[tokio::test]
async fn a_publisher_waits_for_all_full_inboxes_in_turn_and_for_any_of_a_group() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = limits(1, Overflow::Block);
    let mut first = p.subscribe(&filters(&["a"]), one).unwrap();
    let mut second = p.subscribe(&filters(&["a"]), one).unwrap();
    p.publish(message("a", "1")).unwrap();
    let mut waiting = Box::pin(p.publish_waiting(message("a", "2")));
    for inbox in [&mut first, &mut second] {
        assert!(poll_once(&mut waiting).is_pending());
        assert_eq!(drain(inbox), ["a=1"]);
    }
    soon(waiting).await.unwrap();
    assert_eq!((drain(&mut first).len(), drain(&mut second).len()), (1, 1));

    let shared = filters(&["$share/g/b"]);
    let mut members = [(); 2].map(|()| p.subscribe(&shared, one).unwrap());
    for _ in &members {
        p.publish(message("b", "")).unwrap();
    }
    for freed in &mut members {
        let mut waiting = Box::pin(p.publish_waiting(message("b", "")));
        assert!(poll_once(&mut waiting).is_pending());
        assert_eq!(drain(freed).len(), 1);
        soon(waiting).await.unwrap();
        assert_eq!(drain(freed).len(), 1);
        // Filled again, so that the other one is the only hope next time.
        p.publish(message("b", "")).unwrap();
    }
}

#[tokio::test]
async fn a_receive_that_is_dropped_takes_nothing() {
    let bus = bus();
    let p = party(&bus, "p");
    let mut one = inbox(&p, &["#"]);
    let mut into = Vec::new();
    let mut receive = Box::pin(one.receive(1, &mut into));
    assert!(poll_once(&mut receive).is_pending());
    p.publish(message("a", "1")).unwrap();
    drop(receive);
    soon(one.ready()).await;
    soon(one.receive(0, &mut into)).await;
    assert_eq!(into.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn order_is_kept_for_each_of_many_publishers_and_nothing_is_lost() {
    const PUBLISHERS: usize = 8;
    const MESSAGES: u64 = 2_000;
    let bus = bus();
    let reader = party(&bus, "reader");
    let small = limits(7, Overflow::Block);
    let inboxes = [(); 3].map(|()| reader.subscribe(&filters(&["t/#"]), small).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..PUBLISHERS {
        let p = party(&bus, &format!("p{number}"));
        tasks.spawn(async move {
            for serial in 0..MESSAGES {
                let mut message = message(&format!("t/{number}"), &serial.to_string());
                message.retain = serial % 64 == 0;
                p.publish_waiting(message).await.unwrap();
            }
        });
    }
    let mut readers = tokio::task::JoinSet::new();
    for mut inbox in inboxes {
        readers.spawn(async move {
            let mut next = HashMap::<Topic, u64>::new();
            let mut batch = Vec::new();
            while next.len() < PUBLISHERS || next.values().any(|next| *next < MESSAGES) {
                soon(inbox.receive(5, &mut batch)).await;
                for message in batch.drain(..) {
                    let next = next.entry(message.topic.clone()).or_default();
                    assert_eq!(message.payload, next.to_string());
                    *next += 1;
                }
            }
            assert_eq!(inbox.len(), 0);
        });
    }
    soon(tasks.join_all()).await;
    soon(readers.join_all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_never_sees_an_old_value_after_a_newer_one() {
    let bus = bus();
    let p = party(&bus, "p");
    let publisher = p.clone();
    let task = async move {
        for serial in 0..5_000 {
            publisher
                .publish(retained("a", &serial.to_string()))
                .unwrap();
            tokio::task::yield_now().await;
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(task);
    while !tasks.is_empty() {
        let lossless = limits(1_000_000, Overflow::DropNewest);
        let inbox = p.subscribe(&filters(&["a"]), lossless).unwrap();
        tokio::task::yield_now().await;
        let mut batch = Vec::new();
        inbox.try_receive(usize::MAX, &mut batch);
        let number =
            |one: &Arc<Message>| std::str::from_utf8(&one.payload).unwrap().parse().unwrap();
        let serials: Vec<u64> = batch.iter().map(number).collect();
        assert!(
            serials.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{serials:?}"
        );
        tasks.try_join_next().transpose().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_that_give_up_at_any_moment_leave_no_reservation() {
    let bus = bus();
    let p = party(&bus, "p");
    let small = limits(3, Overflow::Block);
    let mut inboxes = [(); 2].map(|()| p.subscribe(&filters(&["a"]), small).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8u64 {
        let p = p.clone();
        tasks.spawn(async move {
            for round in 0..500 {
                let patience = Duration::from_micros((number * 7 + round) % 60);
                let publish = p.publish_waiting(message("a", "x"));
                tokio::time::timeout(patience, publish)
                    .await
                    .map(Result::unwrap)
                    .ok();
            }
        });
    }
    while tasks.try_join_next().is_some() || !tasks.is_empty() {
        inboxes.iter_mut().for_each(|inbox| drop(drain(inbox)));
        tokio::task::yield_now().await;
    }
    inboxes.iter_mut().for_each(|inbox| drop(drain(inbox)));
    for _ in 0..3 {
        p.publish(message("a", "x")).unwrap();
    }
    assert!(p.publish(message("a", "x")).is_err());
}

#[tokio::test]
async fn waiting_publishers_are_served_in_the_order_they_came() {
    let bus = bus();
    let p = party(&bus, "p");
    let one = limits(1, Overflow::Block);
    let mut slow = p.subscribe(&filters(&["#"]), one).unwrap();
    p.publish(message("a", "0")).unwrap();
    let publish = |text| Box::pin(p.publish_waiting(message("a", text)));
    let mut waiting = ["1", "2", "3"].map(publish);
    for publisher in &mut waiting {
        assert!(poll_once(publisher).is_pending());
    }
    assert_eq!(drain(&mut slow), ["a=0"]);
    // Polling out of turn gains nothing.
    let [first, second, third] = &mut waiting;
    assert!(poll_once(third).is_pending() && poll_once(second).is_pending());
    soon(first).await.unwrap();
    assert_eq!(drain(&mut slow), ["a=1"]);
    assert!(poll_once(third).is_pending());
    soon(second).await.unwrap();
    assert_eq!(drain(&mut slow), ["a=2"]);
    soon(third).await.unwrap();
    assert_eq!(drain(&mut slow), ["a=3"]);
}

/// Whoever stands in line goes in or home, whatever becomes of the inbox.
#[tokio::test]
async fn the_line_moves_when_an_inbox_is_led_anew() {
    let (block, lossy) = (Overflow::Block, Overflow::DropOldest);
    for (texts, overflow, messages_max, arrived) in [
        (&["a"][..], block, 2, &["a=1", "a=2"][..]),
        (&["a", "b"], block, 2, &["a=1", "a=2"]),
        (&["a"], lossy, 1, &["a=2"]),
        (&["b"], block, 1, &[]),
        (&[], block, 1, &["a=1"]),
    ] {
        let bus = bus();
        let p = party(&bus, "p");
        let one = limits(1, block);
        let mut slow = p.subscribe(&filters(&["a"]), one).unwrap();
        p.publish(message("a", "1")).unwrap();
        let mut waiting = Box::pin(p.publish_waiting(message("a", "2")));
        assert!(poll_once(&mut waiting).is_pending());
        // Sent home once for nothing, it joins the line again.
        slow.resubscribe(&p, &filters(&["a"]), one).unwrap();
        assert!(poll_once(&mut waiting).is_pending());
        let led = limits(messages_max, overflow);
        slow.resubscribe(&p, &filters(texts), led).unwrap();
        soon(waiting).await.unwrap();
        assert_eq!(drain(&mut slow), arrived, "{texts:?}");
        // No promise is left behind.
        slow.resubscribe(&p, &filters(&["a"]), one).unwrap();
        p.publish(message("a", "3")).unwrap();
        assert_eq!(drain(&mut slow), ["a=3"]);
    }
}

/// A promise of room that was made before holds, and is given back if it is of no
/// use any more.
#[tokio::test]
async fn a_promise_outlives_what_it_was_made_for() {
    for texts in [&["a"][..], &["b"], &[]] {
        let bus = bus();
        let p = party(&bus, "p");
        let one = limits(1, Overflow::Block);
        let mut slow = p.subscribe(&filters(&["a"]), one).unwrap();
        p.publish(message("a", "1")).unwrap();
        let mut waiting = Box::pin(p.publish_waiting(message("a", "2")));
        assert!(poll_once(&mut waiting).is_pending());
        assert_eq!(drain(&mut slow), ["a=1"]);
        slow.resubscribe(&p, &filters(texts), one).unwrap();
        soon(waiting).await.unwrap();
        assert_eq!(drain(&mut slow).len(), usize::from(texts == ["a"]));
        slow.resubscribe(&p, &filters(&["a"]), one).unwrap();
        p.publish(message("a", "3")).unwrap();
        assert_eq!(drain(&mut slow), ["a=3"]);
    }
}
