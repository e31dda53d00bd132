//! What the host does with deployments when it ends and starts again, in order or
//! not, and with what it cannot read then.

use selvedge::deployment::report::Phase;
use selvedge::deployment::submission::WhenBusy;
use selvedge::storage::Storage;

use super::world::{Device, Line};

fn line(version: usize, mode: &str) -> Line {
    Line::new(version)
        .plugin("a", "handles", mode)
        .plugin("b", "echo", "")
}

#[tokio::test]
async fn what_is_in_force_runs_again_from_what_was_handed_in() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&line(1, "traps-on-poison")).await;
    host.stop().await;
    // Whatever became of the folder it came from.
    for name in ["handles.wasm", "echo.wasm"] {
        fs_err::remove_file(device.folder().join(name)).unwrap();
    }
    let host = device.start().await;
    assert_eq!(host.active(), Some(kept));
    host.answer("a", "seen/traps-on-poison").await;
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_probation_that_the_end_of_the_host_cuts_short_has_failed() {
    let device = Device::new();
    let host = device.start().await;
    let kept = host.commit(&line(1, "traps-on-poison")).await;
    let watched = host.begin(&line(2, "is-slow").probation(3600)).await;
    let next = host
        .submit(&line(3, "rejects"), WhenBusy::Queue)
        .await
        .unwrap();
    host.stop().await;

    let host = device.start().await;
    let report = host.deployments().report(watched).unwrap();
    assert_eq!(report.phase, Phase::RolledBack);
    assert_eq!(report.faults[0].code, "interrupted");
    // Those in line have their turn.
    assert_eq!(host.ended(next).await.phase, Phase::Committed);
    assert!(kept < next);
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_stops_in_order_goes_on_or_back_whatever_it_was_doing() {
    use Phase::{Admit, Compile, Prepare, Probation, Pull, Queued, Swap, Verify};

    for phase in [
        Queued, Pull, Verify, Admit, Compile, Prepare, Swap, Probation,
    ] {
        let device = Device::new();
        let host = device.start().await;
        let kept = host.commit(&line(1, "traps-on-poison")).await;
        // Not over before the host has stopped.
        let probation = if phase == Probation { 3600 } else { 1 };
        let next = line(2, "is-slow").probation(probation);
        let next = host.submit(&next, WhenBusy::Queue).await.unwrap();
        host.deployments().reached(next, |it| it == phase).await;
        host.stop().await;
        let host = device.start().await;
        let report = host.ended(next).await;
        host.assert_whole().await;
        match report.phase {
            Phase::Committed => assert_eq!(host.active(), Some(next)),
            Phase::RolledBack => {
                assert_eq!(report.faults[0].code, "interrupted");
                assert_eq!(host.active(), Some(kept));
            }
            other => panic!("{phase:?} ended as {other:?}: {:?}", report.faults),
        }
        if phase == Probation {
            assert_eq!(host.active(), Some(kept));
        }
        host.stop().await;
    }
}

#[tokio::test]
async fn a_first_probation_cut_short_leaves_a_host_on_which_nothing_runs() {
    let device = Device::new();
    let host = device.start().await;
    host.begin(&line(1, "is-slow").probation(3600)).await;
    host.stop().await;
    let host = device.start().await;
    assert_eq!((host.active(), host.plugins()), (None, Vec::new()));
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_that_may_not_run_any_more_does_not_keep_the_others() {
    let device = Device::new();
    let host = device.start().await;
    host.commit(&line(1, "traps-on-poison")).await;
    host.stop().await;
    let digest = selvedge::names::Digest::of(&crate::guests::guest("handles"));
    let file = device.data().join("files").join(digest.hex());
    fs_err::write(&file, b"altered").unwrap();

    let host = device.start().await;
    assert_eq!(host.plugins(), ["a given-up", "b running"]);
    let a = host.plugin("a");
    assert!(a.error.unwrap().contains("is not what its name says"));
    assert_eq!((a.version.as_str(), a.package.is_empty()), ("0.0.0", false));
    host.answer("b", "echo/#").await;
    // The same document is not the same line: deployed again, it is mended.
    assert!(
        !host
            .deployments()
            .is_active(&host.submission(&line(1, "traps-on-poison")))
    );
    host.commit(&line(1, "traps-on-poison")).await;
    host.answer("a", "seen/traps-on-poison").await;
    host.assert_whole().await;
    host.stop().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_named_and_the_rest_counts() {
    let device = Device::new();
    let host = device.start().await;
    let first = host.commit(&line(1, "traps-on-poison")).await;
    let second = host.commit(&line(2, "is-slow")).await;
    host.stop().await;
    let damage = |key: &str, bytes: &[u8]| {
        let storage = Storage::open(&device.data()).unwrap();
        let journal = storage.bucket("$deployment", 1 << 30).unwrap();
        assert!(journal.get(key).unwrap().is_some(), "no record `{key}`");
        journal.set(key, bytes).unwrap();
    };
    damage(&format!("report/{:020}", first.0), b"\xff{");
    let host = device.start().await;
    let troubles = host.deployments().troubles();
    assert!(
        troubles[0].contains("`report/00000000000000000001`"),
        "{troubles:?}"
    );
    assert_eq!(host.deployments().report(first), None);
    assert_eq!(host.active(), Some(second));
    host.answer("a", "seen/is-slow").await;
    let third = host.commit(&line(3, "rejects")).await;
    assert_eq!(third.0, second.0 + 1);
    host.stop().await;

    // A newer host's is not understood, and not taken for nothing either.
    damage("active", br#"{"version":2,"value":7}"#);
    let host = device.start().await;
    let troubles = host.deployments().troubles();
    assert!(
        troubles
            .iter()
            .any(|it| it.contains("`active`") && it.contains("newer")),
        "{troubles:?}"
    );
    assert_eq!(host.plugins(), Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn a_file_that_was_not_handed_in_is_named() {
    let device = Device::new();
    let host = device.start().await;
    let mut submission = host.submission(&line(1, "rejects"));
    submission.files.remove("echo.wasm");
    let refused = host.deployments().submit(submission).await.unwrap_err();
    assert_eq!(refused.to_string(), "the file echo.wasm was not handed in");
    assert_eq!(host.deployments().history(None, 9), []);
    host.stop().await;
}

#[tokio::test]
async fn history_is_bounded_and_what_can_be_gone_back_to_is_kept() {
    use selvedge::deployment::deployments::{DOCUMENTS_MAX, REPORTS_MAX};

    let device = Device::new();
    let host = device.start().await;
    let first = host.commit(&Line::new(1).plugin("a", "echo", "")).await;
    let kept = host.commit(&Line::new(2).plugin("a", "echo", "x")).await;
    fs_err::write(device.folder().join("none.wasm"), b"no component").unwrap();
    for version in 0..REPORTS_MAX {
        let report = host
            .deploy(&Line::new(version).plugin("a", "none", ""))
            .await;
        assert_eq!(report.phase, Phase::Failed);
    }
    let history = host.deployments().history(None, usize::MAX);
    // The one in force and the one before it are not forgotten.
    assert_eq!(history.len(), REPORTS_MAX + 2);
    assert_eq!(
        (host.active(), history.last().unwrap().id),
        (Some(kept), first)
    );
    let documents = history
        .iter()
        .filter(|it| host.deployments().document_of(it.id).is_some());
    assert_eq!(documents.count(), DOCUMENTS_MAX + 2);
    let page = host.deployments().history(Some(kept), 5);
    assert_eq!(page.len(), 1);
    host.stop().await;
}
