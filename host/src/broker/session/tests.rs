//! What becomes of messages that the disk does not take.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Session, Spill};
use crate::broker::config::BrokerConfig;
use crate::broker::inflight::{Answer, Sent, Stage};
use crate::broker::sessions::{Claim, Claimed, Opening, Sessions};
use crate::broker::store::StoreError;
use crate::broker::subscriptions::Subscribed;
use crate::bus::{Bus, BusLimits, Grant, Kept, Message, Receipt, Settled};
use crate::devices::{Devices, Rules};
use crate::names::Qos;
use crate::storage::Storage;

pub(in crate::broker) fn sessions(directory: &Path) -> (Bus, Devices, Sessions) {
    let devices = directory.join("devices");
    fs_err::create_dir_all(&devices).unwrap();
    let grant = "publish = [\"a/#\"]\nsubscribe = [\"a/#\"]\n";
    fs_err::write(devices.join("one.toml"), grant).unwrap();
    let config: BrokerConfig = toml::from_str("listen = \"127.0.0.1:0\"").unwrap();
    let rules = Rules {
        classes: config.classes.clone(),
        quota: config.quota.clone(),
    };
    let devices = Devices::open(directory, rules).unwrap();
    let bus = Bus::new(BusLimits::default());
    let opening = Opening {
        bus: bus.clone(),
        storage: &Storage::open(directory).unwrap(),
        config: &config,
        devices: &devices,
        counters: Arc::default(),
    };
    let sessions = Sessions::open(opening).unwrap();
    (bus, devices, sessions)
}

/// For the lasting session of a client, within so long.
pub(in crate::broker) fn claim(devices: &Devices, within: Duration) -> Claim {
    let device = devices.find(&"one".parse().unwrap()).unwrap();
    Claim {
        grant: Grant {
            publish: device.publish.clone(),
            subscribe: device.subscribe.clone(),
        },
        device,
        client_id: "one".into(),
        clean_start: false,
        expiry_s: 100,
        by: tokio::time::Instant::now() + within,
    }
}

async fn session(devices: &Devices, sessions: &Sessions) -> Claimed {
    let claim = claim(devices, Duration::from_secs(10));
    let mut claimed = sessions.claim(claim).await.unwrap();
    let subscribed = Subscribed {
        filter: "a/#".parse().unwrap(),
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        id: None,
    };
    claimed.session.subscribe(subscribed, Kept::None).unwrap();
    claimed
}

fn owed() -> (Arc<Message>, Settled) {
    let (receipt, settled) = Receipt::new();
    let message = Message {
        receipt: Some(receipt),
        ..Message::new("a/x".parse().unwrap(), "1")
    };
    (Arc::new(message), settled)
}

fn spill(session: &mut Session, message: Arc<Message>) -> Spill {
    let spill = session.spill(vec![message]);
    assert!(!spill.is_empty());
    spill
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_refused_to_its_publisher_and_not_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let mut claimed = session(&devices, &sessions).await;
    let session = &mut claimed.session;
    let (message, settled) = owed();
    let written = spill(session, message);
    assert!(!settled.is_settled());
    assert!(!session.not_spilled(written, &StoreError::Aborted));
    assert!(settled.is_settled() && settled.is_refused());
    assert_eq!(session.taken.len(), 1);
    assert_eq!(session.counters.store_failures_total.get(), 1);
}

#[tokio::test]
async fn what_is_on_the_disk_is_owed_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let mut claimed = session(&devices, &sessions).await;
    let session = &mut claimed.session;
    let (message, settled) = owed();
    let mut written = spill(session, message);
    let store = session.lasting.as_ref().unwrap().store.clone();
    let numbers = store.append(written.entries()).await.unwrap();
    assert!(!settled.is_settled());
    session.spilled(written, numbers);
    assert!(settled.is_settled() && !settled.is_refused());
    assert_eq!(session.stored().len(), 1);
}

#[tokio::test]
async fn what_was_answered_and_not_noted_is_sent_again_and_not_released() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let mut claimed = session(&devices, &sessions).await;
    let session = &mut claimed.session;
    let id = session.next_id().unwrap();
    // On its way from the disk, and PUBREC came while the disk was busy.
    session.inflight.push(Sent {
        id,
        qos: Qos::ExactlyOnce,
        retain: false,
        stage: Stage::Sent,
        stored: Some(7),
        stored_bytes: 100,
        message: None,
        at: Instant::now(),
    });
    let answer = session.inflight.received(id, true);
    assert!(matches!(answer, Answer::Note(Some(7))));
    session.suspend().await;
    assert_eq!(session.inflight.len(), 0);
    let backlog = &session.lasting.as_ref().unwrap().backlog;
    let waiting: Vec<_> = backlog
        .iter()
        .map(|stored| (stored.id, stored.number, stored.sent))
        .collect();
    assert_eq!(waiting, [(id, 7, true)]);
}
