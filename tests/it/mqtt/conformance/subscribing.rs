//! Subscriptions: which messages they match, and how they end.

use super::{Broker, cases};
use crate::mqtt::raw::bytes::all;
use crate::mqtt::raw::{Packet, Publish, Value, Version, packet, property};

cases! {
    both: [
        each_filter_of_a_subscribe_is_answered_in_order,
        filters_match_what_the_specification_says,
        wildcards_do_not_match_dollar_topics,
        a_faulty_filter_is_refused,
        subscribing_again_replaces_the_quality,
        overlapping_subscriptions_deliver_at_the_highest_quality,
        unsubscribing_ends_delivery,
        unsubscribing_an_unknown_filter_is_answered,
        unsubscribing_two_filters_is_answered_once,
        a_subscription_ends_with_a_clean_session,
    ]
    v5: [
        no_local_spares_a_client_its_own_messages,
        a_subscription_identifier_comes_with_its_messages,
        overlapping_subscriptions_bring_all_identifiers,
        a_subscription_identifier_can_be_replaced,
        unsubscribing_says_whether_there_was_a_subscription,
    ]
}

async fn each_filter_of_a_subscribe_is_answered_in_order(broker: &Broker) {
    let mut client = broker.client("a").await;
    let topics: Vec<_> = (0..9).map(|n| broker.topic(&n.to_string())).collect();
    let qos = |index: usize| u8::try_from(index % 3).unwrap();
    let filters = topics.iter().enumerate();
    let filters: Vec<_> = filters.map(|(n, topic)| (topic.as_str(), qos(n))).collect();
    let granted = client.subscribe_all(&filters).await;
    assert_eq!(granted, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    for (index, topic) in topics.iter().enumerate() {
        client.publish(topic, "x", 2).await;
        let message = client.message().await;
        assert_eq!((&message.topic, message.qos), (topic, qos(index)));
    }
}

async fn filters_match_what_the_specification_says(broker: &Broker) {
    // Of section 4.7 of both specifications.
    let table: [(&str, &str, bool); 18] = [
        ("s/#", "s", true),
        ("s/#", "s/r", true),
        ("s/#", "s/r/w", true),
        ("s/#", "st", false),
        ("s/+", "s", false),
        ("s/+", "s/", true),
        ("s/+", "s/r", true),
        ("s/+", "s/r/w", false),
        ("s/+/w", "s/r/w", true),
        ("s/+/w", "s//w", true),
        ("s/+/w", "s/w", false),
        ("+/+", "s/r", true),
        ("+/+", "/r", true),
        ("+/r", "s/r", true),
        ("s", "S", false),
        ("s", "s/", false),
        ("s/", "s/", true),
        ("+/#", "s", true),
    ];
    let (mut publisher, end) = (broker.client("p").await, broker.topic("end"));
    for (number, (filter, topic, matches)) in table.into_iter().enumerate() {
        let below = |rest: &str| broker.topic(&format!("{number}/{rest}"));
        let mut client = broker.subscriber("s", &below(filter), 1).await;
        client.subscribe(&end, 1).await;
        publisher.publish(&below(topic), "x", 1).await;
        publisher.publish(&end, "end", 1).await;
        let count = client.until("end").await.len();
        assert_eq!(count, usize::from(matches), "`{filter}` and `{topic}`");
        client.disconnect().await;
    }
}

/// Whether a client may publish there is the broker's affair.
async fn wildcards_do_not_match_dollar_topics(broker: &Broker) {
    let (own, end) = (broker.topic("own"), broker.topic("end"));
    let mut subscriber = broker.subscriber("s", "#", 1).await;
    let tail = format!("dollar/{}", broker.id("x"));
    for topic in [format!("${tail}"), format!("$SYS/{tail}")] {
        let mut publisher = broker.client("p").await;
        let bytes = Publish::new(&topic, "hidden", 0).bytes(broker.version);
        publisher.send(&bytes).await;
        publisher.send(&packet::PING).await;
        while !matches!(publisher.next().await, None | Some(Packet::Pong)) {}
    }
    let mut publisher = broker.client("q").await;
    publisher.publish(&own, "seen", 1).await;
    publisher.publish(&end, "end", 1).await;
    let mut own_seen = false;
    loop {
        // Those of other cases come too.
        let message = subscriber
            .next_that(|packet| match packet {
                Packet::Publish(publish) => Some(publish.clone()),
                _ => None,
            })
            .await;
        subscriber.acknowledge(&message).await;
        assert!(
            !message.topic.starts_with('$'),
            "`#` brought {}",
            message.topic
        );
        own_seen |= message.topic == own;
        if message.topic == end {
            break;
        }
    }
    assert!(own_seen);
}

async fn a_faulty_filter_is_refused(broker: &Broker) {
    let faulty = [
        "a/#/b", "#/b", "a/b#", "a#", "a+", "a/+b", "+a/b", "a/b+/c", "",
    ];
    let mut granted = Vec::new();
    for filter in faulty {
        let mut client = broker.client("a").await;
        let filter = match filter {
            "" => String::new(),
            filter => broker.topic(filter),
        };
        let bytes = packet::subscribe(broker.version, 1, &[(&filter, 0)], &Vec::new());
        client.send(&bytes).await;
        match client.next().await {
            None | Some(Packet::Disconnect { .. }) => {}
            Some(Packet::Subscribed { reasons, .. }) if reasons[0] >= 0x80 => {}
            Some(Packet::Subscribed { .. }) => granted.push(filter),
            other => panic!("{other:?} to `{filter}`"),
        }
    }
    assert!(granted.is_empty(), "granted: {granted:?}");
    broker.serves().await;
}

async fn subscribing_again_replaces_the_quality(broker: &Broker) {
    let topic = broker.topic("a");
    let (mut client, mut publisher) = (broker.client("a").await, broker.client("p").await);
    for qos in [2, 0, 1] {
        assert_eq!(client.subscribe(&topic, qos).await, qos);
        publisher.publish(&topic, "x", 2).await;
        publisher.publish(&topic, "end", 2).await;
        let before = client.until("end").await;
        assert_eq!(before.len(), 1, "one subscription");
        assert_eq!(before[0].qos, qos);
    }
}

/// Once at the highest, or once for each.
async fn overlapping_subscriptions_deliver_at_the_highest_quality(broker: &Broker) {
    let topic = broker.topic("o/a");
    let mut client = broker.client("a").await;
    let filters = [(broker.topic("o/#"), 2), (broker.topic("o/+"), 1)];
    for (filter, qos) in &filters {
        assert_eq!(client.subscribe(filter, *qos).await, *qos);
    }
    let mut publisher = broker.client("p").await;
    publisher.publish(&topic, "x", 2).await;
    let end = broker.topic("end");
    client.subscribe(&end, 1).await;
    publisher.publish(&end, "end", 1).await;
    let before = client.until("end").await;
    let mut qualities: Vec<_> = before.iter().map(|message| message.qos).collect();
    qualities.sort_unstable();
    assert!(matches!(qualities[..], [2] | [1, 2]), "{qualities:?}");
}

async fn unsubscribing_ends_delivery(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let mut client = broker.client("a").await;
    client.subscribe_all(&[(&topic, 1), (&end, 1)]).await;
    client.publish(&topic, "before", 1).await;
    client.unsubscribe(&[&topic]).await;
    client.publish(&topic, "after", 1).await;
    client.publish(&end, "end", 1).await;
    let before = client.until("end").await;
    let texts: Vec<_> = before.iter().map(Publish::text).collect();
    assert_eq!(texts, ["before"]);
}

async fn unsubscribing_an_unknown_filter_is_answered(broker: &Broker) {
    let mut client = broker.client("a").await;
    client.unsubscribe(&[&broker.topic("unknown/+/#")]).await;
    client.ping().await;
}

async fn unsubscribing_two_filters_is_answered_once(broker: &Broker) {
    let mut client = broker.client("a").await;
    let (one, two) = (broker.topic("1"), broker.topic("2"));
    client.subscribe_all(&[(&one, 1), (&two, 1)]).await;
    let reasons = client.unsubscribe(&[&one, &two]).await;
    let expected = if broker.version == Version::V5 { 2 } else { 0 };
    assert_eq!(reasons.len(), expected);
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn a_subscription_ends_with_a_clean_session(broker: &Broker) {
    let topic = broker.topic("a");
    broker.subscriber("a", &topic, 1).await.disconnect().await;
    let mut client = broker.client("a").await;
    client.publish(&topic, "x", 1).await;
    client.send(&packet::PING).await;
    assert_eq!(client.next().await, Some(Packet::Pong));
}

async fn no_local_spares_a_client_its_own_messages(broker: &Broker) {
    const NO_LOCAL: u8 = 1 << 2;

    let topic = broker.topic("a");
    let (mut client, mut other) = (broker.client("a").await, broker.client("b").await);
    client.subscribe(&topic, NO_LOCAL | 1).await;
    other.subscribe(&topic, 1).await;
    client.publish(&topic, "own", 1).await;
    other.publish(&topic, "end", 1).await;
    assert!(client.until("end").await.is_empty());
    assert_eq!(other.until("end").await.len(), 1);
}

fn id(number: u32) -> Vec<(u8, Value)> {
    vec![(property::SUBSCRIPTION_ID, Value::Variable(number))]
}

fn ids(message: &Publish) -> Vec<u32> {
    let values = all(&message.properties, property::SUBSCRIPTION_ID);
    values.into_iter().map(Value::number).collect()
}

async fn a_subscription_identifier_comes_with_its_messages(broker: &Broker) {
    let mut client = broker.client("a").await;
    let topics = [1, 268_435_455].map(|number| (number, broker.topic(&number.to_string())));
    for (number, topic) in &topics {
        client.subscribe_with(&[(topic, 1)], &id(*number)).await;
    }
    let none = broker.topic("none");
    client.subscribe(&none, 1).await;
    for (number, topic) in &topics {
        client.publish(topic, "x", 1).await;
        assert_eq!(ids(&client.message().await), [*number]);
    }
    client.publish(&none, "x", 1).await;
    assert!(ids(&client.message().await).is_empty());
}

async fn overlapping_subscriptions_bring_all_identifiers(broker: &Broker) {
    let (topic, end) = (broker.topic("o/a"), broker.topic("end"));
    let mut client = broker.client("a").await;
    client
        .subscribe_with(&[(&broker.topic("o/#"), 1)], &id(3))
        .await;
    client
        .subscribe_with(&[(&broker.topic("o/+"), 1)], &id(4))
        .await;
    client.subscribe(&end, 1).await;
    client.publish(&topic, "x", 1).await;
    client.publish(&end, "end", 1).await;
    let before = client.until("end").await;
    let mut seen: Vec<_> = before.iter().flat_map(ids).collect();
    seen.sort_unstable();
    assert_eq!(seen, [3, 4], "in one message or in two");
}

async fn a_subscription_identifier_can_be_replaced(broker: &Broker) {
    let (topic, mut client) = (broker.topic("a"), broker.client("a").await);
    for number in [5, 6] {
        client.subscribe_with(&[(&topic, 1)], &id(number)).await;
        client.publish(&topic, "x", 1).await;
        assert_eq!(ids(&client.message().await), [number]);
    }
}

async fn unsubscribing_says_whether_there_was_a_subscription(broker: &Broker) {
    let (topic, mut client) = (broker.topic("a"), broker.client("a").await);
    client.subscribe(&topic, 1).await;
    let unknown = broker.topic("unknown");
    let reasons = client.unsubscribe(&[&topic, &unknown, &topic]).await;
    assert_eq!(reasons, [0, 0x11, 0x11]);
}
