use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{RestartPolicy, Supervisor, Unit, UnitContext, UnitState, WhenLost};

fn policy(failures_max: usize, when_lost: WhenLost) -> RestartPolicy {
    RestartPolicy {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_secs(1),
        failures_max,
        window: Duration::from_secs(600),
        when_lost,
    }
}

fn supervisor() -> Supervisor {
    Supervisor::new(Duration::from_secs(1), Arc::new(|_, _| {}))
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_fails_too_often_is_given_up_alone() {
    let supervisor = supervisor();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let unit = Unit::new("flaky", policy(3, WhenLost::KeepHost), move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Err("no luck".into()) }
    });
    let mut state = supervisor.start(unit);
    let given_up = UnitState::GivenUp {
        error: "no luck".to_owned(),
    };
    state.wait_for(|state| *state == given_up).await.unwrap();
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
    assert!(
        tokio::time::timeout(Duration::from_secs(60), supervisor.lost())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn an_essential_unit_takes_the_host_with_it() {
    let supervisor = supervisor();
    supervisor.start(Unit::new(
        "disk",
        policy(0, WhenLost::StopHost),
        |_| async { Err("gone".into()) },
    ));
    supervisor.lost().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_the_unit_comes_back() {
    let supervisor = supervisor();
    let first = AtomicUsize::new(0);
    let unit = Unit::new(
        "panics",
        policy(1, WhenLost::KeepHost),
        move |context: UnitContext| {
            let attempt = first.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(attempt > 0, "first attempt");
                context.ready();
                context.stop.cancelled().await;
                Ok(())
            }
        },
    );
    let mut state = supervisor.start(unit);
    state
        .wait_for(|state| *state == UnitState::Running)
        .await
        .unwrap();
    supervisor.shut_down().await;
    assert_eq!(*state.borrow(), UnitState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn units_stop_in_reverse_order_and_the_deaf_are_aborted() {
    let supervisor = supervisor();
    let order = Arc::new(Mutex::new(Vec::new()));
    for name in ["first", "second"] {
        let order = Arc::clone(&order);
        supervisor.start(Unit::new(
            name,
            policy(0, WhenLost::KeepHost),
            move |context| {
                let order = Arc::clone(&order);
                async move {
                    context.stop.cancelled().await;
                    order.lock().push(name);
                    Ok(())
                }
            },
        ));
    }
    supervisor.start(Unit::new("deaf", policy(0, WhenLost::KeepHost), |_| {
        std::future::pending()
    }));
    tokio::time::sleep(Duration::from_millis(1)).await;
    supervisor.shut_down().await;
    assert_eq!(*order.lock(), ["second", "first"]);
}

#[tokio::test(start_paused = true)]
async fn every_change_of_state_is_observed_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let observer = move |name: &str, state: &UnitState| {
        noted.lock().push((
            name.to_owned(),
            serde_json::to_value(state).unwrap()["state"].clone(),
        ));
    };
    let supervisor = Supervisor::new(Duration::from_secs(1), Arc::new(observer));
    let mut state = supervisor.start(Unit::new("u", policy(1, WhenLost::KeepHost), |context| {
        context.ready();
        async { Err("no luck".into()) }
    }));
    state
        .wait_for(|state| matches!(state, UnitState::GivenUp { .. }))
        .await
        .unwrap();
    let states: Vec<_> = seen.lock().iter().map(|(_, state)| state.clone()).collect();
    assert_eq!(
        states,
        [
            "starting",
            "running",
            "backing-off",
            "starting",
            "running",
            "given-up"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_does_not_stop_is_aborted_and_said_to_be_stopped() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let supervisor = supervisor();
    let alive = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&alive);
    let deaf = Unit::new("deaf", policy(0, WhenLost::KeepHost), move |context| {
        counted.fetch_add(1, Ordering::Relaxed);
        let alive = Alive(Arc::clone(&counted));
        async move {
            let _alive = alive;
            context.ready();
            std::future::pending().await
        }
    });
    let mut state = supervisor.start(deaf);
    let running = state.wait_for(|state| *state == UnitState::Running).await;
    drop(running.unwrap());
    supervisor.stop("deaf").await;
    assert_eq!(*state.borrow(), UnitState::Stopped);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "it outlived its stop");
}
