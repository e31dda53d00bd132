//! One question, one answer: what is printed, and how it ends.

use std::process::Stdio;

use serde_json::{Value, json};

use super::fake::{Answer, Fake};
use crate::process::{Process, run, selvedge};

fn plugins() -> Value {
    json!([{
        "plugin": "window", "deployment": 7, "package": "acme:window", "version": "0.2.0",
        "publisher": "acme", "digest": "sha256:00", "exports": ["subscriber"],
        "state": "given-up", "error": "it trapped\u{1b}[2J", "stopped_by_operator": false,
        "handled_total": 1200, "published_total": 300, "dropped_total": 0,
        "dead_letters_total": 0, "inbox_messages": 3, "inbox_bytes": 768,
        "inbox_messages_max": 1024, "memory_bytes": 1_376_256,
        "memory_bytes_max": 67_108_864, "a_field_of_tomorrow": true,
    }])
}

#[tokio::test]
async fn people_get_a_table_and_programs_what_the_host_said() {
    let host = Fake::start(|_, _| Answer::Json(200, plugins()));
    let ended = run(&mut host.command(&["ps"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("it trapped\\u{1b}[2J"), "{ended:?}");
    assert!(!ended.stdout.contains('\u{1b}'), "{ended:?}");
    let ended = run(&mut host.command(&["ps", "--json"])).await;
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(printed, plugins());
    assert_eq!(host.seen()[0].line, "GET /v1/plugins");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_said_with_how_to_start_or_name_it() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["status", "ps", "parties", "health", "top", "logs"] {
        let mut command = selvedge(&[command, "--host", "none.sock", "--json"]);
        let ended = run(command.current_dir(folder.path())).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stdout, "");
        let expected = "error: no host answers at none.sock: entity not found\n  help: start \
            it with `selvedge run`, or name its socket with `--host`\n";
        assert_eq!(ended.stderr, expected);
    }
}

#[tokio::test]
async fn what_a_role_may_not_do_is_said_with_who_one_is() {
    let host = Fake::start(|_, _| {
        Answer::Json(
            403,
            json!({ "code": "forbidden", "title": "this needs the role `operator`",
                    "status": 403, "help": "name this user under `api`" }),
        )
    });
    let ended = run(&mut host.command(&["stop", "window"])).await;
    assert_eq!(ended.code, Some(1));
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(
        lines[0],
        "error: this needs the role `operator` [forbidden]"
    );
    assert!(
        lines[1].starts_with("  help: the host knows you by uid "),
        "{ended:?}"
    );
    assert!(
        lines[1].ends_with(": name this user under `api`"),
        "{ended:?}"
    );
    assert_eq!(host.seen()[0].line, "POST /v1/plugins/window/stop");
}

#[tokio::test]
async fn health_is_an_exit_code() {
    for (status, ok, code) in [(200, true, 0), (503, false, 1)] {
        let reasons = if ok {
            json!([])
        } else {
            json!([{ "what": "plugin/window", "reason": "given up" }])
        };
        let host =
            Fake::start(move |_, _| Answer::Json(status, json!({ "ok": ok, "reasons": reasons })));
        let ended = run(&mut host.command(&["health"])).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.stdout.contains("plugin/window: given up"), !ok);
        assert_eq!(host.seen()[0].line, "GET /readyz");
        assert_eq!(
            run(&mut host.command(&["health", "--alive"])).await.code,
            Some(code)
        );
        assert_eq!(host.seen()[1].line, "GET /healthz");
    }
}

#[tokio::test]
async fn a_message_is_published_as_it_was_typed_or_read() {
    let host = Fake::start(|_, _| Answer::Done);
    let file = host.path("payload.bin");
    fs_err::write(&file, [0, 255]).unwrap();
    let arguments = [
        "pub",
        "a/b",
        "--file",
        "payload.bin",
        "--content-type",
        "x/y",
    ];
    assert_eq!(run(&mut host.command(&arguments)).await.code, Some(0));
    let mut from_stdin = host.command(&["pub", "a/b", "-", "--retain"]);
    from_stdin.stdin(
        fs_err::File::open(host.write("in", "21.5"))
            .unwrap()
            .into_parts()
            .0,
    );
    let ended = from_stdin.output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let seen = host.seen();
    assert_eq!(
        seen[0].json(),
        json!({ "topic": "a/b", "base64": "AP8=", "content_type": "x/y", "retain": false })
    );
    assert_eq!(
        seen[1].json(),
        json!({ "topic": "a/b", "text": "21.5", "retain": true })
    );
}

#[tokio::test]
async fn a_reader_who_goes_away_ends_it_quietly() {
    let messages = (0..50_000)
        .map(|number| json!({ "tap": "message", "topic": "a", "text": format!("{number}") }));
    let messages: Vec<_> = messages.collect();
    let host = Fake::start(move |_, _| Answer::LinesThenSilence(messages.clone()));
    let mut tap = host.command(&["tap", "a"]);
    let errors = host.path("errors");
    tap.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs_err::File::create(&errors).unwrap().into_parts().0)
        .kill_on_drop(true);
    let mut tap = tap.spawn().unwrap();
    drop(tap.stdout.take());
    let ended = tokio::time::timeout(crate::process::DEADLINE, tap.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    let said = fs_err::read_to_string(&errors).unwrap();
    assert_eq!(said, "listening to a\n");
}

#[tokio::test]
async fn a_tap_ends_after_so_many_messages_or_when_interrupted() {
    let message = json!({ "tap": "message", "topic": "a", "text": "1" });
    let missed = json!({ "tap": "missed", "messages": 3 });
    let lines = vec![message.clone(), missed, message.clone(), message];
    let host = Fake::start(move |_, _| Answer::LinesThenSilence(lines.clone()));
    let ended = run(&mut host.command(&["tap", "a/#", "+", "--kept", "--count", "2"])).await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout.lines().count(), 3, "{ended:?}");
    assert_eq!(ended.stderr, "listening to a/#, +\n");
    let line = "GET /v1/tap?filter=a%2F%23&filter=%2B&kept=true";
    assert_eq!(host.seen()[0].line, line);

    let mut tap = Process::start(&mut host.command(&["tap", "a", "--json"]));
    tap.line("missed").await;
    tap.signal("INT").await;
    let ended = tap.end().await;
    let said = "listening to a\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), said));
}

#[tokio::test]
async fn logs_that_are_followed_do_not_end_unsaid() {
    let line = json!({ "at": "2026-11-22T10:11:12Z", "level": "info", "text": "up" });
    let host = Fake::start(move |_, _| Answer::Lines(vec![line.clone()]));
    let ended = run(&mut host.command(&["logs", "window", "-n", "5"])).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1));
    let ended = run(&mut host.command(&["logs", "-f"])).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "error: the host ended the stream\n");
    assert_eq!(host.seen()[0].line, "GET /v1/logs?lines=5&plugin=window");
    assert_eq!(host.seen()[1].line, "GET /v1/logs?lines=100&follow=true");
}

#[tokio::test]
async fn arguments_that_make_no_sense_end_before_a_host_is_asked() {
    let host = Fake::start(|_, _| Answer::Silence);
    for arguments in [
        &["tap"] as &[&str],
        &["tap", "a/#/b"],
        &["pub", "a/+", "1"],
        &["stop", "A"],
        &["deploy"],
        &["deploy", "x", "--queue", "--refuse"],
        &["deploy", "x", "--watch", "--detach"],
        &["history", "--follow"],
        &["ps", "--cert", "x"],
        &["ps", "--cert", "x", "--key", "y"],
        &["top"],
    ] {
        let ended = run(&mut host.command(arguments)).await;
        assert_eq!(ended.code, Some(64), "{arguments:?}: {ended:?}");
    }
    assert!(host.seen().is_empty());
}
