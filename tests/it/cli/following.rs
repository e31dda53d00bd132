//! `deploy` and what else follows a deployment to its end.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Answer, Fake, Request};
use crate::process::{Process, run};

const DOCUMENT: &str = r#"name = "line"
version = "1.0.0"

[plugins.echo]
component = "echo.wasm"
"#;

fn phase(phase: &str) -> Value {
    json!({ "event": "phase", "deployment": 7, "phase": phase })
}

fn report(phase: &str) -> Value {
    let faults = if phase == "committed" {
        json!([])
    } else {
        json!([{ "code": "guest-trapped", "message": "plugin `echo` trapped",
                 "place": "line.toml:4:1", "help": "look at `selvedge logs echo`" }])
    };
    json!({
        "id": 7, "name": "line", "version": "1.0.0", "reason": { "kind": "submitted" },
        "requested_by": "uid 0", "requested_at": "2026-11-22T10:00:00Z",
        "ended_at": "2026-11-22T10:00:03.2Z", "phase": phase, "faults": faults,
        "plan": { "plugins": [
            { "plugin": "echo", "change": "replaced", "from": "1.0.0", "to": "1.1.0" },
        ] },
        "swaps": [{ "plugin": "echo", "pause_us": 1240 }],
        "document": format!("sha256:{}", "0".repeat(64)),
    })
}

/// A host that takes everything in and answers those who follow with `events`.
fn host(events: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Fake {
    let fake = Fake::start(move |number, request| match request.line.as_str() {
        line if line.starts_with("PUT /v1/files/") => Answer::Done,
        "POST /v1/deployments" | "POST /v1/rollback" | "POST /v1/plugins/echo/swap" => {
            Answer::Json(202, json!({ "deployment": 7 }))
        }
        "GET /v1/deployments/7/events" => events(number),
        _ => Answer::Json(
            404,
            json!({ "code": "no-such-path", "title": "?", "status": 404 }),
        ),
    });
    fake.write("line.toml", DOCUMENT);
    fake.write("echo.wasm", "not looked at here");
    fake
}

#[tokio::test]
async fn a_deployment_is_followed_to_its_commit() {
    let steps = ["pull", "verify", "swap", "probation", "committed"];
    let host = host(move |_| {
        let phases = steps.iter().map(|step| phase(step));
        let swapped = json!({ "event": "swapped", "deployment": 7,
            "swap": { "plugin": "echo", "pause_us": 1240 } });
        // What this version does not know is left out.
        let unknown = json!({ "event": "of-tomorrow", "deployment": 7 });
        let last = [swapped, unknown, report("committed")];
        Answer::Lines(phases.chain(last).collect())
    });
    let ended = run(&mut host.command(&["deploy", "line.toml"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("deployment 7: "));
    let told: Vec<_> = told
        .filter_map(|line| line.split_once(": "))
        .map(|(_, what)| what)
        .collect();
    assert_eq!(told[..5], steps);
    assert_eq!(told[5], "echo swapped, paused 1.2 ms");
    let expected = "deployment 7 committed after 3.2 s: line 1.0.0\n  \
        ~  echo  1.0.0 -> 1.1.0  paused 1.2 ms\n";
    assert_eq!(ended.stdout, expected);

    let seen = host.seen();
    assert_eq!(seen[0].body, b"not looked at here");
    let request = seen[1].json();
    assert_eq!(request["document"], DOCUMENT);
    assert_eq!(request["file"], "line.toml");
    assert_eq!(request["when_busy"], "queue");
    let digest = request["files"]["echo.wasm"].as_str().unwrap();
    assert_eq!(seen[0].line, format!("PUT /v1/files/{digest}"));
}

#[tokio::test]
async fn one_that_does_not_stay_is_told_as_check_tells_faults_and_fails() {
    for (phase, end) in [
        (
            "rolled-back",
            "was rolled back after 3.2 s: what ran before runs again",
        ),
        (
            "failed",
            "failed after 3.2 s: what ran before was not touched",
        ),
        ("superseded", "was superseded after 3.2 s: a newer one came"),
    ] {
        let host = host(move |_| Answer::Lines(vec![report(phase)]));
        for arguments in [
            &["deploy", "line.toml", "--refuse"] as &[&str],
            &["rollback"],
            &["swap", "echo", "shipped:echo"],
            &["history", "7", "--follow"],
        ] {
            let ended = run(&mut host.command(arguments)).await;
            assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
            let expected = format!(
                "line.toml:4:1: error: plugin `echo` trapped [guest-trapped]\n  help: look at \
                 `selvedge logs echo`\ndeployment 7 {end}\n"
            );
            assert_eq!((ended.stderr, ended.stdout.as_str()), (expected, ""));
        }
    }
}

#[tokio::test]
async fn programs_get_the_events_as_they_were_told() {
    let told = vec![phase("pull"), phase("committed"), report("committed")];
    let answer = told.clone();
    let host = host(move |_| Answer::Lines(answer.clone()));
    let ended = run(&mut host.command(&["deploy", "line.toml", "--json"])).await;
    let printed = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(printed.collect::<Vec<_>>(), told);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let ended = run(&mut host.command(&["deploy", "line.toml", "--json", "--detach"])).await;
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(printed, json!({ "deployment": 7 }));
}

#[tokio::test]
async fn a_document_is_judged_here_before_anything_is_sent() {
    let host = host(|_| Answer::Silence);
    for (right, wrong, fault) in [
        (
            "component",
            "componen",
            "line.toml:5:1: error: unknown field `componen`",
        ),
        (
            "echo.wasm",
            "none.wasm",
            "line.toml:5:13: error: cannot find component `none.wasm`",
        ),
        ("[plugins.echo]", "[plugins.echo", "line.toml:4:14: error: "),
    ] {
        host.write("line.toml", &DOCUMENT.replace(right, wrong));
        for command in ["deploy", "plan"] {
            let ended = run(&mut host.command(&[command, "line.toml"])).await;
            assert_eq!(ended.code, Some(78), "{ended:?}");
            assert!(ended.stderr.contains(fault), "{fault}: {ended:?}");
        }
    }
    assert!(host.seen().is_empty());
}

#[tokio::test]
async fn a_document_that_the_host_refuses_is_told_fault_by_fault() {
    let host = Fake::start(|_, request| {
        if request.line.starts_with("PUT") {
            return Answer::Json(200, Value::Null);
        }
        Answer::Json(
            422,
            json!({ "code": "document-refused", "title": "the document cannot be deployed",
                "status": 422, "faults": [
                    { "code": "limit-above-ceiling", "message": "too much",
                      "place": "line.toml:5:1", "help": "less" },
                    { "code": "shipped-plugin-unknown", "message": "no such" },
                ] }),
        )
    });
    host.write("line.toml", DOCUMENT);
    host.write("echo.wasm", "");
    for command in ["deploy", "plan"] {
        let ended = run(&mut host.command(&[command, "line.toml"])).await;
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let expected = "line.toml:5:1: error: too much [limit-above-ceiling]\n  help: less\n\
            error: no such [shipped-plugin-unknown]\n";
        assert_eq!(ended.stderr, expected);
    }
}

#[tokio::test]
async fn a_plan_with_a_right_that_is_refused_fails() {
    for granted in [true, false] {
        let host = Fake::start(move |_, request| {
            if request.line.starts_with("PUT") {
                return Answer::Done;
            }
            assert_eq!(request.line, "POST /v1/plans");
            Answer::Json(
                200,
                json!({ "plugins": [{
                "plugin": "echo", "change": "replaced", "from": "1.0.0", "to": "1.1.0",
                "widens": [{ "kind": "publish", "what": "x/#", "by": "manifest",
                             "granted": granted, "why": "to answer" }],
            }] }),
            )
        });
        host.write("line.toml", DOCUMENT);
        host.write("echo.wasm", "");
        let ended = run(&mut host.command(&["plan", "line.toml"])).await;
        assert_eq!(ended.code, Some(i32::from(!granted)), "{ended:?}");
        assert_eq!(
            ended.stdout.contains("1 right is refused"),
            !granted,
            "{ended:?}"
        );
        assert!(ended.stdout.contains("publish x/#"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_host_that_is_away_for_a_moment_is_waited_for() {
    // The first who follow are cut off: in the middle, and at once.
    let host = host(|number| match number {
        2 => Answer::Lines(vec![phase("pull")]),
        3 => Answer::Raw(Vec::new()),
        _ => Answer::Lines(vec![phase("pull"), phase("committed"), report("committed")]),
    });
    let ended = run(&mut host.command(&["deploy", "line.toml"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // What was told is not told again.
    assert_eq!(ended.stderr.matches("deployment 7: pull").count(), 1);
    assert_eq!(host.seen().len(), 5);
}

#[tokio::test]
async fn who_interrupts_learns_that_it_goes_on_and_how_to_follow_it() {
    let host = host(|_| Answer::LinesThenSilence(vec![phase("compile")]));
    let mut deploy = Process::start(&mut host.command(&["deploy", "line.toml", "--supersede"]));
    deploy.line("compile").await;
    deploy.signal("INT").await;
    let ended = deploy.end().await;
    assert_eq!(ended.code, Some(130));
    let expected = "deployment 7 goes on without you\n  help: `selvedge history 7 --follow` \
        follows it\n";
    assert!(ended.stderr.ends_with(expected), "{ended:?}");
    assert_eq!(host.seen()[1].json()["when_busy"], "supersede");
}

#[tokio::test]
async fn who_watches_deploys_each_change_and_survives_faults() {
    let host = host(|_| Answer::Lines(vec![report("committed")]));
    let mut watch = Process::start(&mut host.command(&["deploy", "line.toml", "--watch"]));
    watch.line("watching line.toml").await;
    // A file that it names, replaced as editors do.
    host.write("echo.tmp", "another component");
    fs_err::rename(host.path("echo.tmp"), host.path("echo.wasm")).unwrap();
    watch.line("watching line.toml").await;
    // A fault is told and waited out.
    host.write("line.toml", "name = 1");
    watch.line("line.toml:1:8: error").await;
    host.write("line.toml", &DOCUMENT.replace("1.0.0", "1.0.1"));
    watch.line("watching line.toml").await;
    watch.signal("INT").await;
    assert_eq!(watch.end().await.code, Some(0));
    let seen = host.seen();
    let submitted: Vec<_> = seen
        .iter()
        .filter(|request| request.line == "POST /v1/deployments")
        .map(Request::json)
        .collect();
    assert_eq!(submitted.len(), 3);
    assert_ne!(submitted[0]["files"], submitted[1]["files"]);
    assert_eq!(submitted[1]["files"], submitted[2]["files"]);
    assert!(
        submitted
            .iter()
            .all(|request| request["when_busy"] == "supersede")
    );
}

#[tokio::test]
async fn who_watches_is_not_kept_from_the_next_change_by_what_is_under_way() {
    let host = host(|number| match number {
        2 => Answer::LinesThenSilence(vec![phase("probation")]),
        _ => Answer::Lines(vec![report("committed")]),
    });
    let mut watch = Process::start(&mut host.command(&["deploy", "line.toml", "--watch"]));
    watch.line("probation").await;
    host.write("line.toml", &DOCUMENT.replace("1.0.0", "1.0.1"));
    let waited = tokio::time::timeout(Duration::from_secs(60), watch.line("watching line.toml"));
    waited.await.unwrap();
    watch.signal("INT").await;
    assert_eq!(watch.end().await.code, Some(0));
}
