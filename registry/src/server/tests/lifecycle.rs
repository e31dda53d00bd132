//! Stopping: at once when idle, with grace under load, and in any case.

use std::time::{Duration, Instant};

use selvedge_artifact::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{DEADLINE, Patience, config, serve, serve_with};

#[tokio::test]
async fn an_idle_server_stops_at_once_and_listens_no_more() {
    let served = serve().await;
    served.get("").await;
    let address = served.address;
    let begun = Instant::now();
    served.stopped().await;
    assert!(begun.elapsed() < Patience::default().stop);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_under_way_is_finished() {
    let mut config = config();
    config.blob_bytes_max = 64 << 20;
    let served = serve_with(config, Patience::default()).await;
    let size = 32 << 20;
    let digest = served.layout.put_blob(&vec![5; size]).unwrap();
    let mut response = served.get(&format!("a/blobs/{digest}")).await;
    let mut got = response.chunk().await.unwrap().unwrap().len();
    served.stop.cancel();
    while let Some(bytes) = response.chunk().await.unwrap() {
        got += bytes.len();
    }
    assert_eq!(got, size);
    served.stopped().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let patience = Patience {
        stop: Duration::from_millis(300),
        ..Patience::default()
    };
    let served = serve_with(config(), patience).await;
    let digest = Digest::of(b"never");
    let authorization = {
        use base64::Engine as _;
        let pair = format!("{}:{}", super::USER, super::PASSWORD);
        base64::engine::general_purpose::STANDARD.encode(pair)
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = format!(
            "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: a\r\n\
             authorization: Basic {authorization}\r\nexpect: 100-continue\r\n\
             content-length: 1000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The request is under way once its body is asked for.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        streams.push(stream);
    }
    let begun = Instant::now();
    served.stopped().await;
    assert!(begun.elapsed() >= patience.stop);
    for mut stream in streams {
        let mut rest = Vec::new();
        let ending = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        drop(ending.expect("the connection ends"));
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_leaves_no_connection() {
    let mut served = serve().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = b"GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    served.running.shutdown().await;
    let mut rest = Vec::new();
    let ending = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    drop(ending.expect("the connection ends"));
}
