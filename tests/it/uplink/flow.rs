//! Messages out and in, as the rules say, over restarts and absences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use selvedge::bus::{InboxLimits, Message};
use selvedge::names::Qos;
use selvedge::spec::Overflow;
use selvedge::uplink::{LinkState, UplinkError};
use tokio::time::timeout;

use super::far_end::{Came, FarEnd, Reply};
use super::world::{ALL, World, config, next};
use crate::process::DEADLINE;

/// The payloads of each topic, in the order in which they came.
pub(super) fn by_topic(came: &[Came]) -> BTreeMap<String, Vec<u64>> {
    let mut topics: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for one in came {
        let number = one.payload.parse().unwrap();
        topics.entry(one.topic.clone()).or_default().push(number);
    }
    topics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_leads_a_message_to_the_far_end_with_all_that_it_has() {
    let far_end = FarEnd::kind();
    let rules = "[[rules]]\nfilter = \"anomaly/+/#\"\nto = \"site/{client_id}/{1}/{#}\"\nttl_s = 60\nretain = true\n\
        [[rules]]\nfilter = \"quiet/#\"\nqos = \"at-most-once\"\n";
    let world = World::start(config(far_end.address, rules));
    let mut message = Message::new("anomaly/press/a/b".parse().unwrap(), "hot");
    message.properties = [("n", "v")].into_iter().collect();
    message.hops = 2;
    world.publish_this(message).await;
    world.publish("nobody/asked", "x").await;
    world.publish("quiet/q", "softly").await;
    let came = far_end.came(2);
    let first = &came[0];
    assert_eq!(first.topic, "site/gw/press/a/b");
    assert_eq!(
        (first.payload.as_str(), first.retain, first.dup),
        ("hot", true, false)
    );
    assert_eq!((first.qos, first.expiry_s), (Qos::AtLeastOnce, Some(60)));
    assert_eq!(first.user["n"], "v");
    assert_eq!(first.user["selvedge-hops"], "3");
    assert_eq!(first.user["selvedge-via"], "gw");
    assert_eq!(first.identity().1, 0);
    assert_eq!(
        (came[1].qos, came[1].topic.as_str()),
        (Qos::AtMostOnce, "quiet/q")
    );
    let status = world.drained().await;
    assert_eq!(status.state, LinkState::Connected);
    world.until(|status| status.acknowledged_total == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_waited_arrive_once_and_in_order() {
    let far_end = FarEnd::kind();
    far_end.refuse(true);
    let world = World::start(config(far_end.address, ALL));
    let topic = |number: usize| format!("out/{}", number % 7);
    world.publish_all(topic, 10_000).await;
    assert_eq!(world.uplink.status().queue_messages, 10_000);
    // A restart in between changes nothing.
    let folder = world.stop().await;
    let world = World::start_in(folder, config(far_end.address, ALL));
    assert_eq!(world.uplink.status().queue_messages, 10_000);
    far_end.refuse(false);
    let came = far_end.came(10_000);
    world.drained().await;
    assert_eq!(far_end.came_now(), 10_000, "none twice");
    for (topic, numbers) in by_topic(&came) {
        assert!(numbers.is_sorted(), "{topic}: {numbers:?}");
    }
    // The next has a number that none had before.
    world.publish("out/0", "10000").await;
    let last = far_end.came(10_001).pop().unwrap();
    assert!(came.iter().all(|one| one.identity() != last.identity()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_goes_again_marked_as_a_duplicate() {
    let mut count = 0;
    let far_end = FarEnd::start(move |_| {
        count += 1;
        if count == 5 {
            Reply::TakeAndHangUp
        } else {
            Reply::Take
        }
    });
    far_end.refuse(true);
    let world = World::start(config(far_end.address, ALL));
    world.publish_all(|_| "out/a".to_owned(), 20).await;
    far_end.refuse(false);
    world.drained().await;
    let came = far_end.came(21);
    let again: Vec<_> = came.iter().filter(|one| one.dup).collect();
    assert_eq!(came[4].identity(), again[0].identity());
    assert!(again.len() <= 1_000, "no more than the window");
    let mut seen = std::collections::BTreeSet::new();
    let mut fresh = came.clone();
    fresh.retain(|one| seen.insert(one.identity()));
    let numbers = &by_topic(&fresh)["out/a"];
    assert_eq!(*numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_and_the_rate_of_the_target_are_kept_and_used_up() {
    use std::time::Instant;
    let held = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let times = Arc::clone(&held);
    let far_end = FarEnd::start(move |_| {
        times.lock().push(Instant::now());
        Reply::Take
    });
    far_end.refuse(true);
    let more = format!("profile = \"aws-iot-core\"\nlimits.messages_per_s = 100\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    world.publish_all(|_| "out/a".to_owned(), 300).await;
    far_end.refuse(false);
    world.drained().await;
    let times = held.lock().clone();
    // In no second more than the rate and one burst, counted where they arrive, with
    // some air for what a busy machine delivers late.
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|at| **at - *first < Duration::from_secs(1));
        assert!(within.count() <= 180, "from {index}");
    }
    let took = *times.last().unwrap() - times[0];
    assert!(took >= Duration::from_millis(2_000), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_expired_is_dropped_and_counted_also_over_a_restart() {
    let far_end = FarEnd::kind();
    far_end.refuse(true);
    let rules = "[[rules]]\nfilter = \"short/#\"\nttl_s = 1\n[[rules]]\nfilter = \"long/#\"\n";
    let world = World::start(config(far_end.address, rules));
    world.publish("short/a", "1").await;
    world.publish("long/a", "2").await;
    let folder = world.stop().await;
    let world = World::start_in(folder, config(far_end.address, rules));
    world.until(|status| status.queue_oldest_s >= Some(1)).await;
    far_end.refuse(false);
    let status = world.drained().await;
    assert_eq!(far_end.came(1)[0].topic, "long/a");
    assert_eq!(far_end.came_now(), 1);
    assert_eq!(status.dropped_total["expired"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_is_acknowledged_when_it_is_accepted_here_and_in_order() {
    let far_end = FarEnd::kind();
    let rules = "[[rules]]\nfilter = \"cmd/gw/#\"\ndirection = \"in\"\nto = \"command/{#}\"\n";
    let world = World::start(config(far_end.address, rules));
    let limits = InboxLimits {
        messages_max: 10,
        bytes_max: 1 << 20,
        overflow: Overflow::Block,
        answers: true,
    };
    let filters = ["command/slow".parse().unwrap()];
    let mut slow = world.publisher.subscribe(&filters, limits).unwrap();
    let mut all = world.listen("command/#");
    far_end.subscribed("cmd/gw/#");
    far_end.send("cmd/gw/slow", "1", 1, &[("selvedge-hops", "4")]);
    far_end.send("cmd/gw/fast", "2", 2, &[]);
    far_end.send("cmd/gw/x", "back", 3, &[("selvedge-via", "gw")]);
    let first = next(&mut all).await;
    assert_eq!((first.topic.as_str(), first.hops), ("command/slow", 4));
    assert_eq!(next(&mut all).await.topic.as_str(), "command/fast");
    let owed = next(&mut slow).await;
    // The second is done with, but the first is not.
    world.until(|status| status.received_total == 3).await;
    assert_eq!(far_end.acknowledged_now(), 0);
    drop((owed, first));
    assert_eq!(far_end.acknowledged(3), [1, 2, 3]);
    let status = world.uplink.status();
    assert_eq!(status.dropped_total["returned"], 1);
    let mut rest = Vec::new();
    assert_eq!(
        all.try_receive(10, &mut rest),
        0,
        "what came back stays out"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_back_where_it_came_from() {
    let far_end = FarEnd::kind();
    let rules = "[[rules]]\nfilter = \"shared/#\"\ndirection = \"both\"\n";
    let world = World::start(config(far_end.address, rules));
    let mut here = world.listen("shared/#");
    far_end.subscribed("shared/#");
    far_end.send("shared/a", "from there", 1, &[]);
    assert_eq!(&*next(&mut here).await.payload, b"from there");
    far_end.acknowledged(1);
    world.publish("shared/a", "from here").await;
    let came = far_end.came(1);
    assert_eq!(came[0].payload, "from here");
    world.drained().await;
    assert_eq!(far_end.came_now(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_wanted_is_subscribed_no_more_also_after_a_restart() {
    let far_end = FarEnd::kind();
    let rule = |filter: &str| format!("[[rules]]\nfilter = \"{filter}\"\ndirection = \"in\"\n");
    let world = World::start(config(far_end.address, &rule("old/#")));
    let mut inbox = world.uplink.subscribe(vec!["extra/+".parse().unwrap()], 4);
    let mut subscribed = inbox.subscribed();
    timeout(DEADLINE, subscribed.wait_for(|yes| *yes))
        .await
        .unwrap()
        .unwrap();
    far_end.send("extra/a", "hello", 9, &[]);
    let remote = timeout(DEADLINE, inbox.receive()).await.unwrap();
    assert_eq!(&*remote.payload, b"hello");
    assert_eq!(far_end.acknowledged_now(), 0);
    drop(remote);
    far_end.acknowledged(1);
    drop(inbox);
    far_end.unsubscribed("extra/+");
    let folder = world.stop().await;
    let world = World::start_in(folder, config(far_end.address, &rule("new/#")));
    far_end.subscribed("new/#");
    far_end.unsubscribed("old/#");
    drop(world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_or_fails_and_nothing_of_it_is_kept() {
    let far_end = FarEnd::kind();
    far_end.refuse(true);
    let world = World::start(config(far_end.address, ""));
    let ask = || world.uplink.ask("q/a".parse().unwrap(), "now?".into());
    assert!(matches!(ask().await, Err(UplinkError::NotConnected)));
    far_end.refuse(false);
    world
        .until(|status| status.state == LinkState::Connected)
        .await;
    timeout(DEADLINE, ask()).await.unwrap().unwrap();
    far_end.behave(|_| Reply::HangUp);
    let lost = timeout(DEADLINE, ask()).await.unwrap();
    assert!(matches!(lost, Err(UplinkError::Lost)), "{lost:?}");
    assert_eq!(far_end.came_now(), 1);
    let large = world
        .uplink
        .ask("q/a".parse().unwrap(), vec![0; 300_000].into());
    assert_eq!(large.await.unwrap_err().code(), "payload-too-large");
    far_end.behave(|_| Reply::Take);
    let kept = world
        .uplink
        .publish("k/a".parse().unwrap(), "kept".into(), 0);
    timeout(DEADLINE, kept).await.unwrap().unwrap();
    assert_eq!(far_end.came(2)[1].payload, "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_publishers_wait_or_drops_as_it_is_told() {
    let far_end = FarEnd::kind();
    far_end.refuse(true);
    let queue = "queue = { bytes_max = 600, overflow = \"drop-oldest\" }\n";
    let world = World::start(config(far_end.address, &format!("{queue}{ALL}")));
    world.publish_all(|_| "out/a".to_owned(), 50).await;
    let status = world.uplink.status();
    assert!(status.queue_bytes <= 600, "{status:?}");
    let kept = usize::try_from(status.queue_messages).unwrap();
    assert_eq!(
        status.dropped_total["queue-full"] + status.queue_messages,
        50
    );
    far_end.refuse(false);
    let numbers = by_topic(&far_end.came(kept))["out/a"].clone();
    world.drained().await;
    assert_eq!(numbers.last(), Some(&49), "the newest stayed");
    drop(world);

    let far_end = FarEnd::kind();
    far_end.refuse(true);
    let queue = "queue = { bytes_max = 600, overflow = \"block\" }\n";
    let world = World::start(config(far_end.address, &format!("{queue}{ALL}")));
    let publishing = world.publish_all(|_| "out/a".to_owned(), 50);
    tokio::pin!(publishing);
    let full = world.until(|status| status.queue_messages >= 4);
    tokio::select! {
        () = &mut publishing => panic!("what does not fit was acknowledged"),
        _ = full => {}
    }
    far_end.refuse(false);
    publishing.await;
    world.drained().await;
    assert_eq!(
        by_topic(&far_end.came(50))["out/a"],
        (0..50).collect::<Vec<_>>()
    );
    assert!(world.uplink.status().dropped_total.is_empty());
}
