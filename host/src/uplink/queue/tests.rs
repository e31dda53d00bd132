use bytes::Bytes;

use super::Queue;
use crate::storage::{Storage, entry_size};
use crate::uplink::clock::QueueClock;
use crate::uplink::config::QueueConfig;

fn queue(storage: &Storage, config: &str) -> Queue {
    let config: QueueConfig = toml::from_str(config).unwrap();
    let log = storage.log("q", config.bytes_max.get()).unwrap();
    let clock = QueueClock::open(storage.bucket("c", 1_000).unwrap()).unwrap();
    Queue::new(log, &config, clock)
}

fn put(queue: &Queue, batch: &[(u8, &str)]) -> (usize, u64) {
    let batch: Vec<_> = batch
        .iter()
        .map(|(lane, text)| (*lane, Bytes::copy_from_slice(text.as_bytes())))
        .collect();
    let put = queue.put(&batch).unwrap();
    (put.taken, put.refused + put.displaced)
}

fn texts(queue: &Queue) -> String {
    let mut texts = String::new();
    for lane in 0..8 {
        for (_, bytes) in queue.log.read(lane, None, 100, 1_000).unwrap() {
            texts.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
    texts
}

#[test]
fn the_oldest_of_the_least_urgent_go_first_and_never_the_more_urgent() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let queue = queue(&storage, &format!("bytes_max = {}", 3 * entry_size(1)));
    assert_eq!(put(&queue, &[(1, "a"), (5, "b"), (5, "c")]), (3, 0));
    assert_eq!(put(&queue, &[(3, "d")]), (1, 1));
    assert_eq!(texts(&queue), "adc");
    assert_eq!(put(&queue, &[(0, "e"), (1, "f")]), (2, 2));
    assert_eq!(texts(&queue), "eaf");
    // Nothing as urgent or less is there: it goes itself.
    assert_eq!(put(&queue, &[(2, "g")]), (1, 1));
    assert_eq!(texts(&queue), "eaf");
    // What the sender has taken up stays.
    queue.take_up(1, None, 1, 10).unwrap();
    assert_eq!(put(&queue, &[(1, "h")]), (1, 1));
    assert_eq!(texts(&queue), "eah");
}

#[test]
fn the_newest_go_or_wait_if_the_policy_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let bytes_max = 2 * entry_size(1);
    let dropping = format!("bytes_max = {bytes_max}\noverflow = \"drop-newest\"");
    let dropper = queue(&storage, &dropping);
    assert_eq!(put(&dropper, &[(0, "a"), (0, "b"), (0, "c")]), (3, 1));
    assert_eq!(texts(&dropper), "ab");
    let blocking = format!("bytes_max = {bytes_max}\noverflow = \"block\"");
    let queue = queue(&storage, &blocking);
    queue.remove(&[(0, 0)]).unwrap();
    assert_eq!(put(&queue, &[(0, "c"), (0, "d")]), (1, 0));
    assert_eq!(texts(&queue), "bc");
    // What never fits makes nobody wait.
    assert_eq!(put(&queue, &[(0, &"x".repeat(200))]), (1, 1));
}

#[test]
fn no_priority_takes_more_than_its_share() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let bytes_max = 4 * entry_size(1);
    let queue = queue(
        &storage,
        &format!("bytes_max = {bytes_max}\nshares = {{ 7 = 50 }}"),
    );
    assert_eq!(put(&queue, &[(7, "a"), (7, "b"), (7, "c")]), (3, 1));
    assert_eq!(put(&queue, &[(7, "d")]), (1, 1));
    assert_eq!(texts(&queue), "cd");
    assert_eq!(put(&queue, &[(0, "e"), (0, "f")]), (2, 0));
    assert_eq!(texts(&queue), "efcd");
}

#[test]
fn what_makes_room_for_a_batch_is_the_oldest_after_what_the_sender_has() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(directory.path()).unwrap();
    let queue = queue(&storage, &format!("bytes_max = {}", 6 * entry_size(1)));
    let batch = [(5, "a"), (5, "b"), (7, "c"), (5, "d"), (7, "e"), (5, "f")];
    assert_eq!(put(&queue, &batch), (6, 0));
    queue.take_up(5, None, 1, 10).unwrap();
    // Of several lanes, and only as many as must.
    assert_eq!(put(&queue, &[(5, "g"), (5, "h"), (5, "i")]), (3, 3));
    assert_eq!(texts(&queue), "adfghi");
    // It goes on after those that went, and after what was taken up since.
    let taken = queue.take_up(5, Some(0), 1, 10).unwrap();
    assert_eq!(taken[0].1, "d");
    assert_eq!(put(&queue, &[(5, "j")]), (1, 1));
    assert_eq!(texts(&queue), "adghij");
    // More than the queue holds: the batch makes room for itself.
    let many: Vec<_> = "klmnopqrst"
        .split_inclusive(|_| true)
        .map(|text| (5, text))
        .collect();
    assert_eq!(put(&queue, &many), (10, 10));
    assert_eq!(texts(&queue), "adqrst");
    assert_eq!(queue.bytes(), queue.bytes_max());
    // All that is left is the sender's.
    queue.take_up(5, None, 10, 100).unwrap();
    assert_eq!(put(&queue, &[(5, "u")]), (1, 1));
    queue.remove(&[(5, 0)]).unwrap();
    assert_eq!(put(&queue, &[(5, "v")]), (1, 0));
    assert_eq!(texts(&queue), "dqrstv");
}
