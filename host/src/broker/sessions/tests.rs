//! Who is told, and who gets what an owner leaves.

use std::future::poll_fn;
use std::time::Duration;

use super::claim::ClaimError;
use super::line::Left;
use super::{Key, Line};
use crate::broker::session::tests::{claim, sessions};
use crate::mqtt::Reason;

fn line() -> std::sync::Arc<Line> {
    Line::new(Key {
        device: "pump".parse().unwrap(),
        client_id: "one".into(),
    })
}

#[tokio::test]
async fn that_somebody_came_for_the_session_stands_whatever_else_is_said() {
    let line = line();
    line.set_connected(true);
    line.tell(Reason::ADMINISTRATIVE_ACTION);
    line.tell(Reason::NOT_AUTHORIZED);
    assert_eq!(line.told.reason(), Some(Reason::ADMINISTRATIVE_ACTION));
    line.set_connected(false);
    assert_eq!(line.told.reason(), None);
    line.tell(Reason::NOT_AUTHORIZED);
    line.tell(Reason::SESSION_TAKEN_OVER);
    line.set_connected(false);
    line.tell(Reason::NOT_AUTHORIZED);
    let told = line.told.wait().await;
    assert_eq!(told, Reason::SESSION_TAKEN_OVER);
}

#[tokio::test]
async fn only_the_first_word_of_an_owner_counts() {
    let line = line();
    line.leave(Left::Ask(self::line()));
    line.leave(Left::Session(None));
    let left = poll_fn(|context| line.poll_left(context)).await;
    assert!(matches!(left, Left::Ask(_)));
}

const WHILE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_gives_up_gets_what_was_left_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let first = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    let (owner, before) = sessions.line_up(&claim(&devices, WHILE));
    first.owner.release(Some(first.session));
    let left = owner.give_up(&before.unwrap());
    assert!(matches!(left, Some(Left::Session(Some(_)))), "{left:?}");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let first = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    let number = first.session.lasting.as_ref().unwrap().number;
    let late = sessions.claim(claim(&devices, Duration::ZERO)).await;
    assert!(matches!(late, Err(ClaimError::Stuck)), "{late:?}");
    first.owner.release(Some(first.session));
    let next = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    assert!(next.present);
    assert_eq!(next.session.lasting.unwrap().number, number);
}
