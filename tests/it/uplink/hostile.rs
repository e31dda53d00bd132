//! Far ends that misbehave: nothing is lost by them, and nothing stops.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use selvedge::mqtt::Reason;
use selvedge::uplink::LinkState;

use super::far_end::{FarEnd, Reply};
use super::flow::by_topic;
use super::world::{ALL, QUICK, World, config, next};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_at_which_the_target_hangs_up_is_given_up_alone() {
    let far_end = FarEnd::start(|publish| match &*publish.payload {
        b"13" => Reply::HangUp,
        _ => Reply::Take,
    });
    far_end.refuse(true);
    let world = World::start(config(far_end.address, ALL));
    let mut dead = world.listen("$selvedge/dead-letter/cloud");
    world
        .publish_all(|number| format!("out/{}", number % 3), 30)
        .await;
    far_end.refuse(false);
    let letter = next(&mut dead).await;
    assert_eq!(&*letter.payload, b"13");
    assert_eq!(
        letter.properties.get("dead-letter-code"),
        Some("ends-connections")
    );
    assert_eq!(letter.properties.get("dead-letter-topic"), Some("out/1"));
    let status = world.drained().await;
    assert_eq!(status.dead_letters_total["ends-connections"], 1);
    let mut seen = std::collections::BTreeSet::new();
    let mut came = far_end.came(29);
    came.retain(|one| seen.insert(one.identity()));
    assert_eq!(came.len(), 29);
    for (topic, numbers) in by_topic(&came) {
        assert!(numbers.is_sorted(), "{topic}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_at_which_the_target_hangs_up_does_not_keep_others_from_flowing() {
    const DENIED: &str = "out/denied";
    let far_end = FarEnd::start(|publish| match publish.topic.as_ref() {
        Some(topic) if topic.as_str() == DENIED => Reply::HangUp,
        _ => Reply::Take,
    });
    // Five connections for each of them would take hours.
    let times = "times = { reconnect_ms_min = 50, reconnect_ms_max = 3600000 }\n";
    let world = World::start(config(far_end.address, &format!("{times}{ALL}")));
    let topic = |number: usize| match number % 4 {
        0 => DENIED.to_owned(),
        other => format!("out/{other}"),
    };
    world.publish_all(topic, 40).await;
    far_end.came(30);
    // The policy there is mended: what still waits flows again, in its order.
    far_end.behave(|_| Reply::Take);
    let status = world.drained().await;
    let dead: u64 = status.dead_letters_total.values().sum();
    assert!((1..10).contains(&dead), "{status:?}");
    let mut seen = HashSet::new();
    let mut came = far_end.came(30);
    came.retain(|one| seen.insert(one.identity()));
    assert_eq!(came.len() as u64, 40 - dead);
    for (topic, numbers) in by_topic(&came) {
        assert!(numbers.is_sorted(), "{topic}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_hangs_up_on_a_subscription_costs_no_message() {
    let far_end = FarEnd::kind();
    far_end.refuse_filters(true);
    let rules = format!("{ALL}[[rules]]\nfilter = \"in/#\"\ndirection = \"in\"\n");
    let world = World::start(config(far_end.address, &rules));
    world.publish_all(|_| "out/a".to_owned(), 5).await;
    far_end.connects(20);
    let status = world.uplink.status();
    assert!(status.dead_letters_total.is_empty(), "{status:?}");
    assert_eq!(status.queue_messages, 5);
    far_end.refuse_filters(false);
    let status = world.drained().await;
    assert!(status.dead_letters_total.is_empty(), "{status:?}");
    assert_eq!(by_topic(&far_end.came(5))["out/a"], [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_would_not_take_never_leaves() {
    let far_end = FarEnd::kind();
    let more = format!("profile = \"aws-iot-core\"\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    let mut dead = world.listen("$selvedge/dead-letter/cloud");
    world.publish("out/2/3/4/5/6/7/8/9", "too deep").await;
    world.publish("out/large", "x".repeat(131_073)).await;
    world.publish("out/fine", "x".repeat(131_072)).await;
    for code in ["topic-too-deep", "payload-too-large"] {
        let letter = next(&mut dead).await;
        assert_eq!(letter.properties.get("dead-letter-code"), Some(code));
    }
    assert_eq!(far_end.came(1)[0].topic, "out/fine");
    assert_eq!(far_end.connects(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_refuses_is_a_dead_letter_and_what_it_has_no_room_for_waits() {
    let tries = AtomicUsize::new(0);
    let far_end = FarEnd::start(move |publish| match &*publish.payload {
        b"1" => Reply::Refuse(Reason::NOT_AUTHORIZED),
        b"2" if tries.fetch_add(1, Ordering::Relaxed) == 0 => Reply::Refuse(Reason::QUOTA_EXCEEDED),
        _ => Reply::Take,
    });
    let more = format!("limits.in_flight_max = 1\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    let mut dead = world.listen("$selvedge/dead-letter/cloud");
    world.publish_all(|_| "out/a".to_owned(), 5).await;
    let letter = next(&mut dead).await;
    assert_eq!(&*letter.payload, b"1");
    assert_eq!(
        letter.properties.get("dead-letter-code"),
        Some("refused-by-target")
    );
    world.drained().await;
    assert_eq!(by_topic(&far_end.came(4))["out/a"], [0, 2, 3, 4]);
    assert_eq!(
        far_end.connects(1).len(),
        1,
        "it was no reason to connect again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_acknowledges_nothing_costs_a_connection_and_no_message() {
    let takes = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&takes);
    let mut now = false;
    let far_end = FarEnd::start(move |publish| {
        // For a whole connection, which begins with the first message.
        if publish.payload[..] == b"0"[..] {
            now = asked.load(Ordering::Relaxed);
        }
        if now { Reply::Take } else { Reply::Silence }
    });
    let more =
        format!("times = {{ {QUICK}, acknowledge_ms_max = 200 }}\nlimits.in_flight_max = 3\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    world.publish_all(|_| "out/a".to_owned(), 10).await;
    far_end.connects(4);
    let status = world.uplink.status();
    assert_eq!(status.queue_messages, 10);
    assert!(status.in_flight <= 3, "{status:?}");
    assert_eq!(status.last_error.unwrap().code, "no-acknowledgement");
    assert!(
        status.dead_letters_total.is_empty(),
        "silence is nobody's fault"
    );
    takes.store(true, Ordering::Relaxed);
    world.drained().await;
    // What is acknowledged late comes once more.
    let (mut seen, mut came) = (HashSet::new(), far_end.came(10));
    came.retain(|one| seen.insert(one.identity()));
    assert_eq!(by_topic(&came)["out/a"], (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_the_connection_and_nothing_else() {
    let garbage: [&[u8]; 6] = [
        &[0xFF; 64],
        &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        &[0x40, 0x00],
        &[0x82, 0x03, 0, 1, 0],
        &[0x34, 0x06, 0, 1, b'a', 0, 1, 0],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    let count = Arc::new(AtomicUsize::new(0));
    let said = Arc::clone(&count);
    let far_end = FarEnd::start(
        move |_| match garbage.get(said.fetch_add(1, Ordering::Relaxed)) {
            Some(bytes) => Reply::Say(bytes),
            None => Reply::Take,
        },
    );
    let world = World::start(config(far_end.address, ALL));
    world.publish_all(|_| "out/a".to_owned(), 3).await;
    world.drained().await;
    assert!(count.load(Ordering::Relaxed) > garbage.len());
    assert_eq!(by_topic(&far_end.came(3))["out/a"], [0, 1, 2]);
    let status = world
        .until(|status| status.state == LinkState::Connected)
        .await;
    assert!(status.dead_letters_total.is_empty(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_and_messages_that_nobody_asked_for_are_bounded() {
    let far_end = FarEnd::kind();
    let rules = "[[rules]]\nfilter = \"in/#\"\ndirection = \"in\"\n";
    let world = World::start(config(far_end.address, rules));
    let mut here = world.listen("in/#");
    far_end.subscribed("in/#");
    far_end.send("other/x", "unasked", 1, &[]);
    for _ in 0..3 {
        far_end.send("in/dup", "same", 2, &[]);
    }
    far_end.acknowledged(4);
    for _ in 0..3 {
        assert_eq!(&*next(&mut here).await.payload, b"same");
    }
    let status = world.uplink.status();
    assert_eq!(status.dropped_total["no-rule"], 1);
    // A topic that is none is answered and passed over (QoS 1, identifier 7).
    far_end.send_bytes(&[0x32, 0x06, 0, 1, b'+', 0, 7, 0]);
    far_end.acknowledged(5);
    world
        .until(|status| status.dropped_total.contains_key("invalid-from-target"))
        .await;
    assert_eq!(far_end.connects(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_uses_the_gateways_identity_is_an_alarm_and_is_not_fought() {
    let far_end = FarEnd::start(|_| Reply::Disconnect(Reason::SESSION_TAKEN_OVER));
    let more = format!("times = {{ reconnect_ms_min = 1, reconnect_ms_max = 2000 }}\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    world.publish("out/a", "0").await;
    let status = world
        .until(|status| status.state == LinkState::TakenOver)
        .await;
    assert_eq!(status.last_error.unwrap().code, "session-taken-over");
    far_end.behave(|_| Reply::Take);
    let connects = far_end.connects(2);
    let pause = connects[1].1 - connects[0].1;
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
    world.drained().await;
    assert_eq!(far_end.came_now(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_away_is_asked_less_and_less_often() {
    let far_end = FarEnd::start(|_| Reply::HangUp);
    let more = "times = { reconnect_ms_min = 50, reconnect_ms_max = 400 }\n";
    let world = World::start(config(far_end.address, &format!("{more}{ALL}")));
    world.publish("out/a", "0").await;
    // Each lasts for a moment: that is not stable, so delays go on growing.
    let connects = far_end.connects(5);
    let waited = connects[4].1 - connects[0].1;
    // Full jitter: at most the sum of all, and never all in one instant.
    assert!(waited > Duration::from_millis(20), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_is_connected_to_at_most_once_a_second() {
    let far_end = FarEnd::start(|_| Reply::HangUp);
    let more = format!("profile = \"aws-iot-core\"\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    world.publish("out/a", "0").await;
    let connects = far_end.connects(3);
    for pair in connects.windows(2) {
        let between = pair[1].1 - pair[0].1;
        // Seen at the other end, which may be late with the first; else some 20 ms.
        assert!(between >= Duration::from_millis(500), "{between:?}");
    }
    drop(world);
}
