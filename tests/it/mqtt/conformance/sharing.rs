//! Groups of subscribers, of which one gets each message.

use super::{Broker, cases};
use crate::mqtt::raw::{Client, Packet, Publish, packet};

cases! {
    both: [
        one_of_a_group_gets_each_message,
        a_group_gets_messages_beside_ordinary_subscribers,
        every_group_gets_each_message,
        a_group_gets_no_retained_messages_when_it_subscribes,
        a_member_that_leaves_gets_nothing,
        a_kept_member_that_leaves_with_unacknowledged_messages_loses_nothing,
        a_faulty_group_is_refused,
    ]
    v5: [
        no_local_is_refused_for_a_group,
    ]
}

/// How many messages are shared out.
const SHARED: u32 = 40;

/// Everything that has come, when each of `clients` has seen the end.
async fn drain(clients: &mut [Client]) -> Vec<Vec<Publish>> {
    let mut all = Vec::new();
    for client in clients {
        all.push(client.until("end").await);
    }
    all
}

fn numbers(messages: &[Publish]) -> Vec<u32> {
    let numbers = messages.iter().map(|message| message.text().parse());
    numbers.map(Result::unwrap).collect()
}

async fn one_of_a_group_gets_each_message(broker: &Broker) {
    let end = broker.topic("end");
    let mut publisher = broker.client("p").await;
    for qos in 0..=2 {
        let topic = broker.topic(&qos.to_string());
        let filter = format!("$share/group/{topic}");
        let mut members = Vec::new();
        for member in 0..3 {
            let name = format!("m{member}");
            let mut client = broker.subscriber(&name, &filter, qos).await;
            client.subscribe(&end, 1).await;
            members.push(client);
        }
        for number in 0..SHARED {
            publisher.publish(&topic, &number.to_string(), qos).await;
        }
        publisher.publish(&end, "end", 1).await;
        let drained = drain(&mut members).await;
        for messages in &drained {
            assert!(messages.iter().all(|message| message.qos == qos));
            assert!(messages.iter().all(|message| message.topic == topic));
            assert!(numbers(messages).is_sorted());
        }
        let mut all: Vec<_> = drained
            .iter()
            .flat_map(|messages| numbers(messages))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..SHARED).collect::<Vec<_>>(), "QoS {qos}");
        let busy = drained.iter().filter(|messages| !messages.is_empty());
        assert!(busy.count() > 1, "one member did all the work");
        for member in members {
            member.disconnect().await;
        }
    }
}

async fn a_group_gets_messages_beside_ordinary_subscribers(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let mut ordinary = broker.subscriber("o", &topic, 1).await;
    let mut member = broker
        .subscriber("m", &format!("$share/g/{topic}"), 1)
        .await;
    for client in [&mut ordinary, &mut member] {
        client.subscribe(&end, 1).await;
    }
    for number in 0..5 {
        ordinary.publish(&topic, &number.to_string(), 1).await;
    }
    ordinary.publish(&end, "end", 1).await;
    for messages in drain(&mut [ordinary, member]).await {
        assert_eq!(numbers(&messages), [0, 1, 2, 3, 4]);
    }
}

async fn every_group_gets_each_message(broker: &Broker) {
    let (topic, end) = (broker.topic("a/b"), broker.topic("end"));
    let filters = [broker.topic("a/+"), broker.topic("a/#")];
    let mut members = Vec::new();
    for (group, filter) in [
        ("g1", &filters[0]),
        ("g2", &filters[0]),
        ("g1", &filters[1]),
    ] {
        let name = members.len().to_string();
        let filter = format!("$share/{group}/{filter}");
        let mut client = broker.subscriber(&name, &filter, 1).await;
        client.subscribe(&end, 1).await;
        members.push(client);
    }
    let mut publisher = broker.client("p").await;
    for number in 0..5 {
        publisher.publish(&topic, &number.to_string(), 1).await;
    }
    publisher.publish(&end, "end", 1).await;
    for messages in drain(&mut members).await {
        assert_eq!(numbers(&messages), [0, 1, 2, 3, 4]);
    }
}

async fn a_group_gets_no_retained_messages_when_it_subscribes(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let mut publisher = broker.client("p").await;
    let publish = Publish::new(&topic, "kept", 1).with(|publish| publish.retain = true);
    publisher.publish_this(publish).await;
    let mut member = broker
        .subscriber("m", &format!("$share/g/{topic}"), 1)
        .await;
    member.subscribe(&end, 1).await;
    publisher.publish(&end, "end", 1).await;
    assert!(member.until("end").await.is_empty());
}

async fn a_member_that_leaves_gets_nothing(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let filter = format!("$share/g/{topic}");
    let mut stays = broker.subscriber("stays", &filter, 1).await;
    let mut leaves = broker.subscriber("leaves", &filter, 1).await;
    let gone = broker.subscriber("gone", &filter, 1).await;
    for client in [&mut stays, &mut leaves] {
        client.subscribe(&end, 1).await;
    }
    let reasons = leaves.unsubscribe(&[&filter]).await;
    assert!(reasons.iter().all(|reason| *reason == 0), "{reasons:?}");
    gone.disconnect().await;
    let mut publisher = broker.client("p").await;
    for number in 0..10 {
        publisher.publish(&topic, &number.to_string(), 1).await;
    }
    publisher.publish(&end, "end", 1).await;
    let drained = drain(&mut [stays, leaves]).await;
    assert_eq!(numbers(&drained[0]), (0..10).collect::<Vec<_>>());
    assert!(drained[1].is_empty());
}

/// To another member, or to itself when it is back.
async fn a_kept_member_that_leaves_with_unacknowledged_messages_loses_nothing(broker: &Broker) {
    let (topic, end) = (broker.topic("a"), broker.topic("end"));
    let filter = format!("$share/g/{topic}");
    let mut leaves = broker.kept("leaves").await;
    leaves.subscribe(&filter, 1).await;
    let mut publisher = broker.client("p").await;
    for number in 0..3 {
        publisher.publish(&topic, &number.to_string(), 1).await;
        leaves.unacknowledged().await;
    }
    leaves.disconnect().await;
    let mut stays = broker.subscriber("stays", &filter, 1).await;
    stays.subscribe(&end, 1).await;
    for number in 3..10 {
        publisher.publish(&topic, &number.to_string(), 1).await;
    }
    broker.serves().await;
    let mut back = broker.kept("leaves").await;
    assert!(back.session_present);
    back.subscribe(&end, 1).await;
    publisher.publish(&end, "end", 1).await;
    let drained = drain(&mut [stays, back]).await;
    let mut all: Vec<_> = drained
        .iter()
        .flat_map(|messages| numbers(messages))
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
}

async fn a_faulty_group_is_refused(broker: &Broker) {
    let topic = broker.topic("a");
    let faulty = [
        format!("$share//{topic}"),
        "$share/g".to_owned(),
        "$share/g/".to_owned(),
        format!("$share/g+/{topic}"),
        format!("$share/#/{topic}"),
        "$share".to_owned(),
        "$share/".to_owned(),
    ];
    let mut granted = Vec::new();
    for filter in faulty {
        let mut client = broker.client("a").await;
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

async fn no_local_is_refused_for_a_group(broker: &Broker) {
    let filter = format!("$share/g/{}", broker.topic("a"));
    let mut client = broker.client("a").await;
    let bytes = packet::subscribe(broker.version, 1, &[(&filter, 1 << 2 | 1)], &Vec::new());
    client.send(&bytes).await;
    let reason = client.closed().await;
    assert!(matches!(reason, None | Some(0x82)), "{reason:?}");
}
