//! What MQTT 5 says about messages beside their payload.

use super::{Broker, cases};
use crate::mqtt::raw::bytes::{all, find, frame, user};
use crate::mqtt::raw::{Client, Connect, Packet, Properties, Publish, Value, Version, property};

cases! {
    v5: [
        properties_arrive_as_they_were_sent,
        user_properties_keep_their_order,
        a_question_is_answered_where_it_asks,
        the_expiry_of_a_message_arrives,
        a_topic_alias_stands_for_its_topic,
        a_topic_alias_can_be_given_another_topic,
        a_topic_alias_ends_with_its_connection,
        faulty_topic_aliases_end_the_connection,
        aliases_of_the_broker_are_those_that_the_client_allowed,
        a_message_too_large_for_a_client_is_not_sent_to_it,
        faulty_publish_properties_are_refused,
        an_older_client_gets_messages_without_their_properties,
    ]
}

/// One of each that a message can have, and user properties.
pub(super) fn plenty(answer: &str) -> Properties {
    vec![
        (property::PAYLOAD_FORMAT, Value::Byte(1)),
        (
            property::CONTENT_TYPE,
            Value::Text("text/plain; é".to_owned()),
        ),
        (property::RESPONSE_TOPIC, Value::Text(answer.to_owned())),
        (property::CORRELATION_DATA, Value::Bytes(vec![0, 255, 7])),
        user("b", "2"),
        user("a", "1"),
        user("b", ""),
        user("", "empty"),
    ]
}

/// The same properties, whatever the order between unlike ones.
pub(super) fn assert_same(found: &Properties, expected: &Properties) {
    let sorted = |properties: &Properties| {
        let mut sorted = properties.clone();
        sorted.sort_by_key(|(name, _)| *name);
        sorted
    };
    assert_eq!(sorted(found), sorted(expected));
}

/// The one property of this name.
pub(super) fn one(message: &Publish, name: u8) -> &Value {
    let found = find(&message.properties, name);
    found.unwrap_or_else(|| panic!("no {name:#04x} in {message:?}"))
}

async fn properties_arrive_as_they_were_sent(broker: &Broker) {
    let topic = broker.topic("a");
    for qos in 0..=2 {
        let mut client = broker.subscriber("a", &topic, 2).await;
        let publish = Publish::new(&topic, "é", qos);
        let properties = plenty(&broker.topic("answer"));
        let publish = publish.with(|publish| publish.properties = properties.clone());
        client.publish_this(publish).await;
        assert_same(&client.message().await.properties, &properties);
        client.disconnect().await;
    }
}

async fn user_properties_keep_their_order(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.subscriber("a", &topic, 1).await;
    let pairs: Properties = (0..20_u8)
        .map(|number| {
            user(
                ["z", "a", "z"][usize::from(number % 3)],
                &number.to_string(),
            )
        })
        .collect();
    let publish = Publish::new(&topic, "x", 1);
    let publish = publish.with(|publish| publish.properties = pairs.clone());
    client.publish_this(publish).await;
    assert_eq!(client.message().await.properties, pairs);
}

async fn a_question_is_answered_where_it_asks(broker: &Broker) {
    let (question, answer) = (broker.topic("question"), broker.topic("answer"));
    let mut asker = broker.subscriber("asker", &answer, 1).await;
    let mut other = broker.subscriber("other", &question, 1).await;
    let publish = Publish::new(&question, "?", 1).with(|publish| {
        publish.properties = vec![
            (property::RESPONSE_TOPIC, Value::Text(answer.clone())),
            (property::CORRELATION_DATA, Value::Bytes(b"334".to_vec())),
        ];
    });
    asker.publish_this(publish).await;
    let asked = other.message().await;
    let Value::Text(to) = one(&asked, property::RESPONSE_TOPIC) else {
        panic!("{asked:?}");
    };
    let data = one(&asked, property::CORRELATION_DATA).clone();
    let publish = Publish::new(to, "!", 1).with(|publish| {
        publish.properties = vec![(property::CORRELATION_DATA, data)];
    });
    other.publish_this(publish).await;
    let answered = asker.message().await;
    assert_eq!(answered.text(), "!");
    let data = one(&answered, property::CORRELATION_DATA);
    assert_eq!(*data, Value::Bytes(b"334".to_vec()));
}

async fn the_expiry_of_a_message_arrives(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.subscriber("a", &topic, 1).await;
    let publish = Publish::new(&topic, "x", 1).with(|publish| {
        publish.properties = vec![(property::MESSAGE_EXPIRY, Value::Four(600))];
    });
    client.publish_this(publish).await;
    let message = client.message().await;
    let left = one(&message, property::MESSAGE_EXPIRY).number();
    assert!((500..=600).contains(&left), "{left}");
}

/// A message whose topic is an alias, with the topic or without.
fn aliased(topic: &str, alias: u16, payload: &str) -> Publish {
    Publish::new(topic, payload, 1).with(|publish| {
        publish.properties = vec![(property::TOPIC_ALIAS, Value::Two(alias))];
    })
}

fn alias_max(client: &Client) -> u16 {
    let max = find(&client.properties, property::TOPIC_ALIAS_MAX);
    u16::try_from(max.map_or(0, Value::number)).unwrap()
}

async fn a_topic_alias_stands_for_its_topic(broker: &Broker) {
    let topic = broker.topic("a");
    let mut client = broker.subscriber("a", &topic, 1).await;
    let last = alias_max(&client);
    assert!(last >= 1, "this broker takes no aliases");
    for alias in [1, last] {
        client.publish_this(aliased(&topic, alias, "full")).await;
        for _ in 0..3 {
            client.publish_this(aliased("", alias, "short")).await;
        }
        for text in ["full", "short", "short", "short"] {
            let message = client.message().await;
            assert_eq!((message.text(), &message.topic), (text, &topic));
        }
    }
}

async fn a_topic_alias_can_be_given_another_topic(broker: &Broker) {
    let (one, two) = (broker.topic("t/1"), broker.topic("t/2"));
    let mut client = broker.subscriber("a", &broker.topic("t/+"), 1).await;
    for topic in [&one, &two, &one] {
        client.publish_this(aliased(topic, 1, "full")).await;
        client.publish_this(aliased("", 1, "short")).await;
        for _ in 0..2 {
            assert_eq!(client.message().await.topic, *topic);
        }
    }
}

async fn a_topic_alias_ends_with_its_connection(broker: &Broker) {
    let mut client = broker.kept("a").await;
    client
        .publish_this(aliased(&broker.topic("a"), 1, "x"))
        .await;
    client.disconnect().await;
    let mut client = broker.kept("a").await;
    client
        .send(&aliased("", 1, "x").bytes(broker.version))
        .await;
    let reason = client.closed().await;
    assert!(
        matches!(reason, None | Some(0x82 | 0x94 | 0x90)),
        "{reason:?}"
    );
}

async fn faulty_topic_aliases_end_the_connection(broker: &Broker) {
    let max = alias_max(&broker.client("a").await);
    let mut faulty = vec![0];
    faulty.extend(max.checked_add(1));
    for alias in faulty {
        let mut client = broker.client("a").await;
        let publish = aliased(&broker.topic("a"), alias, "x");
        client.send(&publish.bytes(broker.version)).await;
        let reason = client.closed().await;
        let says_so = reason.is_none_or(|reason| [0x81, 0x82, 0x94].contains(&reason));
        assert!(says_so, "{alias}: {reason:?}");
    }
}

async fn aliases_of_the_broker_are_those_that_the_client_allowed(broker: &Broker) {
    let topics = [1, 2, 3].map(|number| broker.topic(&format!("t/{number}")));
    for allowed in [0, 2] {
        let connect = broker.connect("a").with(|connect| {
            connect.properties = vec![(property::TOPIC_ALIAS_MAX, Value::Two(allowed))];
        });
        let mut client = broker.join(&connect).await;
        client.subscribe(&broker.topic("t/#"), 1).await;
        let mut known = std::collections::HashMap::new();
        for topic in topics.iter().cycle().take(9) {
            client.publish(topic, "x", 1).await;
            let message = client.message().await;
            let alias = find(&message.properties, property::TOPIC_ALIAS);
            let Some(alias) = alias.map(Value::number) else {
                assert_eq!(message.topic, *topic);
                continue;
            };
            assert!((1..=u32::from(allowed)).contains(&alias), "alias {alias}");
            if !message.topic.is_empty() {
                known.insert(alias, message.topic);
            }
            assert_eq!(known.get(&alias), Some(topic));
        }
        client.disconnect().await;
    }
}

async fn a_message_too_large_for_a_client_is_not_sent_to_it(broker: &Broker) {
    let topic = broker.topic("a");
    let connect = broker.connect("small").with(|connect| {
        connect.properties = vec![(property::PACKET_BYTES_MAX, Value::Four(200))];
    });
    let mut small = broker.join(&connect).await;
    small.subscribe(&topic, 1).await;
    let mut large = broker.subscriber("large", &topic, 1).await;
    let mut publisher = broker.client("p").await;
    for qos in 0..=1 {
        publisher.publish(&topic, &"x".repeat(250), qos).await;
    }
    publisher.publish(&topic, "end", 1).await;
    assert!(small.until("end").await.is_empty());
    assert_eq!(large.until("end").await.len(), 2);
}

async fn faulty_publish_properties_are_refused(broker: &Broker) {
    let faulty = [
        vec![(property::PAYLOAD_FORMAT, Value::Byte(2))],
        vec![(property::RESPONSE_TOPIC, Value::Text("a/+".to_owned()))],
        vec![(property::RESPONSE_TOPIC, Value::Text("a/#".to_owned()))],
        vec![(property::MESSAGE_EXPIRY, Value::Four(1)); 2],
        vec![(property::SESSION_EXPIRY, Value::Four(1))],
        // A client does not send subscription identifiers.
        vec![(property::SUBSCRIPTION_ID, Value::Variable(1))],
        vec![(0x7F, Value::Byte(1))],
    ];
    let mut tolerated = Vec::new();
    for properties in faulty {
        let publish = Publish::new(&broker.topic("a"), "x", 0);
        let publish = publish.with(|publish| publish.properties = properties.clone());
        if !broker.ends_at(&publish.bytes(broker.version)).await {
            tolerated.push(properties);
        }
    }
    assert!(tolerated.is_empty(), "tolerated: {tolerated:?}");
    // Properties that are longer than the packet.
    assert!(broker.ends_at(&frame(0x30, &[0, 1, b'a', 5, 1, 1])).await);
    broker.serves().await;
}

async fn an_older_client_gets_messages_without_their_properties(broker: &Broker) {
    let topic = broker.topic("a");
    let connect = Connect::new(Version::V4, &broker.id("old"));
    let mut old = broker.join(&connect).await;
    old.subscribe(&topic, 2).await;
    let mut new = broker.client("new").await;
    for qos in 0..=2 {
        let publish = Publish::new(&topic, "x", qos);
        let properties = plenty(&broker.topic("answer"));
        let publish = publish.with(|publish| publish.properties = properties);
        new.publish_this(publish).await;
        let message = old
            .next_that(|packet| match packet {
                Packet::Publish(publish) => Some(publish.clone()),
                _ => None,
            })
            .await;
        old.acknowledge(&message).await;
        assert_eq!((message.text(), message.qos), ("x", qos));
        assert!(all(&message.properties, property::USER).is_empty());
    }
}
