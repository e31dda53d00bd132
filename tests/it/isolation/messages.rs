//! Guests that fail on messages: what becomes of the messages.

use selvedge::supervisor::UnitState;

use crate::support::{Host, Listener, Plugin};

/// The payload, the reason and the number of deliveries of the next dead letter.
async fn dead_letter(letters: &mut Listener) -> (String, String, String) {
    let letter = letters.message().await;
    let property = |name: &str| letter.properties.get(name).unwrap().to_owned();
    assert_eq!(property("dead-letter-topic"), "offence/go");
    let payload = String::from_utf8(letter.payload.to_vec()).unwrap();
    (
        payload,
        property("dead-letter-reason"),
        property("dead-letter-deliveries"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_traps_on_every_message_is_given_up_after_its_budget() {
    let host = Host::start().await;
    let plugin = Plugin::guest("handles:traps").limits(|limits| limits.restarts_max = 3);
    let mut letters = host.listen("$selvedge/dead-letter/offender");
    host.run(plugin).await.unwrap();
    for number in 0..4 {
        host.publish("offence/go", number.to_string()).await;
    }
    let error = host.given_up("offender").await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    // Those that killed an instance alone, after having been in one that died.
    let (payload, reason, deliveries) = dead_letter(&mut letters).await;
    assert_eq!((payload.as_str(), deliveries.as_str()), ("0", "2"));
    assert!(reason.starts_with("`handle` trapped: "), "{reason}");
    host.neighbour_answers().await;
}

/// Its inbox asks publishers to wait: once it is given up there is nobody to
/// wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_plugin_that_is_given_up() {
    let host = Host::start().await;
    let plugin = Plugin::guest("begins:traps");
    host.run(plugin.limits(|limits| limits.inbox_messages_max = 2.try_into().unwrap()))
        .await
        .unwrap();
    host.given_up("offender").await;
    for _ in 0..100 {
        host.publish("offence/go", "").await;
    }
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poisonous_message_costs_only_itself() {
    for guest in ["handles:traps-on-poison", "serves:traps-on-poison"] {
        let host = Host::start().await;
        let mut seen = host.listen("seen/#");
        let mut letters = host.listen("$selvedge/dead-letter/offender");
        let plugin = Plugin::guest(guest).limits(|limits| limits.restarts_max = 5);
        // All of it is there before the guest begins, in one batch.
        let first = host.join(plugin).await;
        for number in 0..10 {
            let payload = if number == 4 {
                "poison".to_owned()
            } else {
                number.to_string()
            };
            host.publish("offence/go", payload).await;
        }
        first.begin();

        for number in [0, 1, 2, 3, 5, 6, 7, 8, 9] {
            assert_eq!(seen.next().await, number.to_string(), "{guest}");
        }
        let (payload, reason, deliveries) = dead_letter(&mut letters).await;
        assert_eq!((payload.as_str(), deliveries.as_str()), ("poison", "2"));
        assert!(reason.contains("trapped: "), "{reason}");
        host.publish("offence/go", "last").await;
        assert_eq!(seen.next().await, "last");
        assert_eq!(letters.arrived(), Vec::<String>::new());
        assert_eq!(host.state("offender"), UnitState::Running);
        host.neighbour_answers().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retrying_for_ever_ends_in_a_dead_letter() {
    let host = Host::start().await;
    let mut letters = host.listen("$selvedge/dead-letter/offender");
    let plugin = Plugin::guest("handles:retries").limits(|limits| limits.retries_max = 2);
    host.run(plugin).await.unwrap();
    host.publish("offence/go", "again").await;
    let letter = dead_letter(&mut letters).await;
    assert_eq!(letter, ("again".into(), "not today".into(), "3".into()));
    assert_eq!(host.state("offender"), UnitState::Running);
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_message_is_a_dead_letter_at_once() {
    let host = Host::start().await;
    let mut letters = host.listen("$selvedge/dead-letter/offender");
    host.run(Plugin::guest("handles:rejects")).await.unwrap();
    host.publish("offence/go", "never").await;
    let letter = dead_letter(&mut letters).await;
    assert_eq!(letter, ("never".into(), "not ever".into(), "1".into()));
    assert_eq!(host.state("offender"), UnitState::Running);
    host.neighbour_answers().await;
}

/// Failures may name a message twice, or none that exists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_name_no_message_are_ignored() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    let mut letters = host.listen("$selvedge/dead-letter/offender");
    let plugin = Plugin::guest("handles:names-others");
    host.run(plugin.limits(|limits| limits.batch_messages_max = 1.try_into().unwrap()))
        .await
        .unwrap();
    for number in 0..3 {
        host.publish("offence/go", number.to_string()).await;
        assert_eq!(seen.next().await, "1");
        let letter = dead_letter(&mut letters).await;
        assert_eq!(letter, (number.to_string(), "not mine".into(), "1".into()));
    }
    assert_eq!(letters.arrived(), Vec::<String>::new());
    assert_eq!(host.state("offender"), UnitState::Running);
    host.neighbour_answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_the_process_is_a_failure_of_the_plugin_alone() {
    let host = Host::start().await;
    host.run(Plugin::guest("handles:exits")).await.unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    assert!(error.starts_with("`handle` trapped: "), "{error}");
    host.neighbour_answers().await;
}
