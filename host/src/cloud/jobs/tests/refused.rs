//! Ends that the cloud does not take.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{body, effects, end_of, jobs, not_updated, say, start, updated};

#[test]
fn an_end_that_the_cloud_never_takes_is_told_in_few_words_and_more_and_more_seldom() {
    let start_at = Instant::now();
    let mut jobs = jobs(start_at);
    start(&mut jobs, start_at, &json!({"operation": "x"}));
    let (mut now, mut told) = (start_at, 0);
    while now < start_at + Duration::from_secs(3_600) {
        while let Some(sent) = jobs.poll(now) {
            assert_eq!(end_of(&sent), "j-1/update", "nothing else is asked for");
            assert_eq!(body(&sent)["status"], "REJECTED");
            let details = &body(&sent)["statusDetails"];
            assert_eq!(details["code"], "unknown-operation");
            assert_eq!(details.get("reason").is_some(), told == 0);
            told += 1;
            jobs.queued(now);
            let token = body(&sent)["clientToken"].clone();
            let said = json!({"code": "InvalidRequest", "message": "no", "clientToken": token});
            say(&mut jobs, &not_updated(), &said, now);
        }
        effects(&mut jobs);
        now += Duration::from_secs(1);
    }
    assert!((8..30).contains(&told), "{told}");

    // What the cloud takes in the end makes way for the next one.
    now += Duration::from_secs(600);
    let sent = jobs.poll(now).unwrap();
    let said = json!({"clientToken": body(&sent)["clientToken"]});
    jobs.queued(now);
    say(&mut jobs, &updated(), &said, now);
    assert_eq!(end_of(&jobs.poll(now).unwrap()), "start-next");
}

#[test]
fn a_name_that_hides_something_is_rejected_in_words_that_the_cloud_takes() {
    let now = Instant::now();
    let mut jobs = jobs(now);
    start(&mut jobs, now, &json!({"operation": "de\u{200b}ploy"}));
    let sent = jobs.poll(now).unwrap();
    let reason = &body(&sent)["statusDetails"]["reason"];
    assert_eq!(reason, "there is no operation `deploy`");
}
