//! Guests that compute without end.

use selvedge::supervisor::UnitState;

use crate::support::{Host, Plugin};

/// Twice as many as there are threads, so that one that is not preempted would
/// show.
const SPINNERS: [&str; 4] = ["spinner-1", "spinner-2", "spinner-3", "spinner-4"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_answer_while_guests_spin_on_every_thread() {
    let host = Host::start().await;
    for name in SPINNERS {
        let plugin = Plugin::guest("handles:spins").named(name);
        let patient = plugin.limits(|limits| limits.call_ms_max = 600_000.try_into().unwrap());
        host.run(patient).await.unwrap();
    }
    host.publish("offence/go", "").await;
    for name in SPINNERS {
        host.until_counted(name, |party| party.delivered_total == 1)
            .await;
    }

    host.neighbour_answers().await;

    for name in SPINNERS {
        assert_eq!(host.state(name), UnitState::Running);
    }
    host.shut_down().await;
    for name in SPINNERS {
        assert_eq!(host.state(name), UnitState::Stopped);
    }
}

/// Starts it, sets it going, and gives what the host says of it in the end.
async fn offend(plugin: Plugin) -> String {
    let host = Host::start().await;
    host.run(plugin).await.unwrap();
    assert!(host.try_publish("offence/go", "1"));
    let error = host.failed("offender").await;
    host.neighbour_answers().await;
    assert!(host.try_publish("offence/go", "2"));
    assert_eq!(host.given_up("offender").await, error);
    host.neighbour_answers().await;
    host.shut_down().await;
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_on_a_message_ends_at_the_deadline() {
    let error = offend(Plugin::guest("handles:spins")).await;
    assert_eq!(error, "`handle` did not return within 250 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_in_init_ends_at_the_deadline() {
    let error = offend(Plugin::guest("begins:spins")).await;
    assert_eq!(error, "`init` did not return within 250 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_in_a_tick_ends_at_the_deadline() {
    let error = offend(Plugin::guest("ticks:spins")).await;
    assert_eq!(error, "`tick` did not return within 250 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_in_a_service_ends_at_the_deadline() {
    let error = offend(Plugin::guest("serves:spins")).await;
    assert_eq!(error, "`run` did not return within 250 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_in_a_start_function_ends_at_the_deadline() {
    let error = offend(Plugin::text("start-spins.wat")).await;
    assert_eq!(error, "`start` did not return within 250 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_in_a_call_ends_at_four_times_the_deadline() {
    let error = offend(Plugin::guest("handles:sleeps")).await;
    assert_eq!(error, "`handle` did not return within 1000 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursing_runs_out_of_stack() {
    for plugin in [
        Plugin::guest("handles:recurses"),
        Plugin::text("recurses.wat"),
    ] {
        let error = offend(plugin).await;
        assert!(error.contains("call stack exhausted"), "{error}");
    }
}
