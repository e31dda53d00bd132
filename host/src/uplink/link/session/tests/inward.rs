use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::far::{Far, PUBACK};
use super::{DEADLINE, meet};
use crate::bus::{Bus, Grant, Inbox, InboxLimits, Message};
use crate::spec::Overflow;
use crate::uplink::Uplink;
use crate::uplink::link::LinkError;
use crate::uplink::link::flight::Ending;

const RULES: &str = "[[rules]]\nfilter = \"in/#\"\ndirection = \"in\"\n";
const V311: &str = "protocol = \"3.1.1\"\n";

/// Longer than anything waits here that need not arrive.
const LONG: Duration = Duration::from_secs(500);
/// Longer than anything waits here.
const VERY_LONG: Duration = Duration::from_secs(1_000);

/// Somebody who answers for what comes on `filter`, and takes one at a time.
fn subscriber(bus: &Bus, filter: &str) -> Inbox {
    let limits = InboxLimits {
        messages_max: 1,
        bytes_max: 1 << 20,
        overflow: Overflow::Block,
        answers: true,
    };
    let filters = vec![filter.parse().unwrap()];
    let grant = Grant {
        publish: Vec::new(),
        subscribe: filters.clone(),
    };
    let name = filter.replace('/', "-").replace('#', "all");
    let name = name.parse().unwrap();
    let party = bus.attach(name, grant).unwrap();
    party.subscribe(&filters, limits).unwrap()
}

async fn next(inbox: &mut Inbox) -> std::sync::Arc<Message> {
    let mut batch = Vec::new();
    let came = timeout(LONG, inbox.receive(1, &mut batch)).await;
    came.expect("it comes");
    batch.remove(0)
}

/// What is acknowledged next, and how: identifier, and reason if there is one.
async fn acknowledged(far: &mut Far) -> (u8, Option<u8>) {
    let heard = timeout(VERY_LONG, far.next()).await;
    let (first, rest) = heard.expect("it is acknowledged").unwrap();
    assert_eq!(first, PUBACK, "{rest:?}");
    (rest[1], rest.get(2).copied())
}

#[tokio::test]
async fn what_somebody_here_cannot_keep_is_not_acknowledged_as_if_it_were_kept() {
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut inbox = subscriber(&bus, "in/#");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/a", Some(7), b"1").await;
        next(&mut inbox).await.receipt.as_ref().unwrap().refuse();
        assert_eq!(acknowledged(&mut far).await, (7, Some(0x83)));
        far.publish("in/a", Some(8), b"2").await;
        drop(next(&mut inbox).await);
        assert_eq!(acknowledged(&mut far).await, (8, None));
        let status = uplink.status();
        assert_eq!(status.dead_letters_total["not-taken-here"], 1);
    };
    let error = meet(RULES, 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");

    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut inbox = subscriber(&bus, "in/#");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/a", Some(7), b"1").await;
        next(&mut inbox).await.receipt.as_ref().unwrap().refuse();
        let heard = timeout(DEADLINE, far.next()).await;
        assert_eq!(heard.expect("the connection ends"), None);
        assert!(uplink.status().dead_letters_total.is_empty());
    };
    let error = meet(&format!("{V311}{RULES}"), 1 << 16, say).await;
    assert!(matches!(error, LinkError::NotKept), "{error:?}");
    assert_eq!(error.ending(false), Ending::Other);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_room_for_is_kept_waiting_and_holds_up_nothing_but_its_like() {
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut slow = subscriber(&bus, "in/slow");
        let mut free = subscriber(&bus, "in/free");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/slow", Some(1), b"1").await;
        far.publish("in/slow", Some(2), b"2").await;
        for number in 0..10 {
            far.publish("in/slow", None, b"passing").await;
            far.publish("in/free", None, &[number]).await;
            assert_eq!(next(&mut free).await.payload[..], [number]);
        }
        tokio::select! {
            heard = far.next() => panic!("{heard:?}"),
            () = sleep(LONG) => {}
        }
        // Those that need not arrive have waited long enough.
        let status = uplink.status();
        assert_eq!(status.dead_letters_total["not-taken-here"], 10);
        drop(next(&mut slow).await);
        assert_eq!(acknowledged(&mut far).await, (1, None));
        assert_eq!(next(&mut slow).await.payload[..], *b"2");
        assert_eq!(acknowledged(&mut far).await, (2, None));
        assert_eq!(uplink.status().dead_letters_total["not-taken-here"], 10);
    };
    let error = meet(RULES, 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_or_keeps_what_it_has_does_not_stop_others_for_good() {
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut slow = subscriber(&bus, "in/slow");
        let mut free = subscriber(&bus, "in/free");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/slow", Some(1), b"1").await;
        let kept = next(&mut slow).await;
        for id in [2, 3] {
            far.publish("in/slow", Some(id), b"2").await;
        }
        far.publish("in/free", Some(4), b"4").await;
        let taking = async {
            let came = timeout(VERY_LONG, free.receive(1, &mut Vec::new())).await;
            came.expect("it comes in the end");
        };
        let answered = async {
            for id in [1, 2, 3] {
                assert_eq!(acknowledged(&mut far).await, (id, Some(0x83)));
            }
            assert_eq!(acknowledged(&mut far).await, (4, None));
        };
        tokio::join!(taking, answered);
        drop(kept);
        assert_eq!(uplink.status().dead_letters_total["not-taken-here"], 3);
    };
    let error = meet(RULES, 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");

    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut slow = subscriber(&bus, "in/slow");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/slow", Some(1), b"1").await;
        let _kept = next(&mut slow).await;
        let heard = timeout(VERY_LONG, far.next()).await;
        assert_eq!(heard.expect("the connection ends"), None);
        assert!(uplink.status().dead_letters_total.is_empty());
    };
    let error = meet(&format!("{V311}{RULES}"), 1 << 16, say).await;
    assert!(matches!(error, LinkError::NotKept), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_given_up_when_it_is_of_no_use_any_more() {
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut slow = subscriber(&bus, "in/slow");
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/slow", Some(1), b"1").await;
        far.publish("in/slow", Some(2), b"2").await;
        tokio::select! {
            heard = far.next() => panic!("{heard:?}"),
            () = sleep(LONG) => {}
        }
        assert_eq!(uplink.status().dropped_total["expired"], 1);
        drop(next(&mut slow).await);
        assert_eq!(acknowledged(&mut far).await, (1, None));
        assert_eq!(acknowledged(&mut far).await, (2, None));
        assert_eq!(slow.try_receive(1, &mut Vec::new()), 0);
    };
    let error = meet(&format!("{RULES}ttl_s = 100\n"), 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[tokio::test]
async fn what_nobody_subscribes_is_acknowledged_and_counted() {
    let say = |stream, _, uplink: Uplink| async move {
        let mut far = Far::let_in(stream, &[]).await;
        far.publish("in/a", Some(1), b"1").await;
        assert_eq!(acknowledged(&mut far).await, (1, None));
        assert_eq!(uplink.status().dropped_total["no-subscriber"], 1);
    };
    let error = meet(RULES, 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_unacknowledged_are_bounded_in_bytes_too() {
    const COUNT: u16 = 400;
    let payload = vec![0; 200_000];
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let mut slow = subscriber(&bus, "in/slow");
        let mut far = Far::let_in(stream, &[]).await;
        let mut sent = 0;
        let moment = Duration::from_secs(5);
        while timeout(moment, far.publish("in/slow", Some(sent + 1), &payload))
            .await
            .is_ok()
        {
            sent += 1;
            assert!(sent < COUNT, "nothing stops it");
        }
        let bytes = uplink.status().received_total * 200_000;
        assert!((30 << 20..40 << 20).contains(&bytes), "{bytes}");
        drop(next(&mut slow).await);
        assert_eq!(acknowledged(&mut far).await, (1, None));
    };
    let error = meet(&format!("{V311}{RULES}"), 1 << 16, say).await;
    assert!(!matches!(error, LinkError::Stopped), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn messages_of_qos_0_that_wait_leave_room_for_others() {
    let mut payload = vec![0; 200_000];
    let say = |stream, bus: Bus, uplink: Uplink| async move {
        let _slow = subscriber(&bus, "in/slow");
        let mut free = subscriber(&bus, "in/free");
        let mut far = Far::let_in(stream, &[]).await;
        for number in 0..100 {
            far.publish("in/slow", None, &payload).await;
            payload.fill(number);
            far.publish("in/free", None, &payload).await;
            assert_eq!(next(&mut free).await.payload[..], payload);
        }
        let status = uplink.status();
        assert!(status.dropped_total["busy"] > 50, "{status:?}");
    };
    let error = meet(RULES, 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}
