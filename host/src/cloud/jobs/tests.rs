//! The machine, against the answers that AWS IoT documents and others.

mod refused;
mod reused;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::record::{ExecutionId, Outcome, Record, Stage};
use super::wire::{Details, Kind, Status, Topics};
use super::{CONFIRM_MAX, Effect, Jobs, Pace};
use crate::cloud::asking::Sent;
use crate::cloud::order::Order;

const PACE: Pace = Pace {
    progress: Duration::from_secs(5),
    step_timeout_minutes: Some(10),
    allowed: true,
};

fn jobs_with(records: Vec<Record>) -> Jobs {
    Jobs::new(Topics::new(&"gw".parse().unwrap()), PACE, records)
}

fn jobs(now: Instant) -> Jobs {
    let mut jobs = jobs_with(Vec::new());
    jobs.connected(true, now);
    jobs
}

fn id(number: u64) -> ExecutionId {
    ExecutionId {
        job: "j-1".parse().unwrap(),
        number,
        queued_at: Some(1),
    }
}

fn record(stage: Stage) -> Record {
    Record {
        id: id(1),
        serial: 1,
        version: Some(2),
        stage,
    }
}

fn body(sent: &Sent) -> Value {
    serde_json::from_slice(&sent.payload).unwrap()
}

fn end_of(sent: &Sent) -> &str {
    sent.topic
        .as_str()
        .strip_prefix("$aws/things/gw/jobs/")
        .unwrap()
}

fn say(jobs: &mut Jobs, kind: &Kind, said: &Value, now: Instant) {
    jobs.arrived(kind, said.to_string().as_bytes(), now);
}

fn effects(jobs: &mut Jobs) -> Vec<Effect> {
    std::iter::from_fn(|| jobs.take_effect()).collect()
}

fn execution(document: &Value) -> Value {
    json!({
        "jobId": "j-1", "thingName": "gw", "status": "IN_PROGRESS", "queuedAt": 1, "startedAt": 2,
        "lastUpdatedAt": 3, "versionNumber": 2, "executionNumber": 1, "jobDocument": document,
    })
}

/// Asks for the next one and is given one with `document`.
fn start(jobs: &mut Jobs, now: Instant, document: &Value) {
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "start-next");
    assert_eq!(body(&sent)["stepTimeoutInMinutes"], 10);
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"execution": execution(document), "timestamp": 4, "clientToken": token});
    say(jobs, &Kind::Started, &said, now);
}

fn rollback() -> Value {
    json!({"operation": "rollback"})
}

fn updated() -> Kind {
    Kind::Updated("j-1".parse().unwrap())
}

fn not_updated() -> Kind {
    Kind::NotUpdated("j-1".parse().unwrap())
}

/// Answers a question about an execution.
fn describe(jobs: &mut Jobs, asked: &Sent, execution: Value, now: Instant) {
    let token = body(asked)["clientToken"].clone();
    let said = json!({"execution": execution, "clientToken": token});
    let described = Kind::Described("j-1".parse().unwrap());
    say(jobs, &described, &said, now);
}

#[test]
fn a_job_is_remembered_before_it_is_begun_and_told_through_the_queue() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &rollback());
    let order = Order::Rollback { to: None };
    let stage = Stage::Begun {
        order: order.clone(),
    };
    let again = false;
    let save = Effect::Save(record(stage));
    let begin = Effect::Begin {
        id: id(1),
        order,
        again,
    };
    assert_eq!(effects(&mut jobs), [save, begin]);

    let sent = jobs.poll(now).unwrap();
    assert_eq!((end_of(&sent), sent.durable), ("j-1/update", false));
    assert_eq!(body(&sent)["status"], "IN_PROGRESS");
    assert_eq!(
        (
            &body(&sent)["expectedVersion"],
            &body(&sent)["executionNumber"]
        ),
        (&json!(2), &json!(1))
    );
    let state = json!({"status": "IN_PROGRESS", "versionNumber": 3});
    let said = json!({"executionState": state, "clientToken": body(&sent)["clientToken"]});
    say(&mut jobs, &updated(), &said, now);

    jobs.progress(
        &id(1),
        Details::from([("phase".to_owned(), "pull".to_owned())]),
    );
    assert_eq!(jobs.due(now), Some(now + PACE.progress));
    let sent = jobs.poll(now + PACE.progress).unwrap();
    assert_eq!(body(&sent)["statusDetails"]["phase"], "pull");
    assert_eq!(body(&sent)["expectedVersion"], 3);

    jobs.ended(&id(1), Outcome::succeeded(Details::new()));
    jobs.connected(false, now);
    let sent = jobs.poll(now).unwrap();
    assert!(sent.durable, "also while the cloud is away");
    assert_eq!(body(&sent)["status"], "SUCCEEDED");
    assert_eq!(body(&sent)["expectedVersion"], 3);
    jobs.queued(now);
    assert_eq!(jobs.due(now), None);
    jobs.connected(true, now);
    say(
        &mut jobs,
        &updated(),
        &json!({"clientToken": body(&sent)["clientToken"]}),
        now,
    );
    let stages: Vec<_> = effects(&mut jobs)
        .into_iter()
        .map(|effect| match effect {
            Effect::Save(record) => record.stage,
            other => panic!("{other:?}"),
        })
        .collect();
    let outcome = Outcome::succeeded(Details::new());
    assert_eq!(stages.last(), Some(&Stage::Told { outcome }));
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
}

#[test]
fn a_job_begun_before_a_crash_is_gone_on_with_and_one_that_ended_is_only_told() {
    let now = Instant::now();
    let order = Order::Rollback { to: None };
    let stage = Stage::Begun {
        order: order.clone(),
    };
    let again = true;
    let mut jobs = jobs_with(vec![record(stage)]);
    let begin = Effect::Begin {
        id: id(1),
        order,
        again,
    };
    assert_eq!(effects(&mut jobs), [begin], "also while the cloud is away");
    jobs.connected(true, now);
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "j-1/get");

    let outcome = Outcome::failed("x", "because");
    let queued = false;
    let stage = Stage::Ended {
        outcome: outcome.clone(),
        queued,
    };
    let mut jobs = jobs_with(vec![record(stage)]);
    assert_eq!(effects(&mut jobs), []);
    assert_eq!(body(&jobs.poll(now).unwrap())["status"], "FAILED");

    let stage = Stage::Told { outcome };
    let mut jobs = jobs_with(vec![record(stage)]);
    jobs.connected(true, now);
    start(&mut jobs, now, &rollback());
    assert_eq!(effects(&mut jobs), [], "it is not done twice");
    assert_eq!(body(&jobs.poll(now).unwrap())["status"], "FAILED");
}

#[test]
fn an_end_that_the_cloud_does_not_confirm_is_asked_about_and_told_again() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &json!({"operation": "x"}));
    assert_eq!(body(&jobs.poll(now).unwrap())["status"], "REJECTED");
    jobs.queued(now);
    let now = now + CONFIRM_MAX;
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/get");
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"execution": execution(&rollback()), "clientToken": token});
    say(
        &mut jobs,
        &Kind::Described("j-1".parse().unwrap()),
        &said,
        now,
    );
    let sent = jobs.poll(now).unwrap();
    assert!(sent.durable);
    jobs.queued(now);
    let token = body(&sent)["clientToken"].clone();
    let state = json!({"status": "REJECTED", "versionNumber": 9});
    let said =
        json!({"code": "InvalidStateTransition", "clientToken": token, "executionState": state});
    say(&mut jobs, &not_updated(), &said, now);
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
}

#[test]
fn an_end_that_the_cloud_refuses_again_and_again_is_not_told_as_fast_as_it_refuses() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &json!({"operation": "x"}));
    let sent = jobs.poll(now).unwrap();
    jobs.queued(now);
    let token = body(&sent)["clientToken"].clone();
    let state = json!({"status": "IN_PROGRESS", "versionNumber": 9});
    let said = json!({"code": "VersionMismatch", "clientToken": token, "executionState": state});
    say(&mut jobs, &not_updated(), &said, now);
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/get", "it may be another by this name");
    describe(&mut jobs, &sent, execution(&rollback()), now);
    assert_eq!(jobs.poll(now), None);
    let later = jobs.due(now).unwrap();
    assert!(later >= now + Duration::from_secs(1));
    assert!(jobs.poll(later).unwrap().durable);
}

#[test]
fn what_is_cancelled_is_undone_and_what_timed_out_is_left_to_end() {
    for (status, undone) in [("CANCELED", true), ("REMOVED", true), ("TIMED_OUT", false)] {
        let now = Instant::now();
        let mut jobs = jobs(now);
        start(&mut jobs, now, &rollback());
        effects(&mut jobs);
        let sent = jobs.poll(now).unwrap();
        let state = json!({"status": "IN_PROGRESS", "versionNumber": 3});
        let said = json!({"executionState": state, "clientToken": body(&sent)["clientToken"]});
        say(&mut jobs, &updated(), &said, now);
        say(
            &mut jobs,
            &Kind::NotifyNext,
            &json!({"execution": {}, "timestamp": 1}),
            now,
        );
        let sent = jobs.poll(now).unwrap();
        assert_eq!(end_of(&sent), "j-1/get");
        let mut execution = execution(&rollback());
        execution["status"] = status.into();
        let said = json!({"execution": execution, "clientToken": body(&sent)["clientToken"]});
        say(
            &mut jobs,
            &Kind::Described("j-1".parse().unwrap()),
            &said,
            now,
        );
        assert_eq!(
            effects(&mut jobs).contains(&Effect::Undo(id(1))),
            undone,
            "{status}"
        );
        // What it comes to is nobody's business any more.
        jobs.ended(&id(1), Outcome::succeeded(Details::new()));
        assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
    }
}

#[test]
fn another_version_is_taken_over_and_the_job_goes_on() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &rollback());
    let sent = jobs.poll(now).unwrap();
    let state = json!({"status": "IN_PROGRESS", "versionNumber": 41});
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"code": "VersionMismatch", "clientToken": token, "executionState": state});
    say(&mut jobs, &not_updated(), &said, now);
    assert_eq!(body(&jobs.poll(now).unwrap())["expectedVersion"], 41);
}

#[test]
fn what_may_not_be_done_here_is_rejected_with_the_reason() {
    let check = |allowed: bool, document: Value, code: &str| {
        let now = Instant::now();
        let pace = Pace { allowed, ..PACE };
        let mut jobs = Jobs::new(Topics::new(&"gw".parse().unwrap()), pace, Vec::new());
        jobs.connected(true, now);
        start(&mut jobs, now, &document);
        let sent = jobs.poll(now).unwrap();
        assert_eq!(body(&sent)["status"], "REJECTED");
        assert_eq!(body(&sent)["statusDetails"]["code"], code);
        let reason = body(&sent)["statusDetails"]["reason"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!reason.is_empty() && reason.chars().count() <= 1024);
    };
    check(false, rollback(), "not-allowed");
    check(
        true,
        json!({"operation": "reboot\u{7}"}),
        "unknown-operation",
    );
    check(
        true,
        json!({"operation": "deploy", "document": "x", "files": {"../x": 1}}),
        "order-malformed",
    );
    check(true, json!("text"), "no-operation");
    check(true, json!({"version": "1.0", "steps": []}), "no-operation");
}

#[test]
fn answers_to_nobodys_question_start_nothing() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    let sent = jobs.poll(now).unwrap();
    let token = body(&sent)["clientToken"].clone();
    let mut traversal = execution(&rollback());
    traversal["jobId"] = "../../x".into();
    for said in [
        json!({"execution": execution(&rollback()), "clientToken": "guessed"}),
        json!({"execution": execution(&rollback())}),
        json!(7),
        json!("x".repeat(300_000)),
    ] {
        for kind in [
            Kind::Started,
            Kind::NotStarted,
            updated(),
            not_updated(),
            Kind::NotifyNext,
        ] {
            say(&mut jobs, &kind, &said, now);
        }
    }
    jobs.arrived(&Kind::Started, &[0xff, 0x00], now);
    assert_eq!(effects(&mut jobs), []);
    say(
        &mut jobs,
        &Kind::Started,
        &json!({"execution": traversal, "clientToken": token}),
        now,
    );
    assert_eq!(effects(&mut jobs), []);
    assert!(
        jobs.due(now).unwrap() > now,
        "it waits before it asks again"
    );
}

#[test]
fn no_answer_ever_means_fewer_and_fewer_questions() {
    let start = Instant::now();
    let mut jobs = jobs(start);
    let (mut now, mut asked) = (start, 0);
    while now < start + Duration::from_secs(3_600) {
        asked += u32::from(jobs.poll(now).is_some());
        now += Duration::from_secs(1);
    }
    assert!((8..30).contains(&asked), "{asked}");
}

#[test]
fn a_thing_without_jobs_asks_once_and_then_waits_to_be_notified() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    let sent = jobs.poll(now).unwrap();
    say(
        &mut jobs,
        &Kind::Started,
        &json!({"clientToken": body(&sent)["clientToken"]}),
        now,
    );
    assert_eq!(jobs.due(now), None);
    let mut next = execution(&Value::Null);
    next["status"] = "QUEUED".into();
    say(
        &mut jobs,
        &Kind::NotifyNext,
        &json!({"execution": next}),
        now,
    );
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
}

#[test]
fn topics_are_those_of_jobs() {
    let topics = Topics::new(&"gw".parse().unwrap());
    let kind = |text: &str| topics.kind(&text.parse().unwrap());
    assert_eq!(
        kind("$aws/things/gw/jobs/notify-next"),
        Some(Kind::NotifyNext)
    );
    assert_eq!(
        kind("$aws/things/gw/jobs/j-1/update/accepted"),
        Some(updated())
    );
    assert_eq!(kind("$aws/things/gw/jobs/a:b/update/accepted"), None);
    assert_eq!(kind("$aws/things/other/jobs/notify-next"), None);
    let matched = |text: &str| {
        let topic = text.parse().unwrap();
        topics.filters().iter().any(|filter| filter.matches(&topic))
    };
    for text in [
        "notify-next",
        "start-next/accepted",
        "j-1/get/rejected",
        "j-1/update/accepted",
    ] {
        assert!(matched(&format!("$aws/things/gw/jobs/{text}")), "{text}");
    }
    assert!(!matched("$aws/things/gw/jobs/j-1/update"));
    let status = serde_json::to_string(&Status::TimedOut).unwrap();
    assert_eq!(status, "\"TIMED_OUT\"");
}

#[test]
fn how_a_job_ended_that_may_not_be_asked_about_is_learnt_from_an_update() {
    let now = Instant::now();
    let order = Order::Rollback { to: None };
    let mut jobs = jobs_with(vec![record(Stage::Begun { order })]);
    jobs.connected(true, now);
    effects(&mut jobs);
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/get");
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"code": "TerminalStateReached", "clientToken": token});
    say(
        &mut jobs,
        &Kind::NotDescribed("j-1".parse().unwrap()),
        &said,
        now,
    );
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/update");
    let state = json!({"status": "CANCELED", "versionNumber": 5});
    let token = body(&sent)["clientToken"].clone();
    let said =
        json!({"code": "InvalidStateTransition", "clientToken": token, "executionState": state});
    say(&mut jobs, &not_updated(), &said, now);
    assert!(matches!(
        effects(&mut jobs)[..],
        [Effect::Undo(_), Effect::Save(_)]
    ));
}
