//! A host that is none: it sends too much, nonsense, or nothing at all.

use std::time::{Duration, Instant};

use serde_json::json;

use super::fake::{Answer, Fake};
use crate::process::{Process, run};

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    for (arguments, bytes) in [
        (&["ps"] as &[&str], b" " as &[u8]),
        (&["ps"], b"[1,"),
        (&["logs"], b"x"),
        (&["tap", "a"], b"[1,"),
        (&["history", "7", "--document"], b"a"),
    ] {
        let host = Fake::start(move |_, _| Answer::Endless(bytes));
        let ended = run(&mut host.command(arguments)).await;
        assert_eq!(ended.code, Some(1), "{arguments:?}");
        assert!(
            ended.stderr.contains("has more than 33554432 bytes"),
            "{ended:?}"
        );
        assert_eq!(ended.stdout, "");
    }
}

#[tokio::test]
async fn nonsense_is_called_that_and_is_not_repeated_at_length() {
    let long = format!("{{\"plugins\": \"\\u001b[2J{}\"}}", "x".repeat(100_000));
    for body in [
        "",
        "hello",
        "{\"version\": 1}",
        "\u{1b}[2J",
        &"[".repeat(100_000),
        &long,
    ] {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        let host = Fake::start(move |_, _| Answer::Raw(answer.clone().into()));
        for command in ["status", "ps", "parties", "topics", "history"] {
            let ended = run(&mut host.command(&[command])).await;
            assert_eq!(ended.code, Some(1), "{command}: {ended:?}");
            assert!(ended.stderr.contains("makes no sense"), "{ended:?}");
            assert!(ended.stderr.len() < 2_000, "{}", ended.stderr.len());
            assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_a_broken_connection() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        "",
    ] {
        let host = Fake::start(move |_, _| Answer::Raw(bytes.into()));
        let ended = run(&mut host.command(&["ps"])).await;
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.stderr.contains("the connection to the host at "),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_without_a_reason_is_told_by_its_status() {
    for body in ["", "<html>", "{\"code\": 7}"] {
        let answer = format!("HTTP/1.1 502 Bad\r\n\r\n{body}");
        let host = Fake::start(move |_, _| Answer::Raw(answer.clone().into()));
        let ended = run(&mut host.command(&["ps"])).await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("status 502"), "{ended:?}");
    }
    // Nor does it lead elsewhere.
    let elsewhere = "HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let host = Fake::start(move |_, _| Answer::Raw(elsewhere.into()));
    let ended = run(&mut host.command(&["ps"])).await;
    assert!(ended.stderr.contains("status 302"), "{ended:?}");
}

#[tokio::test]
async fn a_host_that_says_nothing_is_given_up_and_can_be_interrupted() {
    let host = Fake::start(|_, _| Answer::Silence);
    let began = Instant::now();
    let mut ps = Process::start(&mut host.command(&["ps"]));
    let mut tap = Process::start(&mut host.command(&["tap", "a"]));
    host.asked(2).await;
    tap.signal("TERM").await;
    assert_eq!(tap.end().await.code, Some(0));
    let ended = ps.end().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("did not answer in time"), "{ended:?}");
    assert!(began.elapsed() >= Duration::from_secs(29));
}

#[tokio::test]
async fn what_is_shown_never_steers_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J\n\r\u{202e}x";
    let host = Fake::start(move |_, request| match request.line.as_str() {
        line if line.starts_with("GET /v1/tap") => Answer::Lines(vec![
            json!({ "tap": "message", "topic": evil, "text": evil, "reply_to": evil }),
        ]),
        line if line.starts_with("GET /v1/logs") => Answer::Lines(vec![
            json!({ "at": "2026-11-22T10:11:12Z", "plugin": evil, "level": evil, "text": evil }),
        ]),
        line if line.starts_with("GET /v1/dead-letters") => Answer::Lines(vec![
            json!({ "at": "2026-11-22T10:11:12Z", "plugin": evil, "reason": evil,
                    "message": { "topic": evil, "base64": evil, "content_type": evil } }),
        ]),
        "GET /v1/parties" => Answer::Json(
            200,
            json!({ "parties": [{
            "name": evil, "published_total": 1, "refused_total": 1, "delivered_total": 1,
            "dropped_total": 1, "inbox_messages": 1, "inbox_bytes": 1, "subscriptions": 1,
        }] }),
        ),
        _ => Answer::Json(
            400,
            json!({ "code": evil, "title": evil, "status": 400, "help": evil, "faults": [
                { "code": evil, "message": evil, "place": evil, "help": evil },
            ] }),
        ),
    });
    for arguments in [
        &["tap", "a", "--count", "1"] as &[&str],
        &["tap", "a", "--count", "1", "--json"],
        &["logs"],
        &["dead-letters"],
        &["parties"],
        &["parties", "--json"],
        &["status"],
        &["rollback"],
    ] {
        let ended = run(&mut host.command(arguments)).await;
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!printed.is_empty(), "{arguments:?}");
        let steers = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        assert!(!printed.contains(steers), "{arguments:?}: {printed:?}");
    }
}
