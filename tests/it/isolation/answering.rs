//! What publishers are told of guests that fail: nothing before their message is
//! handled or given up, and everything then.

use std::collections::BTreeMap;
use std::time::Duration;

use selvedge::bus::Settled;

use crate::support::{Host, Plugin, within};

/// Waits until all are settled, and notes whether any was before `done` with it.
async fn all_settled(
    mut waiting: BTreeMap<String, Settled>,
    mut done: impl FnMut() -> Vec<String>,
) {
    let mut known = Vec::new();
    let settled = async {
        while !waiting.is_empty() {
            // Looked at before what was done is asked for.
            let settled: Vec<_> = waiting
                .iter()
                .filter(|(_, settled)| settled.is_settled())
                .map(|(payload, _)| payload.clone())
                .collect();
            known.extend(done());
            for payload in settled {
                assert!(known.contains(&payload), "`{payload}` was settled early");
                waiting.remove(&payload);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("receipts", settled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_settled_once_it_is_handled_however_often_that_takes() {
    for guest in ["handles:traps-on-poison", "serves:traps-on-poison"] {
        let host = Host::start().await;
        let (seen, letters) = (
            host.listen("seen/#"),
            host.listen("$selvedge/dead-letter/#"),
        );
        let plugin = Plugin::guest(guest).limits(|limits| limits.restarts_max = 5);
        // All of it is there before the guest begins, in one batch that kills it.
        let first = host.join(plugin).await;
        let mut waiting = BTreeMap::new();
        for number in 0..10 {
            let payload = match number {
                4 => "poison".to_owned(),
                number => number.to_string(),
            };
            let settled = host.ask_for_receipt("offence/go", &payload).await;
            assert!(!settled.is_settled());
            waiting.insert(payload, settled);
        }
        first.begin();
        let done = || [seen.arrived(), letters.arrived()].concat();
        all_settled(waiting, done).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_given_up_is_settled_with_its_dead_letter() {
    for guest in ["handles:retries", "handles:rejects"] {
        let host = Host::start().await;
        let letters = host.listen("$selvedge/dead-letter/#");
        let plugin = Plugin::guest(guest).limits(|limits| limits.retries_max = 1);
        host.run(plugin).await.unwrap();
        let settled = host.ask_for_receipt("offence/go", "never").await;
        let waiting = BTreeMap::from([("never".to_owned(), settled)]);
        all_settled(waiting, || letters.arrived()).await;
    }
}

/// Being stopped is not handling: what waits is owed until another has handled it, or
/// nobody ever will.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_stopped_plugin_is_owed_until_it_is_removed() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    let mut letters = host.listen("$selvedge/dead-letter/#");
    let plugin = Plugin::guest("handles:traps-on-poison");
    let generation = host.generation(&host.seat("offender"), plugin).await;
    let generation = generation.unwrap();
    generation.join().unwrap();
    let handled = host.ask_for_receipt("offence/go", "1").await;
    assert!(!handled.is_settled());
    host.begin(&generation);
    assert_eq!(seen.next().await, "1");
    within("a receipt", handled).await;

    host.stop("offender").await;
    let removed = host.ask_for_receipt("offence/go", "2").await;
    assert!(!removed.is_settled());
    generation.give_up_waiting();
    assert_eq!(letters.next().await, "2");
    within("a receipt", removed).await;
}
