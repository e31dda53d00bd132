//! Who is told, and who gets what an owner leaves.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, ClaimError, Claimed};
use super::line::Left;
use super::{Key, Line, Opening, Session, Sessions};
use crate::broker::config::BrokerConfig;
use crate::broker::session::tests::{claim, sessions};
use crate::broker::subscriptions::Subscribed;
use crate::broker::will::Will;
use crate::bus::{Bus, BusLimits, Grant, InboxLimits, Kept, Message, Receipt};
use crate::devices::{Device, Devices, Quota, Rules};
use crate::mqtt::{self, PublishProperties, Reason};
use crate::names::Qos;
use crate::spec::Overflow;
use crate::storage::Storage;
use crate::supervisor::TaskGroup;

fn line() -> std::sync::Arc<Line> {
    Line::new(Key {
        device: "pump".parse().unwrap(),
        client_id: "one".into(),
    })
}

#[tokio::test]
async fn that_somebody_came_for_the_session_stands_whatever_else_is_said() {
    let line = line();
    line.set_connected(true);
    line.tell(Reason::ADMINISTRATIVE_ACTION);
    line.tell(Reason::NOT_AUTHORIZED);
    assert_eq!(line.told.reason(), Some(Reason::ADMINISTRATIVE_ACTION));
    line.set_connected(false);
    assert_eq!(line.told.reason(), None);
    line.tell(Reason::NOT_AUTHORIZED);
    line.tell(Reason::SESSION_TAKEN_OVER);
    line.set_connected(false);
    line.tell(Reason::NOT_AUTHORIZED);
    let told = line.told.wait().await;
    assert_eq!(told, Reason::SESSION_TAKEN_OVER);
}

#[tokio::test]
async fn only_the_first_word_of_an_owner_counts() {
    let line = line();
    line.leave(Left::Ask(self::line()));
    line.leave(Left::Session(None));
    let left = poll_fn(|context| line.poll_left(context)).await;
    assert!(matches!(left, Left::Ask(_)));
}

const WHILE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_gives_up_gets_what_was_left_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let first = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    let (owner, before) = sessions.line_up(&claim(&devices, WHILE));
    first.owner.release(Some(first.session));
    let left = owner.give_up(&before.unwrap());
    assert!(matches!(left, Some(Left::Session(Some(_)))), "{left:?}");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let first = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    let number = first.session.lasting.as_ref().unwrap().number;
    let late = sessions.claim(claim(&devices, Duration::ZERO)).await;
    assert!(matches!(late, Err(ClaimError::Stuck)), "{late:?}");
    first.owner.release(Some(first.session));
    let next = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    assert!(next.present);
    assert_eq!(next.session.lasting.unwrap().number, number);
}

#[tokio::test]
async fn of_a_device_that_came_only_those_who_may_more_are_told_and_those_who_are_away() {
    let directory = tempfile::tempdir().unwrap();
    let (_bus, devices, sessions) = sessions(directory.path());
    let come = async |client_id: &str, connected| {
        let client_id = client_id.into();
        let claim = Claim {
            client_id,
            ..claim(&devices, WHILE)
        };
        let claimed = sessions.claim(claim).await.unwrap();
        claimed.owner.line().set_connected(connected);
        claimed
    };
    let [other, own] = [come("one-other", true).await, come("one-own", true).await];
    let away = come("one-away", false).await;
    let told = |claimed: &Claimed| claimed.owner.line().told.reason();
    let (device, reason) = ("one".parse().unwrap(), Reason::ADMINISTRATIVE_ACTION);
    sessions.tell_kept(&device, reason);
    assert_eq!([&other, &own, &away].map(told), [None, None, Some(reason)]);
    sessions.disconnect(&device, "one-own", reason);
    assert_eq!([&other, &own].map(told), [None, Some(reason)]);
    // Whoever keeps it then hears of it.
    assert_eq!(own.owner.line().set_connected(false), Some(reason));
}

/// Sessions as they are on the disk; without a file of `guest`.
fn open(directory: &Path, client_certificates: &str) -> (Bus, Devices, Sessions) {
    let text = format!(
        "listen = \"127.0.0.1:0\"\nauthorizer = \"guard\"\n\
         [tls]\nclient_certificates = \"{client_certificates}\"\n"
    );
    let config: BrokerConfig = toml::from_str(&text).unwrap();
    let devices = Devices::open(directory, Rules::default()).unwrap();
    let bus = Bus::new(BusLimits::default());
    let sessions = Sessions::open(Opening {
        bus: bus.clone(),
        storage: &Storage::open(directory).unwrap(),
        config: &config,
        devices: &devices,
        counters: Arc::default(),
    });
    (bus, devices, sessions.unwrap())
}

fn guest(subscribe: &str) -> Claim {
    let device = Device {
        name: "guest".parse().unwrap(),
        class: None,
        fingerprints: Vec::new(),
        publish: Vec::new(),
        subscribe: vec![subscribe.parse().unwrap()],
        quota: Quota::default(),
    };
    Claim {
        grant: Grant {
            publish: Vec::new(),
            subscribe: device.subscribe.clone(),
        },
        device: Arc::new(device),
        client_id: "guest".into(),
        clean_start: false,
        expiry_s: 1_000,
        by: Instant::now() + WHILE,
    }
}

/// A session that lasts, of a device without a file; its number.
async fn leave_behind(directory: &Path) -> u64 {
    let (_bus, _devices, sessions) = open(directory, "optional");
    let mut claimed = sessions.claim(guest("a/#")).await.unwrap();
    let number = claimed.session.lasting.as_ref().unwrap().number;
    for filter in ["a/x", "a/y"] {
        let subscribed = Subscribed {
            filter: filter.parse().unwrap(),
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            id: None,
        };
        claimed.session.subscribe(subscribed, Kept::None).unwrap();
    }
    claimed.session.write(None).await.unwrap();
    sessions.kill().await;
    number
}

fn filters(session: &Session) -> Vec<&str> {
    let own = session.subscriptions.iter();
    let mut filters: Vec<_> = own.map(|own| own.filter.as_str()).collect();
    filters.sort_unstable();
    filters
}

#[tokio::test]
async fn a_session_of_a_device_that_only_the_authorizer_knows_outlasts_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let number = leave_behind(directory.path()).await;
    let (bus, _devices, sessions) = open(directory.path(), "optional");
    let (tasks, stop) = (TaskGroup::new(1), CancellationToken::new());
    let (running, stopped) = (sessions.clone(), stop.clone());
    tasks
        .start(async move { running.run(stopped).await })
        .unwrap();
    // What comes meanwhile waits for it, and what it had not subscribed does not.
    let host = bus.host_party();
    for topic in ["a/x", "a/z"] {
        let (receipt, settled) = Receipt::new();
        let message = Message {
            receipt: Some(receipt),
            qos: Qos::AtLeastOnce,
            ..Message::new(topic.parse().unwrap(), "1")
        };
        host.publish(message).unwrap();
        timeout(WHILE, settled).await.unwrap();
    }
    assert_eq!(sessions.stored_messages(), 1);
    // The authorizer has the last word about what it may subscribe.
    let mut claimed = sessions.claim(guest("a/x")).await.unwrap();
    assert!(claimed.present);
    sessions.admit(&mut claimed).await.unwrap();
    assert_eq!(claimed.session.lasting.as_ref().unwrap().number, number);
    assert_eq!(filters(&claimed.session), ["a/x"]);
    stop.cancel();
}

#[tokio::test]
async fn what_was_left_alone_is_there_when_its_device_comes_after_all() {
    let directory = tempfile::tempdir().unwrap();
    let number = leave_behind(directory.path()).await;
    for clean_start in [false, true] {
        let (_bus, _devices, sessions) = open(directory.path(), "required");
        assert_eq!(sessions.len(), 0, "its device has no file");
        let claim = Claim {
            clean_start,
            ..guest("a/y")
        };
        let claimed = sessions.claim(claim).await.unwrap();
        assert_eq!(claimed.present, !clean_start);
        let is_same = claimed.session.lasting.as_ref().unwrap().number == number;
        assert_eq!(is_same, !clean_start);
        if !clean_start {
            assert_eq!(filters(&claimed.session), ["a/y"]);
        }
        sessions.kill().await;
    }
}

#[tokio::test]
async fn what_a_lost_device_wants_said_is_said_though_nobody_waits_for_its_session() {
    let directory = tempfile::tempdir().unwrap();
    let (bus, devices, sessions) = sessions(directory.path());
    let grant = Grant {
        publish: Vec::new(),
        subscribe: vec!["a/#".parse().unwrap()],
    };
    let listener = bus.attach("listener".parse().unwrap(), grant).unwrap();
    let limits = InboxLimits {
        messages_max: 1,
        bytes_max: 1 << 10,
        overflow: Overflow::DropOldest,
        answers: false,
    };
    let filters = ["a/#".parse().unwrap()];
    let mut inbox = listener.subscribe(&filters, limits).unwrap();
    let mut first = sessions.claim(claim(&devices, WHILE)).await.unwrap();
    let will = mqtt::Will {
        topic: "a/lost".parse().unwrap(),
        payload: "lost".into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        delay_s: 0,
        properties: PublishProperties::default(),
    };
    first.session.will = Some(Box::new(Will::new(will, first.session.origin)));
    let late = sessions.claim(claim(&devices, Duration::ZERO)).await;
    assert!(matches!(late, Err(ClaimError::Stuck)), "{late:?}");
    first.owner.release(Some(first.session));
    let mut heard = Vec::new();
    while heard.is_empty() {
        let receive = inbox.receive(1, &mut heard);
        timeout(WHILE, receive).await.expect("nothing was said");
    }
    assert_eq!(&*heard[0].payload, b"lost");
}
