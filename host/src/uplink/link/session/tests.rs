mod asking;
mod far;
mod inward;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, timeout};

use super::{Flight, Hand, LinkError, Opened, Pace, Session};
use crate::bus::{Bus, BusLimits};
use crate::storage::Storage;
use crate::uplink::Uplink;
use crate::uplink::config::UplinkConfig;

const DEADLINE: Duration = Duration::from_secs(20);

/// How the connection ends to a target that says what `say` writes and reads nothing.
async fn ended<F>(more: &str, pipe_bytes: usize, say: impl FnOnce(DuplexStream) -> F) -> LinkError
where
    F: Future<Output = ()>,
{
    meet(more, pipe_bytes, |far, _, _| say(far)).await
}

/// The same, of a target that may be told by what happens here.
async fn meet<F>(
    more: &str,
    pipe_bytes: usize,
    say: impl FnOnce(DuplexStream, Bus, Uplink) -> F,
) -> LinkError
where
    F: Future<Output = ()>,
{
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let bus = Bus::new(BusLimits::default());
    let text = format!("endpoint = \"127.0.0.1:1\"\nplain = true\n{more}");
    let config: UplinkConfig = toml::from_str(&text).unwrap();
    let name = "far".parse().unwrap();
    let uplink = Uplink::build(&name, &config, &bus, &storage, &Arc::default()).unwrap();
    let shared = &uplink.0;
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let (hand, incoming) = Hand::new();
    let mut asked = shared.asked.lock().await;
    let (mut flight, mut pace) = (Flight::new(), Pace::new(&shared.limits));
    let opened = Opened {
        shared,
        flight: &mut flight,
        pace: &mut pace,
        hand,
    };
    let work = async {
        let mut session = Session::open(Box::new(near), opened).await.unwrap();
        tokio::select! {
            ended = session.run(&mut asked) => ended.unwrap_err(),
            () = incoming.deliver(shared) => LinkError::Stopped,
        }
    };
    let (error, ()) = tokio::join!(work, say(far, bus.clone(), uplink.clone()));
    error
}

async fn flood(mut far: DuplexStream, greeting: &[u8], publish: &[u8], count: usize) {
    // The CONNECT, and nothing after it.
    assert!(far.read(&mut [0; 256]).await.unwrap() > 0);
    far.write_all(greeting).await.unwrap();
    let start = Instant::now();
    for _ in 0..count {
        // It fails when we have hung up.
        if far.write_all(publish).await.is_err() || start.elapsed() > DEADLINE {
            return;
        }
    }
}

#[tokio::test]
async fn a_target_that_reads_nothing_does_not_fill_the_memory_with_acknowledgements() {
    let publish = [0x32, 5, 0, 1, b'a', 0, 1].repeat(64);
    let say = |far| async move { flood(far, &[0x20, 2, 0, 0], &publish, 16_384).await };
    let error = ended("protocol = \"3.1.1\"", 512, say).await;
    assert!(matches!(error, LinkError::Protocol(_)), "{error:?}");
}

/// How many are acknowledged of those that come all at once, beyond what a target may
/// send.
async fn all_are_acknowledged(greeting: &[u8], more: &str, publish: [u8; 10]) {
    const COUNT: usize = 3_000;
    let say = |far: DuplexStream| async move {
        let (mut from, mut to) = tokio::io::split(far);
        assert!(from.read(&mut [0; 256]).await.unwrap() > 0);
        to.write_all(greeting).await.unwrap();
        let publishes = publish.repeat(COUNT);
        let heard = async {
            // What is refused has a reason, and one byte more.
            let mut head = [0; 2];
            for number in 0..COUNT {
                from.read_exact(&mut head).await.unwrap();
                assert_eq!(head[0], 0x40, "{number}");
                let mut rest = vec![0; head[1].into()];
                from.read_exact(&mut rest).await.unwrap();
            }
        };
        let both = async { tokio::join!(to.write_all(&publishes), heard).0 };
        timeout(DEADLINE, both)
            .await
            .expect("all are acknowledged")
            .unwrap();
    };
    let error = ended(more, 1 << 20, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}

#[tokio::test]
async fn a_target_that_sends_more_than_it_may_waits_and_loses_nothing() {
    let publish = [0x32, 8, 0, 1, b'a', 0, 1, 0, b'x', b'x'];
    all_are_acknowledged(&[0x20, 3, 0, 0, 0], "", publish).await;
    all_are_acknowledged(&[0x20, 2, 0, 0], "protocol = \"3.1.1\"", publish).await;
    let invalid = [0x32, 8, 0, 2, b'a', b'+', 0, 1, 0, b'x'];
    all_are_acknowledged(&[0x20, 3, 0, 0, 0], "", invalid).await;
}

#[tokio::test]
async fn what_comes_together_with_the_greeting_is_taken_at_once() {
    let said = [0x20, 3, 0, 0, 0, 0x32, 6, 0, 1, b'a', 0, 7, 0];
    let say = |mut far: DuplexStream| async move {
        assert!(far.read(&mut [0; 256]).await.unwrap() > 0);
        far.write_all(&said).await.unwrap();
        let mut heard = [0; 4];
        let answer = timeout(DEADLINE, far.read_exact(&mut heard)).await;
        answer.expect("it is acknowledged").unwrap();
        assert_eq!(heard, [0x40, 2, 0, 7]);
    };
    let error = ended("", 1 << 16, say).await;
    assert!(matches!(error, LinkError::Closed), "{error:?}");
}
