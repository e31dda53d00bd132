//! What is kept comes back as it was, and what is damaged harms nothing else.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    Ended, Entry, Kept, Kind, LANE, MESSAGES, RECORDS, RECORDS_BYTES_MAX, Record, Store, key,
};
use crate::broker::subscriptions::Subscriptions;
use crate::bus::Message;
use crate::mqtt::PacketId;
use crate::names::Qos;
use crate::storage::Storage;

fn record(client_id: &str, number: u64) -> Record {
    Record {
        device: "one".parse().unwrap(),
        client_id: client_id.to_owned(),
        number,
        expiry_s: 60,
        ended: Some(Ended::now()),
        subscriptions: Subscriptions::default(),
        received: vec![PacketId::MAX],
    }
}

fn entry(session: u64, id: u16, text: &str) -> Entry {
    let message = Message {
        qos: Qos::AtLeastOnce,
        expires_at: Instant::now().checked_add(Duration::from_secs(100)),
        reply_to: Some("a/answer".parse().unwrap()),
        correlation: Some(Bytes::new()),
        properties: [("k", "v"), ("k", "w")].into_iter().collect(),
        utf8: true,
        kept: true,
        ..Message::new("a/x".parse().unwrap(), text.to_owned())
    };
    Entry {
        session,
        id: PacketId::new(id).unwrap(),
        kind: Kind::Message {
            qos: Qos::AtLeastOnce,
            retain: true,
            sent: true,
            message: Some(Arc::new(message)),
        },
        bytes: 0,
    }
}

fn open(directory: &Path) -> (Store, Kept) {
    Store::open(&Storage::open(directory).unwrap(), 1 << 20).unwrap()
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let written = entry(7, 8, "text");
    let read = Entry::decode(&written.encode()).unwrap();
    assert_eq!((read.session, read.id.get()), (7, 8));
    let Kind::Message {
        qos: Qos::AtLeastOnce,
        retain: true,
        sent: true,
        message: Some(message),
    } = read.kind
    else {
        panic!("{read:?}");
    };
    assert_eq!(message.payload, "text");
    assert_eq!(message.topic.as_str(), "a/x");
    assert_eq!(message.reply_to.as_ref().unwrap().as_str(), "a/answer");
    assert_eq!(message.correlation, Some(Bytes::new()));
    assert_eq!(message.properties.len(), 2);
    assert!(message.utf8 && message.kept && !message.retain);
    let left = message.expires_at.unwrap() - Instant::now();
    assert!((98..=100).contains(&left.as_secs()), "{left:?}");
}

proptest! {
    /// Damaged or cut, an entry is read or it is not; never more than that.
    #[test]
    fn a_damaged_entry_harms_nothing(place in 0_usize..200, byte: u8, cut in 0_usize..200) {
        let mut bytes = entry(7, 8, "text").encode().to_vec();
        if let Some(at) = bytes.get_mut(place) {
            *at = byte;
        }
        bytes.truncate(cut);
        let _ = Entry::decode(&Bytes::from(bytes));
    }

    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>) {
        let _ = Entry::decode(&Bytes::from(bytes.clone()));
        let _ = Record::decode(&bytes);
    }
}

#[test]
fn records_of_any_client_id_have_their_own_key() {
    let device = "one".parse().unwrap();
    let long = |end: char| format!("one/{}{end}", "x".repeat(300));
    let keys = [
        key(&device, "one"),
        key(&device, "one/1"),
        key(&device, &long('a')),
        key(&device, &long('b')),
    ];
    for (place, one) in keys.iter().enumerate() {
        assert!(one.len() <= 256, "{one}");
        assert!(keys.iter().skip(place + 1).all(|other| other != one));
    }
}

#[tokio::test]
async fn what_is_damaged_is_passed_over_and_what_is_nobodys_goes() {
    let directory = tempfile::tempdir().unwrap();
    let first = record("one", 5);
    {
        let (store, kept) = open(directory.path());
        assert!(kept.sessions.is_empty());
        let two = record("one/2", 6);
        let records = [&first, &two].map(|record| (record.key(), Some(record.encode())));
        store.set(records.into()).await.unwrap();
        let entries = [
            entry(5, 1, "1"),
            entry(9, 1, "orphan"),
            entry(6, 1, "2"),
            entry(5, 2, "3"),
        ];
        let entries = entries.iter().map(Entry::encode).collect();
        assert_eq!(store.append(entries).await.unwrap().count(), 4);
    }
    {
        let storage = Storage::open(directory.path()).unwrap();
        let bucket = storage.bucket(RECORDS, RECORDS_BYTES_MAX).unwrap();
        bucket
            .set(&record("one/2", 6).key(), b"{\"device\":")
            .unwrap();
        let log = storage.log(MESSAGES, 1 << 20).unwrap();
        log.append(&[(LANE, Bytes::from_static(b"\x09nonsense"))])
            .unwrap();
    }
    let (store, kept) = open(directory.path());
    let [one] = &*kept.sessions else {
        panic!("{kept:?}");
    };
    assert_eq!(one.record, first);
    let waiting: Vec<_> = one
        .waiting
        .iter()
        .map(|(_, entry)| entry.id.get())
        .collect();
    assert_eq!(waiting, [1, 2]);
    let numbers = one.waiting.iter().map(|(number, _)| *number).collect();
    let read = store.read(numbers).await.unwrap();
    assert_eq!(read.len(), 2);
    // A number that was given once is not given again.
    assert!(store.number() > 9);
    store.flush().await;
    assert_eq!(store.messages(), 2);
}

#[tokio::test]
async fn one_who_asks_for_too_much_does_not_harm_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    // In line together.
    let first = store.append(vec![entry(1, 1, "").encode()]);
    let refused = store.append(vec![large]);
    let last = store.append(vec![entry(1, 2, "").encode(), entry(1, 3, "").encode()]);
    assert_eq!(first.await.unwrap().count(), 1);
    assert!(refused.await.unwrap_err().is_full());
    assert_eq!(last.await.unwrap().count(), 2);
    assert_eq!(store.messages(), 3);
}
