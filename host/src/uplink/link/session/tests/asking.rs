use std::time::Duration;

use tokio::time::timeout;

use super::far::{Far, PUBACK, PUBLISH};
use super::{DEADLINE, meet};
use crate::uplink::link::LinkError;

/// A message that nobody here wants; when it is acknowledged, all is written that
/// could be.
async fn barrier(far: &mut Far) {
    for id in 1..=10 {
        far.publish("x", Some(id), b"").await;
        let heard = timeout(DEADLINE, far.next()).await;
        let (first, rest) = heard.expect("it is acknowledged").unwrap();
        assert_eq!((first, &rest[..2]), (PUBACK, &id.to_be_bytes()[..]));
    }
}

/// The identifier of the next message, which is on `topic`.
async fn published(far: &mut Far, topic: &str) -> [u8; 2] {
    let heard = timeout(DEADLINE, far.next()).await;
    let (first, rest) = heard.expect("it comes").unwrap();
    assert_eq!((first, &rest[2..5]), (PUBLISH, topic.as_bytes()));
    [rest[5], rest[6]]
}

#[tokio::test]
async fn a_question_waits_for_the_window_of_the_target_and_goes_before_the_queue() {
    let say = |stream, _, uplink: crate::uplink::Uplink| async move {
        // A Receive Maximum of 1.
        let mut far = Far::let_in(stream, &[0x21, 0, 1]).await;
        let mut connected = uplink.connected();
        connected.wait_for(|connected| *connected).await.unwrap();
        let publish = |topic: &str| {
            let topic = topic.parse().unwrap();
            let uplink = uplink.clone();
            async move { uplink.publish(topic, "queued".into(), 0).await.unwrap() }
        };
        publish("k/a").await;
        let first = published(&mut far, "k/a").await;
        publish("k/b").await;
        let asking = uplink.ask("q/a".parse().unwrap(), "now?".into());
        let answering = async {
            barrier(&mut far).await;
            far.acknowledge(first).await;
            let question = published(&mut far, "q/a").await;
            barrier(&mut far).await;
            far.acknowledge(question).await;
            let second = published(&mut far, "k/b").await;
            far.acknowledge(second).await;
        };
        let (answer, ()) = tokio::join!(asking, answering);
        answer.unwrap();
    };
    let error = meet("", 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn questions_keep_to_the_rate_of_the_target() {
    let say = |stream, _, uplink: crate::uplink::Uplink| async move {
        let mut far = Far::let_in(stream, &[]).await;
        let mut connected = uplink.connected();
        connected.wait_for(|connected| *connected).await.unwrap();
        let begun = tokio::time::Instant::now();
        let asking = async {
            for _ in 0..6 {
                let asked = uplink.ask("q/a".parse().unwrap(), "now?".into());
                asked.await.unwrap();
            }
        };
        let answering = async {
            for _ in 0..6 {
                let id = published(&mut far, "q/a").await;
                far.acknowledge(id).await;
            }
        };
        tokio::join!(asking, answering);
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(2), "{took:?}");
    };
    let error = meet("limits.messages_per_s = 2\n", 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}
