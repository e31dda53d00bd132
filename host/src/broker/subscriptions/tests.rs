//! One copy of each message, as well as the best subscription asks for it.

use std::num::NonZeroU32;

use super::{Served, Subscribed, Subscriptions};
use crate::bus::{Message, Origin};
use crate::names::Qos;

fn subscribed(filter: &str, qos: Qos, id: u32) -> Subscribed {
    Subscribed {
        filter: filter.parse().unwrap(),
        qos,
        no_local: false,
        retain_as_published: false,
        id: NonZeroU32::new(id),
    }
}

fn message(topic: &str, qos: Qos) -> Message {
    Message {
        qos,
        ..Message::new(topic.parse().unwrap(), "1")
    }
}

fn serve(all: &Subscriptions, message: &Message, origin: Origin) -> Option<(Served, Vec<u32>)> {
    let mut ids = vec![NonZeroU32::MAX];
    let served = all.serve(message, origin, &mut ids)?;
    Some((served, ids.into_iter().map(NonZeroU32::get).collect()))
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_the_highest_qos_and_all_identifiers() {
    let me = Origin::new();
    let mut all = Subscriptions::default();
    all.insert(subscribed("a/#", Qos::AtMostOnce, 7));
    all.insert(subscribed("a/+", Qos::ExactlyOnce, 8));
    all.insert(subscribed("b", Qos::ExactlyOnce, 9));
    all.insert(subscribed("$share/g/a/b", Qos::AtLeastOnce, 0));
    let served = |qos| Served { qos, retain: false };
    assert_eq!(
        serve(&all, &message("a/b", Qos::ExactlyOnce), me),
        Some((served(Qos::ExactlyOnce), vec![7, 8]))
    );
    // Never more than it was published with.
    assert_eq!(
        serve(&all, &message("a/b", Qos::AtLeastOnce), me),
        Some((served(Qos::AtLeastOnce), vec![7, 8]))
    );
    assert_eq!(
        serve(&all, &message("a/b/c", Qos::ExactlyOnce), me),
        Some((served(Qos::AtMostOnce), vec![7]))
    );
    assert_eq!(serve(&all, &message("c", Qos::ExactlyOnce), me), None);
}

#[test]
fn what_a_session_published_does_not_come_back_where_it_said_so() {
    let (me, other) = (Origin::new(), Origin::new());
    let mut all = Subscriptions::default();
    let mut local = subscribed("a/#", Qos::AtLeastOnce, 7);
    local.no_local = true;
    all.insert(local);
    let mut mine = message("a/b", Qos::AtLeastOnce);
    mine.origin = Some(me);
    assert_eq!(serve(&all, &mine, me), None);
    assert!(serve(&all, &mine, other).is_some());
    // Another subscription lets it come, and only that one is named.
    all.insert(subscribed("a/b", Qos::AtMostOnce, 8));
    let (served, ids) = serve(&all, &mine, me).unwrap();
    assert_eq!((served.qos, ids), (Qos::AtMostOnce, vec![8]));
}

#[test]
fn kept_values_are_marked_and_others_only_where_asked_for() {
    let me = Origin::new();
    let mut all = Subscriptions::default();
    all.insert(subscribed("a", Qos::AtMostOnce, 0));
    let retain = |all: &Subscriptions, message: &Message| serve(all, message, me).unwrap().0.retain;
    let mut value = message("a", Qos::AtLeastOnce);
    value.retain = true;
    assert!(retain(&all, &value));
    let mut live = message("a", Qos::AtLeastOnce);
    live.kept = true;
    assert!(!retain(&all, &live));
    let mut as_published = subscribed("a", Qos::AtMostOnce, 0);
    as_published.retain_as_published = true;
    let replaced = all.insert(as_published).unwrap();
    assert!(!replaced.retain_as_published);
    assert!(retain(&all, &live));
    assert!(!retain(&all, &message("a", Qos::AtLeastOnce)));
    assert_eq!(all.len(), 1);
}

#[test]
fn a_subscription_is_removed_once() {
    let mut all = Subscriptions::default();
    all.insert(subscribed("a", Qos::AtMostOnce, 0));
    let filter = "a".parse().unwrap();
    assert!(all.contains(&filter));
    assert!(all.remove(&filter).is_some() && all.remove(&filter).is_none());
    assert_eq!(all.iter().count(), 0);
}

#[test]
fn subscriptions_survive_being_written() {
    let mut all = Subscriptions::default();
    all.insert(subscribed("$share/g/a/#", Qos::ExactlyOnce, 5));
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Subscriptions>(&text).unwrap(), all);
}
