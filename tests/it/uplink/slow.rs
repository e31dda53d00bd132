//! Far ends that hardly read, or that say nothing any more.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::far_end::{FarEnd, Reply};
use super::flow::by_topic;
use super::world::{ALL, QUICK, World, config, next};

/// A CONNECT is shorter.
const QUICK_BYTES: usize = 200;
const A_BYTE_EACH: Duration = Duration::from_secs(1);

/// Copies what comes; while `slow`, after the first bytes a byte a second.
fn copy(mut from: TcpStream, mut to: TcpStream, slow: &AtomicBool) {
    let (mut bytes, mut copied) = ([0; 65_536], 0);
    loop {
        let is_slow = slow.load(Ordering::Relaxed) && copied >= QUICK_BYTES;
        let most = match (is_slow, slow.load(Ordering::Relaxed)) {
            (true, _) => 1,
            (false, true) => QUICK_BYTES,
            (false, false) => bytes.len(),
        };
        let read = from.read(&mut bytes[..most]).unwrap_or(0);
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            break;
        }
        copied += read;
        if is_slow {
            thread::sleep(A_BYTE_EACH);
        }
    }
    for stream in [from, to] {
        stream.shutdown(Shutdown::Both).ok();
    }
}

/// A way to `target` on which hardly anything moves while the switch is on.
fn slow_way(target: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let slow = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&slow);
    thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else {
                return;
            };
            let both = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let slow = Arc::clone(&slow);
            thread::spawn(move || copy(near, far, &slow));
            thread::spawn(move || copy(both.1, both.0, &AtomicBool::new(false)));
        }
    });
    (address, switch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_reads_a_byte_a_second_holds_nobody_up_and_gets_all_in_the_end() {
    let far_end = FarEnd::kind();
    let (address, slow) = slow_way(far_end.address);
    let more = format!("times = {{ {QUICK}, acknowledge_ms_max = 500 }}\n{ALL}");
    let world = World::start(config(address, &more));
    // More than the buffers of both sockets hold.
    for number in 0..100 {
        world
            .publish("out/a", format!("{}{number}", "0".repeat(100_000)))
            .await;
    }
    let status = world.until(|status| status.connections_total >= 3).await;
    assert_eq!(status.queue_messages, 100);
    assert!(status.dead_letters_total.is_empty(), "{status:?}");
    slow.store(false, Ordering::Relaxed);
    world.drained().await;
    let mut seen = BTreeSet::new();
    let mut came = far_end.came(100);
    came.retain(|one| seen.insert(one.identity()));
    assert_eq!(by_topic(&came)["out/a"], (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_acknowledges_slowly_and_in_order_keeps_its_connection() {
    const EACH: Duration = Duration::from_millis(50);
    let far_end = FarEnd::start(|_| {
        thread::sleep(EACH);
        Reply::Take
    });
    // What is sent at first takes much longer than one message may.
    let more = format!("times = {{ {QUICK}, acknowledge_ms_max = 1000 }}\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    world.publish_all(|_| "out/a".to_owned(), 200).await;
    world.drained().await;
    assert_eq!(by_topic(&far_end.came(200))["out/a"].len(), 200);
    assert_eq!(far_end.connects(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_never_acknowledged_while_others_are_is_given_up() {
    let far_end = FarEnd::start(|publish| match &*publish.payload {
        b"ignored" => Reply::Silence,
        _ => Reply::Take,
    });
    let more = format!("times = {{ {QUICK}, acknowledge_ms_max = 100 }}\n{ALL}");
    let world = World::start(config(far_end.address, &more));
    let mut dead = world.listen("$selvedge/dead-letter/cloud");
    world.publish("out/a", "ignored").await;
    let stream = async {
        for number in 0_u64.. {
            world.publish("out/b", number.to_string()).await;
        }
    };
    let letter = tokio::select! {
        letter = next(&mut dead) => letter,
        () = stream => unreachable!("it goes on"),
    };
    assert_eq!(&*letter.payload, b"ignored");
    let code = letter.properties.get("dead-letter-code");
    assert_eq!(code, Some("never-acknowledged"));
    let status = world.drained().await;
    assert_eq!(status.dead_letters_total.len(), 1);
    assert_eq!(status.dead_letters_total["never-acknowledged"], 1);
}

/// Lets everybody in and never says anything more; how many came.
fn mute() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 1_024];
            if stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                // Counted before the other end can count it.
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(&[0x20, 3, 0, 0, 0]).ok();
                held.push(stream);
            }
        }
    });
    (address, came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_does_not_answer_when_it_is_probed_is_connected_to_anew() {
    let (address, came) = mute();
    let more = format!(
        "keep_alive_s = 1\ntimes = {{ {QUICK}, response_ms_max = 200 }}\n\
         [[rules]]\nfilter = \"out/#\"\n"
    );
    let world = World::start(config(address, &more));
    world.publish("out/a", "0").await;
    let status = world.until(|status| status.connections_total >= 3).await;
    assert!(came.load(Ordering::Relaxed) >= 3);
    assert_eq!(status.queue_messages, 1);
    assert_eq!(status.last_error.unwrap().code, "no-response");
    assert!(status.dead_letters_total.is_empty());
}
