//! Successors that go wrong, each in another moment: what ran before goes on with
//! all that waits, and the next good one takes its place.

use selvedge::deployment::report::{DeploymentReport, Phase};

use super::flow::{NEIGHBOUR, SPIN_MS, Seen, UPDATED, under_load};
use crate::deployments::world::{Device, Host, Line};

const GUESTS: [&str; 3] = ["update_counts", "update_counts_next", "update_service"];

/// A version of the plugin, called `label`, beside its neighbour.
fn version(guest: &str, label: &str, config: &str, limits: &str) -> Line {
    let config = format!("label = \"{label}\", {config}");
    Line::new(1)
        .counts(UPDATED, guest, &config)
        .and(limits)
        .counts(NEIGHBOUR, "update_counts", "")
}

fn good(label: &str) -> Line {
    version("update_counts", label, "", "")
}

fn with_fault(guest: &str, label: &str, fault: &str, limits: &str) -> Line {
    let config = format!("fault = \"{fault}\"");
    let seconds = if fault.starts_with("slow") { 2 } else { 3600 };
    version(guest, label, &config, limits).probation(seconds)
}

/// It did not stay, because of this one fault of the plugin; what ran runs.
fn assert_undone(host: &Host, report: &DeploymentReport, phase: Phase, code: &str) {
    assert_eq!(report.phase, phase, "{report:?}");
    let codes: Vec<_> = report.faults.iter().map(|fault| &*fault.code).collect();
    assert_eq!(codes, [code], "{report:?}");
    let fault = &report.faults[0];
    assert_eq!(
        fault.plugin.as_ref().unwrap().as_str(),
        UPDATED,
        "{report:?}"
    );
    assert!(
        fault.place.as_ref().unwrap().contains("line.toml:"),
        "{report:?}"
    );
    assert_eq!(host.plugin(UPDATED).state, "running");
    assert_ne!(host.active(), Some(report.id));
    let kept = host.deployments().report(report.id).unwrap();
    assert_eq!(kept.faults, report.faults);
}

/// Each of these successors in turn, and a good one after each, while messages
/// flow; what came through.
async fn one_after_the_other(cases: &[(&str, &str, Phase, &str)]) -> Seen {
    let device = Device::with(&GUESTS);
    let host = device.start().await;
    host.commit(&good("v0")).await;
    let work = async {
        for (index, (fault, limits, phase, code)) in cases.iter().enumerate() {
            let report = host
                .deploy(&with_fault("update_counts", fault, fault, limits))
                .await;
            assert_undone(&host, &report, *phase, code);
            let next = format!("v{}", index + 1);
            host.commit(&good(&next)).await;
            let history = host.deployments().history(None, 2);
            assert_eq!(history[1].phase, *phase, "{fault}");
            host.assert_whole().await;
        }
    };
    let ((), seen) = under_load(&host, work).await;
    host.stop().await;
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_while_it_is_made_never_has_a_message() {
    let spins = format!("limits.call_ms_max = {SPIN_MS}");
    let seen = one_after_the_other(&[
        ("init-traps", "", Phase::Failed, "guest-trapped"),
        ("init-fails", "", Phase::Failed, "guest-failed"),
        ("init-spins", &spins, Phase::Failed, "call-deadline"),
    ])
    .await;
    assert_eq!(seen.labels(), ["v0", "v1", "v2", "v3"]);
    assert!(seen.dead.is_empty());
    seen.assert_counts_go_on(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_on_the_state_never_has_a_message() {
    let spins = format!("limits.call_ms_max = {SPIN_MS}");
    let seen = one_after_the_other(&[
        ("restore-traps", "", Phase::RolledBack, "restore-refused"),
        (
            "restore-spins",
            &spins,
            Phase::RolledBack,
            "restore-refused",
        ),
    ])
    .await;
    assert_eq!(seen.labels(), ["v0", "v1", "v2"]);
    assert!(seen.dead.is_empty());
    seen.assert_counts_go_on(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kills_a_successor_is_handled_by_its_predecessor() {
    // What a version published of a batch that kills it comes again; alone it is
    // told exactly.
    let one = "limits.batch_messages_max = 1";
    let seen = one_after_the_other(&[
        ("first-traps", "", Phase::RolledBack, "plugin-failed"),
        ("nth-traps:1000", one, Phase::RolledBack, "plugin-failed"),
        ("silent-exit:300", "", Phase::RolledBack, "plugin-failed"),
        ("spins", "", Phase::RolledBack, "plugin-failed"),
    ])
    .await;
    assert!(seen.dead.is_empty());
    let of = |label: &str| {
        let rows = seen.updated.rows.iter();
        rows.filter(|row| row.label == label).count()
    };
    assert_eq!((of("first-traps"), of("spins")), (0, 0));
    assert!(of("nth-traps:1000") >= 999);
    assert!(of("silent-exit:300") > 0);
    seen.assert_counts_go_on(&["nth-traps:1000", "silent-exit:300"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_badly_without_dying_gives_back_what_it_counted() {
    let small = "limits.inbox_messages_max = 64\nlimits.batch_messages_max = 4";
    let seen = one_after_the_other(&[
        ("slow:40", small, Phase::RolledBack, "slower-than-inflow"),
        ("rejects", "", Phase::RolledBack, "too-many-dead-letters"),
    ])
    .await;
    // What was rejected is named, each message of it; all else came through.
    assert!(seen.dead.len() > 2);
    seen.assert_counts_go_on(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_from_the_future_stays_with_the_version_that_wrote_it() {
    let device = Device::with(&GUESTS);
    let host = device.start().await;
    host.commit(&version("update_counts_next", "next", "", ""))
        .await;
    let work = async {
        let report = host.deploy(&good("old")).await;
        assert_undone(&host, &report, Phase::RolledBack, "restore-refused");
        assert!(report.faults[0].message.contains('2'), "{report:?}");
        host.assert_whole().await;
        host.commit(&version("update_counts_next", "newer", "", ""))
            .await;
    };
    let ((), seen) = under_load(&host, work).await;
    assert_eq!(seen.labels(), ["next", "newer"]);
    seen.assert_counts_go_on(&[]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_back_to_goes_on_with_its_own_state_if_it_does_not_read_the_newer() {
    let device = Device::with(&GUESTS);
    let host = device.start().await;
    let kept = host.commit(&good("old")).await;
    let mut newer = host.listen("seen/p");
    let work = async {
        let next = version("update_counts_next", "next", "", "").probation(3600);
        let id = host.begin(&next).await;
        // Until it has counted what its predecessor cannot know.
        let mut batch = Vec::new();
        while !batch
            .iter()
            .any(|message: &std::sync::Arc<selvedge::bus::Message>| {
                message.payload.starts_with(b"next ")
            })
        {
            newer.receive(64, &mut batch).await;
        }
        let back = host.deployments().roll_back(None, "me".to_owned());
        host.ended(back.await.unwrap()).await;
        assert_eq!(host.phase(id), Phase::Superseded);
        assert_eq!(host.plugin(UPDATED).deployment, kept);
        host.commit(&good("older")).await;
    };
    let ((), seen) = under_load(&host, work).await;
    assert_eq!(seen.labels(), ["old", "next", "old", "older"]);
    // As if the other had died with what it knew.
    seen.assert_counts_go_on(&["next"]);
    host.stop().await;
}

/// A change of configuration is an update like any other, and so is one from a
/// subscriber to a service and back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_and_kinds_change_under_load_and_the_state_goes_on() {
    let device = Device::with(&GUESTS);
    let host = device.start().await;
    let ballast = "ballast_bytes = 65536";
    host.commit(&version("update_counts", "v0", ballast, ""))
        .await;
    let labels = ["v1", "v2", "v3", "v4", "v5"];
    let guests = [
        "update_counts",
        "update_service",
        "update_service",
        "update_counts",
        "update_counts_next",
    ];
    let work = async {
        for (label, guest) in labels.into_iter().zip(guests) {
            let id = host
                .commit(&version(guest, label, ballast, "").probation(1))
                .await;
            let report = host.deployments().report(id).unwrap();
            let [swap] = &report.swaps[..] else {
                panic!("only one changed: {report:?}")
            };
            assert_eq!(swap.plugin.as_str(), UPDATED);
            assert!(
                swap.pause_us > 0 && swap.state_bytes > Some(65_536),
                "{swap:?}"
            );
        }
    };
    let ((), seen) = under_load(&host, work).await;
    assert_eq!(seen.labels(), ["v0", "v1", "v2", "v3", "v4", "v5"]);
    seen.assert_counts_go_on(&[]);
    host.stop().await;
}
