//! Guests that will not stop, and those that are kept busy.

use selvedge::supervisor::UnitState;

use crate::support::{DEADLINE, Host, Plugin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_ignores_the_stop_is_aborted() {
    let host = Host::start().await;
    let mut seen = host.listen("seen/#");
    host.run(Plugin::guest("serves:ignores-stop"))
        .await
        .unwrap();
    assert_eq!(seen.next().await, "running");
    host.neighbour_answers().await;
    assert_eq!(host.state("offender"), UnitState::Running);
    host.shut_down().await;
    assert_eq!(host.state("offender"), UnitState::Stopped);
    assert_eq!(host.state("neighbour"), UnitState::Stopped);
}

/// Always ready is not waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_polls_without_end_is_stopped_at_its_deadline() {
    let host = Host::start().await;
    host.run(Plugin::guest("serves:polls-without-end"))
        .await
        .unwrap();
    host.publish("offence/go", "").await;
    let error = host.failed("offender").await;
    assert_eq!(error, "`run` did not return within 250 ms");
    host.neighbour_answers().await;
    host.shut_down().await;
}

/// A service with more to do than it can do is not one that spins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_service_is_not_taken_for_one_that_spins() {
    let host = Host::start().await;
    let seen = host.listen("seen/serves");
    let plugin = Plugin::guest("serves:is-busy").limits(|limits| {
        limits.call_ms_max = 100.try_into().unwrap();
        limits.publish_per_s_max = 10_000_000.try_into().unwrap();
    });
    host.run(plugin).await.unwrap();
    for number in 0..50_000_u32 {
        host.publish("offence/go", number.to_string()).await;
    }
    host.until_counted("offender", |party| party.published_total == 50_000)
        .await;
    assert_eq!(host.state("offender"), UnitState::Running);
    let seen = seen.arrived();
    assert_eq!(seen.len(), 50_000);
    assert_eq!(seen.last().unwrap(), "49999");
    host.shut_down().await;
    assert_eq!(host.state("offender"), UnitState::Stopped);
}

/// However the host ends: what it can no longer stop in order must not hold up
/// its process.
#[test]
fn a_spinning_guest_does_not_hold_up_the_end_of_the_process() {
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let host = Host::start().await;
            let plugin = Plugin::guest("serves:spins");
            let patient = plugin.limits(|limits| limits.call_ms_max = 600_000.try_into().unwrap());
            host.run(patient).await.unwrap();
            host.running("offender").await;
            // The host is gone; the guest is not.
        });
        drop(runtime);
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE).expect("the runtime ends");
}
