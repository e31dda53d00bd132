use super::super::state::State;
use super::super::state::tests::{kept, report};
use super::{Changes, Journal, JournalError, changes};
use crate::storage::Storage;

fn some_state() -> State {
    let mut state = State::default();
    state.take_in(report(), kept());
    state.take_in(report(), kept());
    state.begin();
    state.stopped.insert("window".parse().unwrap());
    state
}

#[test]
fn what_is_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let journal = Journal::open(&storage).unwrap();
    let state = some_state();
    journal.write(&changes(&State::default(), &state)).unwrap();
    let (read, unreadable) = journal.read().unwrap();
    assert_eq!(read, state);
    assert!(unreadable.is_empty());
    assert_eq!(changes(&state, &state), Changes::new());
    journal.write(&changes(&state, &State::default())).unwrap();
    assert_eq!(journal.read().unwrap().0, State::default());
}

#[test]
fn any_record_may_be_damaged_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let journal = Journal::open(&storage).unwrap();
    let state = some_state();
    let all = changes(&State::default(), &state);
    for key in all.keys() {
        for bytes in [
            &b""[..],
            b"\xff\xff",
            b"[]",
            b"{\"version\":1}",
            b"{\"version\":1,\"value\":[[[]]]}",
        ] {
            journal.write(&all).unwrap();
            journal.bucket.set(key, bytes).unwrap();
            let (_, unreadable) = journal.read().unwrap();
            let named = matches!(unreadable.as_slice(), [JournalError::Unreadable { key: named, .. }] if named == key);
            assert!(named, "{key}: {unreadable:?}");
        }
        journal
            .bucket
            .set(key, b"{\"version\":9,\"value\":0}")
            .unwrap();
        let (_, unreadable) = journal.read().unwrap();
        assert!(matches!(
            unreadable.as_slice(),
            [JournalError::Newer { version: 9, .. }]
        ));
    }
    // What another version keeps beside it is not in the way.
    journal.write(&all).unwrap();
    journal.bucket.set("report/x", b"").unwrap();
    journal.bucket.set("other", b"").unwrap();
    assert_eq!(journal.read().unwrap().0, state);
}

#[test]
fn what_another_version_wrote_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let journal = Journal::open(&storage).unwrap();
    let all = changes(&State::default(), &some_state());
    journal.write(&all).unwrap();
    let newer = b"{\"version\":9,\"value\":0}";
    for key in all.keys() {
        journal.bucket.set(key, newer).unwrap();
    }
    let (read, _) = journal.read().unwrap();
    let mut state = read.clone();
    state.take_in(report(), kept());
    journal.write(&changes(&read, &state)).unwrap();
    for key in all.keys().filter(|key| key.contains('/')) {
        let record = journal.bucket.get(key).unwrap();
        assert_eq!(record.as_deref(), Some(&newer[..]), "{key}");
    }
}
