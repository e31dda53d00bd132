//! Clients that want too much, too long, or something else than they say.

use std::time::Duration;

use base64::Engine as _;
use reqwest::{Method, StatusCode};
use selvedge_artifact::Digest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{BLOB_BYTES_MAX, DEADLINE, PASSWORD, Patience, Served, USER};
use super::{code, config, serve, serve_with};

fn authorization() -> String {
    let pair = format!("{USER}:{PASSWORD}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("authorization: Basic {encoded}\r\n")
}

fn request(line: &str, headers: &str) -> Vec<u8> {
    let authorization = authorization();
    format!("{line} HTTP/1.1\r\nhost: a\r\n{authorization}{headers}\r\n").into_bytes()
}

/// Sends chunks until the server does not take any more.
async fn endless(served: &Served, line: &str) {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = request(line, "transfer-encoding: chunked\r\n");
    stream.write_all(&head).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let sending = async { while stream.write_all(&chunk).await.is_ok() {} };
    timeout(DEADLINE, sending)
        .await
        .expect("the server cuts it off");
}

#[tokio::test]
async fn what_is_announced_as_too_large_is_refused_unread() {
    let served = serve().await;
    let length = BLOB_BYTES_MAX + 1;
    let headers = format!("content-length: {length}\r\nexpect: 100-continue\r\n");
    let digest = Digest::of(b"");
    let upload = served.begin("a").await;
    for line in [
        format!("POST /v2/a/blobs/uploads/?digest={digest}"),
        format!("PATCH {upload}"),
    ] {
        let answer = served.raw(&request(&line, &headers)).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("SIZE_INVALID"));
    }
    let headers = "content-type: application/vnd.oci.image.manifest.v1+json\r\n\
                   content-length: 4194305\r\nexpect: 100-continue\r\n";
    let answer = served
        .raw(&request("PUT /v2/a/manifests/v1", headers))
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    served.stopped().await;
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_and_leaves_nothing() {
    let served = serve().await;
    let digest = Digest::of(b"");
    endless(
        &served,
        &format!("POST /v2/a/blobs/uploads/?digest={digest}"),
    )
    .await;
    endless(&served, "PUT /v2/a/manifests/v1").await;
    let upload = served.begin("a").await;
    endless(&served, &format!("PATCH {upload}")).await;
    let gone = served.push(Method::GET, &upload).send().await.unwrap();
    assert_eq!(code(gone).await, "BLOB_UPLOAD_UNKNOWN");
    let upload = served.begin("a").await;
    endless(&served, &format!("PUT {upload}?digest={digest}")).await;
    assert_eq!(served.blobs(), 0);
    // There is room for as many as before.
    for _ in 0..config().uploads_max {
        served.begin("a").await;
    }
    served.stopped().await;
}

#[tokio::test]
async fn a_blob_may_be_as_large_as_it_may_and_no_larger() {
    let served = serve().await;
    let largest = vec![1; usize::try_from(BLOB_BYTES_MAX).unwrap()];
    served.put_blob("a", &largest).await;
    let upload = served.begin("a").await;
    let first = served.chunk(&upload, 0, &largest).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let more = served.chunk(&upload, largest.len(), b"x").await;
    assert_eq!(more.status(), StatusCode::PAYLOAD_TOO_LARGE);
    served.stopped().await;
}

#[tokio::test]
async fn so_many_uploads_and_no_more() {
    let served = serve().await;
    let mut uploads = Vec::new();
    for _ in 0..config().uploads_max {
        uploads.push(served.begin("a").await);
    }
    let more = served
        .push(Method::POST, "a/blobs/uploads/")
        .send()
        .await
        .unwrap();
    assert_eq!(more.status(), StatusCode::TOO_MANY_REQUESTS);
    let given_up = served
        .push(Method::DELETE, &uploads[0])
        .send()
        .await
        .unwrap();
    assert_eq!(given_up.status(), StatusCode::NO_CONTENT);
    served.begin("a").await;
    served.stopped().await;
}

#[tokio::test]
async fn an_upload_that_nobody_continues_is_forgotten() {
    let patience = Patience {
        // Whatever comes next comes too late.
        upload: Duration::ZERO,
        ..Patience::default()
    };
    let served = serve_with(config(), patience).await;
    let upload = served.begin("a").await;
    let late = served.chunk(&upload, 0, b"something").await;
    assert_eq!(code(late).await, "BLOB_UPLOAD_UNKNOWN");
    // Places that are taken by uploads that are over are free.
    for _ in 0..config().uploads_max * 3 {
        served.begin("a").await;
    }
    assert_eq!(served.blobs(), 0);
    served.stopped().await;
}

#[tokio::test]
async fn a_chunk_that_breaks_off_can_be_continued() {
    let served = serve().await;
    let upload = served.begin("a").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = request(&format!("PATCH {upload}"), "content-length: 400000\r\n");
    stream.write_all(&head).await.unwrap();
    stream.write_all(&vec![b'x'; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);

    let waiting = async {
        loop {
            let status = served.push(Method::GET, &upload).send().await.unwrap();
            let range = super::header(&status, "range").to_owned();
            if let Some(last) = range.strip_prefix("0-").filter(|last| *last != "0") {
                break last.parse::<usize>().unwrap() + 1;
            }
        }
    };
    let there = timeout(DEADLINE, waiting)
        .await
        .expect("the upload is free again");
    let rest = vec![b'x'; 300_000 - there.min(299_999)];
    let size = there + rest.len();
    let chunk = served.chunk(&upload, there, &rest).await;
    assert_eq!(chunk.status(), StatusCode::ACCEPTED);
    let digest = Digest::of(&vec![b'x'; size]);
    assert_eq!(served.finish(&upload, &digest).await.status(), 201);
    served.stopped().await;
}

#[tokio::test]
async fn one_request_at_a_time_is_at_an_upload() {
    let served = serve().await;
    let upload = served.begin("a").await;
    let mut first = TcpStream::connect(served.address).await.unwrap();
    let headers = "content-length: 5\r\nexpect: 100-continue\r\n";
    let head = request(&format!("PATCH {upload}"), headers);
    first.write_all(&head).await.unwrap();
    // It is at the upload once its body is asked for.
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let path = format!("{upload}?digest={}", Digest::of(b"first"));
        let second = served.push(method, &path).send().await.unwrap();
        assert_eq!(second.status(), StatusCode::CONFLICT);
    }
    first.write_all(b"first").await.unwrap();
    let mut answer = vec![0; 64];
    first.read_exact(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains(" 202 "));
    let finished = served.finish(&upload, &Digest::of(b"first")).await;
    assert_eq!(finished.status(), StatusCode::CREATED);
    served.stopped().await;
}

#[tokio::test]
async fn paths_are_not_tricked() {
    let served = serve().await;
    let long = format!("/v2/{}/tags/list", "a/".repeat(5000));
    for (path, status) in [
        ("/v2/..%2f..%2fetc/manifests/passwd", "400"),
        ("/v2/../../etc/manifests/passwd", "400"),
        ("/v2/a/manifests/..%2f..%2findex.json", "404"),
        ("/v2/a/blobs/..%2f..%2findex.json", "400"),
        ("/v2/a/blobs/sha256:..%2f..%2findex.json", "400"),
        ("/v2//a//b/tags/list", "400"),
        ("/v2/a%00b/tags/list", "400"),
        ("/v2/a/manifests/%00", "404"),
        ("/v2/%2e%2e/tags/list", "400"),
        ("/v2", "200"),
        ("/etc/passwd", "404"),
        ("*", "404"),
        (long.as_str(), "414"),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = served.raw(head.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{path}: {answer}");
        assert!(!answer.contains("passwd") && !answer.contains("index.json"));
    }
    served.stopped().await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let patience = Patience {
        head: Duration::from_millis(200),
        ..Patience::default()
    };
    let served = serve_with(config(), patience).await;
    // Each ends at the server's will: `raw` waits for it.
    assert_eq!(served.raw(b"").await, "");
    assert_eq!(served.raw(b"GET /v2/ HTTP/1.1\r\nhost: a\r\n").await, "");
    let kept = served
        .raw(b"GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\nGET /v2/")
        .await;
    assert!(kept.starts_with("HTTP/1.1 200 "));

    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let trickling = async {
        while stream.write_all(b"G").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, trickling).await.expect("it is cut off");
    served.stopped().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_cut_off() {
    let served = serve().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\n").await.unwrap();
    let line = format!("x: {}\r\n", "y".repeat(4000));
    let sending = async { while stream.write_all(line.as_bytes()).await.is_ok() {} };
    timeout(DEADLINE, sending).await.expect("it is cut off");
    served.stopped().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let patience = Patience {
        idle: Duration::from_millis(200),
        ..Patience::default()
    };
    let served = serve_with(config(), patience).await;
    let upload = served.begin("a").await;
    let head = request(&format!("PATCH {upload}"), "content-length: 10\r\n");
    let answer = served.raw(&head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    served.stopped().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let patience = Patience {
        body: Duration::from_millis(300),
        ..Patience::default()
    };
    let served = serve_with(config(), patience).await;
    let upload = served.begin("a").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = request(&format!("PATCH {upload}"), "content-length: 100000\r\n");
    stream.write_all(&head).await.unwrap();
    let trickling = async {
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, trickling).await.expect("it is cut off");
    served.stopped().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_not_held() {
    let patience = Patience {
        idle: Duration::from_millis(300),
        ..Patience::default()
    };
    let mut config = config();
    config.blob_bytes_max = 64 << 20;
    config.connections_max = 1;
    let served = serve_with(config, patience).await;
    // More than the sockets between them hold.
    let digest = served.layout.put_blob(&vec![3; 32 << 20]).unwrap();
    let mut deaf = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: a\r\n\r\n");
    deaf.write_all(head.as_bytes()).await.unwrap();
    // The one connection is free again although nobody closed it.
    assert_eq!(served.get("").await.status(), StatusCode::OK);
    drop(deaf);
    served.stopped().await;
}

#[tokio::test]
async fn who_comes_when_all_connections_are_taken_waits() {
    let mut config = config();
    config.connections_max = 1;
    let served = serve_with(config, Patience::default()).await;
    let taken = TcpStream::connect(served.address).await.unwrap();
    let mut waiting = Box::pin(served.get(""));
    assert!(
        timeout(Duration::from_millis(200), &mut waiting)
            .await
            .is_err()
    );
    drop(taken);
    assert_eq!(waiting.await.status(), StatusCode::OK);
    served.stopped().await;
}

#[tokio::test]
async fn only_http_1_is_spoken() {
    let served = serve().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = served.raw(preface).await;
    assert!(!answer.contains(" 200 "), "{answer}");
    let old = served.raw(b"GET /v2/ HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 "), "{old}");
    served.stopped().await;
}
