//! Clients that mean harm: the host goes on answering the others.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::world::{World, exchange};
use crate::process::DEADLINE;

async fn answers(world: &World) {
    let begun = Instant::now();
    assert_eq!(world.get("/v1/status").await.status(), StatusCode::OK);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_shut_nobody_out() {
    let world = World::start().await;
    let mut held = Vec::new();
    for index in 0..1_000 {
        // The system's queue may be full for a moment.
        let connecting = async {
            loop {
                match UnixStream::connect(&world.served.socket).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        held.push(timeout(DEADLINE, connecting).await.unwrap());
        if index % 200 == 0 {
            answers(&world).await;
        }
    }
    answers(&world).await;
    // Half a request each.
    for stream in &mut held {
        drop(stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: ").await);
    }
    answers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dawdles_with_a_request_is_cut_off() {
    let world = World::start().await;
    let mut slow = world.raw().await;
    let begun = Instant::now();
    let dawdles = async {
        let head = b"GET /v1/status HTTP/1.1\r\nx: "
            .iter()
            .chain(std::iter::repeat(&b'a'));
        for byte in head {
            let mut answer = [0; 1];
            slow.write_all(&[*byte]).await?;
            // Reads until it is time for the next byte.
            match timeout(Duration::from_millis(100), slow.read(&mut answer)).await {
                Ok(Ok(0)) | Ok(Err(_)) => break,
                _ => {}
            }
        }
        Ok::<_, std::io::Error>(())
    };
    drop(timeout(DEADLINE, dawdles).await.expect("it is cut off"));
    assert!(begun.elapsed() < Duration::from_secs(40));
    answers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_end_and_heads_without_end_are_refused() {
    let world = World::start().await;
    let mut endless = world.raw().await;
    let head = b"POST /v1/publish HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    endless.write_all(head).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 65_536], b"\r\n"].concat();
    let (mut from, mut to) = endless.into_split();
    let sends = async {
        let mut sent = 0_usize;
        while to.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let reads = async {
        let mut answer = vec![0; 64];
        let count = from.read(&mut answer).await.unwrap_or(0);
        String::from_utf8_lossy(&answer[..count]).into_owned()
    };
    let both = async { tokio::join!(sends, reads) };
    let (sent, answer) = timeout(DEADLINE, both).await.unwrap();
    assert!(sent < 16 << 20, "{sent}");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
        "{answer}"
    );

    let many = format!(
        "GET /healthz HTTP/1.1\r\n{}\r\n",
        "x: y\r\n".repeat(100_000)
    );
    let answer = exchange(world.raw().await, many.as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    let long = format!(
        "GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let answer = exchange(world.raw().await, long.as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    let path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1 << 20));
    let answer = exchange(world.raw().await, path.as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    answers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused() {
    let world = World::start().await;
    let cases: [&[u8]; 9] = [
        b"\xff\xfe\x00\x01\r\n\r\n",
        b"GET /\xff\xff HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"GET /v1/plugins/%c3%28 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"GET /v1/tap?filter=%ff HTTP/1.1\r\nhost: \xff\r\nconnection: close\r\nx: \x00\r\n\r\n",
        b"POST /v1/publish HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/publish HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        b"POST /v1/publish HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    for case in cases {
        let answer = exchange(world.raw().await, case).await;
        let shown = String::from_utf8_lossy(case);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{shown}: {answer}");
    }
    answers(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_in_the_middle_leaves_nothing_behind() {
    let world = World::start().await;
    for _ in 0..200 {
        let mut half = world.raw().await;
        let head = b"POST /v1/publish HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{";
        half.write_all(head).await.unwrap();
        drop(half);
        let mut shut = world.raw().await;
        shut.write_all(b"GET /v1/tap?filter=a HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        shut.shutdown().await.unwrap();
    }
    answers(&world).await;
}
