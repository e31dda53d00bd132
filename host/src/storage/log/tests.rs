use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::{LOG_ENTRY_BYTES_MAX, Log, LogError, entry_size};
use crate::storage::Storage;

fn entry(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn texts(log: &Log, lane: u8) -> Vec<(u64, String)> {
    let entries = log.read(lane, None, usize::MAX, usize::MAX).unwrap();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    entries
        .into_iter()
        .map(|(number, bytes)| (number, text(bytes)))
        .collect()
}

#[test]
fn entries_and_numbers_outlast_the_store_and_logs_do_not_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    {
        let storage = Storage::open(directory.path()).unwrap();
        let log = storage.log("a", 1_000).unwrap();
        let numbers = log.append(&[(1, entry("x")), (0, entry("y")), (1, entry("z"))]);
        assert_eq!(numbers.unwrap(), 0..3);
        assert!(storage.log("ab", 1_000).unwrap().is_empty());
        log.remove(&[(1, 2), (0, 1)]).unwrap();
        assert_eq!(log.len(), 1);
    }
    let storage = Storage::open(directory.path()).unwrap();
    let log = storage.log("a", 1_000).unwrap();
    assert_eq!(texts(&log, 1), [(0, "x".to_owned())]);
    assert_eq!(texts(&log, 0), []);
    assert_eq!(log.bytes(), entry_size(1));
    // Also of those that are gone none is given again.
    assert_eq!(log.append(&[(0, entry("new"))]).unwrap(), 3..4);
    assert_eq!(storage.log_names("a").unwrap(), ["a"]);
}

#[test]
fn what_is_over_the_quota_is_not_written_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let log = storage.log("a", 2 * entry_size(1)).unwrap();
    log.append(&[(0, entry("x"))]).unwrap();
    let refused = log.append(&[(0, entry("y")), (0, entry("z"))]).unwrap_err();
    assert!(matches!(refused, LogError::Full { .. }), "{refused}");
    assert_eq!(texts(&log, 0), [(0, "x".to_owned())]);
    let large = Bytes::from(vec![0; LOG_ENTRY_BYTES_MAX + 1]);
    assert!(matches!(
        log.append(&[(0, large)]),
        Err(LogError::TooLarge(_))
    ));
    log.append(&[(0, entry("y"))]).unwrap();
    // The same log, opened by another with more room.
    let other = storage.log("a", 1_000).unwrap();
    assert_eq!(other.append(&[(0, entry("z"))]).unwrap(), 2..3);
    assert_eq!(log.len(), 3);
    assert!(!storage.forget_log("a").unwrap());
    drop((log, other));
    assert!(storage.forget_log("a").unwrap());
    assert_eq!(storage.log_names("").unwrap(), Vec::<String>::new());
    assert!(storage.log("a", 1_000).unwrap().is_empty());
    assert!(matches!(storage.log("a\0b", 1), Err(LogError::Name(3))));
}

#[test]
fn reading_is_bounded_and_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let log = storage.log("a", u64::MAX).unwrap();
    let entries: Vec<_> = (0..10).map(|_| (0, entry("12345"))).collect();
    log.append(&entries).unwrap();
    let numbers = |after, max, bytes_max| {
        let entries = log.read(0, after, max, bytes_max).unwrap();
        entries
            .into_iter()
            .map(|(number, _)| number)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 3, usize::MAX), [0, 1, 2]);
    assert_eq!(numbers(Some(2), 3, 10), [3, 4]);
    assert_eq!(numbers(Some(4), 3, 0), [5]);
    assert_eq!(numbers(Some(9), 3, 10), [0; 0]);
    assert_eq!(log.drop_oldest(0, 2 * entry_size(5)).unwrap(), 2);
    assert_eq!(numbers(None, 1, 10), [2]);
    log.clear().unwrap();
    assert_eq!((log.len(), log.bytes()), (0, 0));
    assert_eq!(log.append(&[(0, entry("x"))]).unwrap(), 10..11);
}

#[test]
fn many_that_append_at_once_all_find_their_entries() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = storage
                .log(&format!("log-{}", thread % 2), u64::MAX)
                .unwrap();
            scope.spawn(move || {
                for _ in 0..20 {
                    let numbers = log.append(&[(thread, entry("x")), (thread, entry("y"))]);
                    let first = numbers.unwrap().start;
                    let after = first.checked_sub(1);
                    let found = log.read(thread, after, 2, usize::MAX).unwrap();
                    assert_eq!(found.first().map(|(number, _)| *number), Some(first));
                    assert_eq!(found.len(), 2);
                }
            });
        }
    });
    assert_eq!(storage.log("log-0", 1).unwrap().len(), 160);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Against a plain queue in memory, with the store opened anew now and then.
    #[test]
    fn a_log_does_what_a_queue_in_memory_does(
        steps in prop::collection::vec((0..5_u8, 0..3_u8, 0..40_usize), 1..60)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(directory.path()).unwrap();
        let mut log = storage.log("a", u64::MAX).unwrap();
        let mut model: [VecDeque<(u64, usize)>; 3] = Default::default();
        let mut next = 0;
        for (what, lane, size) in steps {
            let queue = &mut model[usize::from(lane)];
            match what {
                0 | 1 => {
                    let added = log.append(&[(lane, vec![7; size].into())]).unwrap();
                    prop_assert_eq!(added, next..next + 1);
                    queue.push_back((next, size));
                    next += 1;
                }
                2 => if let Some((number, _)) = queue.remove(size % queue.len().max(1)) {
                    log.remove(&[(lane, number), (lane, number), (lane, 9_999)]).unwrap();
                },
                3 => {
                    let count = log.drop_oldest(lane, 1).unwrap();
                    prop_assert_eq!(count, u64::from(queue.pop_front().is_some()));
                }
                _ => {
                    drop((log, storage));
                    storage = Storage::open(directory.path()).unwrap();
                    log = storage.log("a", u64::MAX).unwrap();
                }
            }
            let mut bytes = 0;
            for (lane, queue) in (0..).zip(&model) {
                let found = log.read(lane, None, usize::MAX, usize::MAX).unwrap();
                let found: Vec<_> = found.iter().map(|(number, bytes)| (*number, bytes.len())).collect();
                prop_assert_eq!(&found, &Vec::from(queue.clone()));
                bytes += queue.iter().map(|(_, size)| entry_size(*size)).sum::<u64>();
            }
            prop_assert_eq!(log.bytes(), bytes);
        }
    }
}

#[test]
fn a_lane_that_was_emptied_begins_where_the_next_entry_will_be() {
    let mut state = super::state::State::default();
    for number in 0..3 {
        state.add(1, number, 10);
        state.next = number + 1;
    }
    for number in [1, 2, 0] {
        state.subtract(1, number, 10);
    }
    assert_eq!(state.floor(1), 3);
    state.add(1, 5, 10);
    assert_eq!(state.floor(1), 5);
}
