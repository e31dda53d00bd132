//! A plugin is asked who may connect: it answers between batches, and whatever it
//! does instead of answering, whoever asked hears of it.

use selvedge::runtime::{AskError, Question, Seat};
use selvedge::supervisor::UnitState;
use tokio::time::timeout;

use crate::support::{DEADLINE, Host, Plugin};

const PLUGIN: &str = "offender";

fn question(password: &str) -> Question {
    Question {
        device: None,
        client_id: "press-1".into(),
        username: Some("press-1".into()),
        password: Some(password.to_owned().into()),
        address: "192.0.2.1:4711".to_owned(),
    }
}

async fn at_work(which: &str) -> (Host, std::sync::Arc<Seat>) {
    let host = Host::empty(8);
    let seat = host.seat(PLUGIN);
    let generation = host.generation(&seat, Plugin::guest(which)).await.unwrap();
    generation.warm_up().await.unwrap();
    generation.take_over(None).await.unwrap();
    host.begin(&generation);
    host.running(PLUGIN).await;
    (host, seat)
}

#[tokio::test]
async fn who_knows_the_word_is_let_in_and_a_refusal_is_no_failure() {
    let (host, seat) = at_work("authorizes:answers").await;
    for _ in 0..100 {
        let (yes, no) = (question("the word"), question("a guess"));
        let (yes, no) = tokio::join!(seat.ask(yes), seat.ask(no));
        let verdict = yes.unwrap().unwrap();
        assert_eq!(verdict.device, "press-1");
        let publish = verdict.publish.unwrap();
        assert_eq!(publish, ["telemetry/site/press-1/#"]);
        assert_eq!(no.unwrap().unwrap_err(), "wrong word");
    }
    assert_eq!(host.state(PLUGIN), UnitState::Running);
}

#[tokio::test]
async fn who_traps_or_spins_instead_of_answering_is_a_failure_and_no_answer() {
    for which in ["authorizes:traps", "authorizes:spins"] {
        let (host, seat) = at_work(which).await;
        let answer = timeout(DEADLINE, seat.ask(question("the word"))).await;
        assert_eq!(answer.unwrap().unwrap_err(), AskError::Failed, "{which}");
        assert!(!host.failed(PLUGIN).await.is_empty());
    }
}

#[tokio::test]
async fn what_it_says_is_handed_on_as_it_is_and_those_who_wait_are_bounded() {
    for which in [
        "authorizes:lies",
        "authorizes:grants-all",
        "authorizes:grants-nonsense",
    ] {
        let (_host, seat) = at_work(which).await;
        assert!(seat.ask(question("any")).await.unwrap().is_ok(), "{which}");
    }
    let (_host, seat) = at_work("authorizes:for-a-second").await;
    let verdict = seat.ask(question("any")).await.unwrap().unwrap();
    assert_eq!(verdict.valid_s, Some(1));
    // Nobody has this seat: nobody answers.
    let empty = Host::empty(8);
    let seat = empty.seat(PLUGIN);
    let crowd = (0..300).map(|_| seat.ask(question("any")));
    let crowd = futures::future::join_all(crowd);
    let mut crowd = std::pin::pin!(crowd);
    assert!(futures::poll!(&mut crowd).is_pending());
    assert_eq!(seat.ask(question("any")).await.unwrap_err(), AskError::Busy);
}
