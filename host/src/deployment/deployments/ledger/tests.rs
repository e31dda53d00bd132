use super::super::journal::Journal;
use super::super::state::State;
use super::super::state::tests::{kept, report};
use super::Ledger;
use crate::deployment::report::Phase;
use crate::storage::Storage;

/// Bytes that hold a few deployments.
const FEW: u64 = 4 << 10;

#[tokio::test]
async fn what_the_disk_does_not_take_has_not_happened() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let ledger = Ledger::of(Journal::within(&storage, FEW).unwrap()).unwrap();
    let id = ledger
        .write("take-in", |state| state.take_in(report(), kept()))
        .await
        .unwrap();
    ledger.write("pull", State::begin).await.unwrap();
    let large = || {
        let mut kept = kept();
        kept.text = "x".repeat(8 << 10);
        kept
    };
    let refused = ledger
        .write("take-in", move |state| state.take_in(report(), large()))
        .await;
    assert!(refused.is_err());
    assert_eq!(
        ledger.read(|state| (state.last, state.reports.len())),
        (1, 1)
    );
    assert_eq!(ledger.troubles().len(), 1);
    assert!(ledger.is_ahead());

    // How something ended is true all the same, until it can be written.
    let end = move |state: &mut State| {
        state.end(id, Phase::Failed, Vec::new(), jiff::Timestamp::now());
        state.change(id, |report| report.name = "x".repeat(8 << 10));
    };
    ledger.write_or_hold("fail", end).await;
    assert_eq!(ledger.read(|state| state.reports[&id].phase), Phase::Failed);
    let on_disk = Journal::open(&storage).unwrap().read().unwrap().0;
    assert_eq!(on_disk.reports[&id].phase, Phase::Pull);
    assert!(on_disk.under_way.is_some());
    let shorten = move |state: &mut State| state.change(id, |report| report.name.clear());
    ledger.write("fail", shorten).await.unwrap();
    assert_eq!(ledger.troubles(), Vec::<String>::new());
    let on_disk = Journal::open(&storage).unwrap().read().unwrap().0;
    assert_eq!(on_disk, ledger.read(State::clone));
}

#[tokio::test]
async fn nothing_is_told_before_it_is_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let ledger = Ledger::open(&storage).unwrap();
    let mut told = ledger.watch();
    for _ in 0..20 {
        ledger
            .write("take-in", |state| state.take_in(report(), kept()))
            .await
            .unwrap();
        told.changed().await.unwrap();
        let on_disk = Journal::open(&storage).unwrap().read().unwrap().0;
        assert_eq!(on_disk, ledger.read(State::clone));
    }
}
