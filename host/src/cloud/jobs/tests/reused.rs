//! Names and numbers of deleted jobs that others have.

use serde_json::json;
use tokio::time::Instant;

use super::{
    body, describe, effects, end_of, execution, id, jobs, jobs_with, not_updated, record, rollback,
    say, start, updated,
};
use crate::cloud::jobs::Effect;
use crate::cloud::jobs::record::{Outcome, Stage};
use crate::cloud::jobs::wire::{Details, Kind};

#[test]
fn a_job_that_has_the_name_and_number_of_a_deleted_one_is_done() {
    let now = Instant::now();
    let outcome = Outcome::succeeded(Details::new());
    let mut jobs = jobs_with(vec![record(Stage::Told { outcome })]);
    jobs.connected(true, now);
    let mut execution = execution(&rollback());
    execution["queuedAt"] = 7.25.into();
    let sent = jobs.poll(now).unwrap();
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"execution": execution, "clientToken": token});
    say(&mut jobs, &Kind::Started, &said, now);
    let effects = effects(&mut jobs);
    let [Effect::Save(record), Effect::Begin { id: begun, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(begun.queued_at, Some(7));
    // What was made for the other one is not found by this one's name.
    assert_ne!(begun.by(), id(1).by());
    assert_ne!(record.id.key(), id(1).key());
}

#[test]
fn what_is_under_way_is_gone_if_the_cloud_has_another_by_its_name() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &rollback());
    effects(&mut jobs);
    let mut other = execution(&rollback());
    other["queuedAt"] = 7.into();
    let notified = json!({"execution": other});
    say(&mut jobs, &Kind::NotifyNext, &notified, now);
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/get");
    describe(&mut jobs, &sent, other, now);
    assert!(effects(&mut jobs).contains(&Effect::Undo(id(1))));
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
}

#[test]
fn a_job_that_was_told_before_times_were_kept_is_not_done_again() {
    let now = Instant::now();
    let outcome = Outcome::failed("x", "because");
    let mut told = record(Stage::Told { outcome });
    told.id.queued_at = None;
    let mut jobs = jobs_with(vec![told]);
    jobs.connected(true, now);
    start(&mut jobs, now, &rollback());
    assert_eq!(effects(&mut jobs), []);
    assert_eq!(body(&jobs.poll(now).unwrap())["status"], "FAILED");
}

#[test]
fn an_end_of_a_deleted_job_does_not_end_another_that_has_its_name_and_number() {
    let now = Instant::now();
    let outcome = Outcome::succeeded(Details::new());
    let queued = false;
    let mut jobs = jobs_with(vec![record(Stage::Ended { outcome, queued })]);
    let sent = jobs.poll(now).unwrap();
    assert!(sent.durable, "the cloud is away");
    assert_eq!(body(&sent)["expectedVersion"], 2);
    jobs.queued(now);
    let saved = effects(&mut jobs).pop();
    assert!(matches!(saved, Some(Effect::Save(record)) if record.version == Some(2)));
    // Meanwhile it was deleted, and another one waits by its name and number.
    jobs.connected(true, now);
    let state = json!({"status": "QUEUED", "versionNumber": 1});
    let token = body(&sent)["clientToken"].clone();
    let said = json!({"code": "VersionMismatch", "clientToken": token, "executionState": state});
    say(&mut jobs, &not_updated(), &said, now);
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "j-1/get");
    let mut other = execution(&rollback());
    other["queuedAt"] = 7.into();
    other["status"] = "QUEUED".into();
    describe(&mut jobs, &sent, other.clone(), now);
    let sent = jobs.poll(now).unwrap();
    assert_eq!(end_of(&sent), "start-next");
    effects(&mut jobs);
    let said = json!({"execution": other, "clientToken": body(&sent)["clientToken"]});
    say(&mut jobs, &Kind::Started, &said, now);
    assert!(matches!(
        effects(&mut jobs)[..],
        [Effect::Save(_), Effect::Begin { again: false, .. }]
    ));
}

#[test]
fn an_end_waits_for_the_answer_to_progress_that_it_is_counted_after() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &rollback());
    let sent = jobs.poll(now).unwrap();
    jobs.ended(&id(1), Outcome::succeeded(Details::new()));
    assert_eq!(jobs.poll(now), None);
    let state = json!({"status": "IN_PROGRESS", "versionNumber": 3});
    let said = json!({"executionState": state, "clientToken": body(&sent)["clientToken"]});
    say(&mut jobs, &updated(), &said, now);
    let sent = jobs.poll(now).unwrap();
    assert!(sent.durable);
    assert_eq!(body(&sent)["expectedVersion"], 3);
}
