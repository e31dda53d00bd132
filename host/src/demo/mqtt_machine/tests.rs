use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Gateway, MqttMachine};
use crate::bus::{Inbox, InboxLimits, Message};
use crate::demo::stand_in::StandIn;
use crate::demo::{Device, Machine};
use crate::spec::Overflow;

const DEADLINE: Duration = Duration::from_secs(30);

const LIMITS: InboxLimits = InboxLimits {
    messages_max: 1_000,
    bytes_max: 1 << 20,
    overflow: Overflow::DropOldest,
    answers: false,
};

/// A broker on a bus, and a machine that may use it.
struct World {
    broker: StandIn,
    machine: MqttMachine,
    gateway: Gateway,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let topics: [&[&str]; 2] = [
            &["telemetry/plant/pump-2", "reply/here"],
            &["command/plant/pump-2/+"],
        ];
        let name = "pump-2".parse().unwrap();
        let (broker, shown) = StandIn::start(folder.path(), &name, topics).unwrap();
        let machine = Machine::new(Device::Pump2.kind(), 1);
        Self {
            gateway: Gateway {
                address: broker.address(),
                tls: shown.tls().unwrap(),
            },
            broker,
            machine: MqttMachine::new(Device::Pump2, machine),
            _folder: folder,
        }
    }

    fn listen(&self, filter: &str) -> Inbox {
        let filter = filter.parse().unwrap();
        self.broker.party().subscribe(&[filter], LIMITS).unwrap()
    }

    /// Runs `test` while the machine is served.
    async fn serve(&self, test: impl AsyncFnOnce()) {
        let stop = CancellationToken::new();
        let serving = self.machine.serve(&self.gateway, stop.clone());
        let testing = async {
            test().await;
            stop.cancel();
        };
        timeout(DEADLINE, async { tokio::join!(serving, testing) })
            .await
            .expect("the machine is heard of, and stops");
        self.broker.shut_down().await;
    }
}

async fn next(inbox: &mut Inbox) -> Arc<Message> {
    let mut batch = Vec::new();
    inbox.receive(1, &mut batch).await;
    batch.remove(0)
}

/// The names in the next pack of readings.
async fn names(inbox: &mut Inbox) -> Vec<String> {
    let message = next(inbox).await;
    let content_type = message.content_type.as_deref();
    assert_eq!(content_type, Some("application/senml+json"));
    let pack: Vec<Json> = serde_json::from_slice(&message.payload).unwrap();
    let name = |record: &Json| {
        assert!(record["v"].is_f64() && record["u"].is_string(), "{record}");
        assert!(record["t"].as_f64().unwrap() > 1.7e9, "{record}");
        record["n"].as_str().unwrap().to_owned()
    };
    pack.iter().map(name).collect()
}

#[tokio::test]
async fn it_tells_its_readings_and_obeys_and_answers_commands() {
    let world = World::new();
    let mut readings = world.listen("telemetry/#");
    let mut replies = world.listen("reply/#");
    world
        .serve(async || {
            let points = Device::Pump2.kind().points();
            let expected: Vec<_> = points.iter().map(|point| point.name).collect();
            let mut seen = Vec::new();
            while seen.len() < 12 {
                seen.push(names(&mut readings).await);
            }
            assert!(seen.contains(&vec!["speed_setpoint".to_owned()]));
            assert!(seen.iter().filter(|names| **names == expected).count() > 8);

            for (value, ok) in [(1500, true), (9000, false)] {
                let payload = format!(r#"{{"value":{value}}}"#);
                let topic = "command/plant/pump-2/speed_setpoint".parse().unwrap();
                let mut command = Message::new(topic, payload);
                command.reply_to = Some("reply/here".parse().unwrap());
                command.correlation = Some(Bytes::from_static(b"it"));
                world.broker.party().publish(command).unwrap();
                let reply = next(&mut replies).await;
                assert_eq!(reply.correlation.as_deref(), Some(&b"it"[..]));
                let reply: Json = serde_json::from_slice(&reply.payload).unwrap();
                assert_eq!(reply["ok"], ok, "{reply}");
            }
            let speed = world.machine.machine.lock().now().registers().setpoint(0);
            assert_eq!(speed, 1500.0);
        })
        .await;
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let world = World::new();
    let mut readings = world.listen("telemetry/#");
    world
        .serve(async || {
            for _ in 0..3 {
                names(&mut readings).await;
                let device = "pump-2".parse().unwrap();
                assert_eq!(world.broker.broker().disconnect(&device), 1);
                while readings.try_receive(64, &mut Vec::new()) > 0 {}
            }
            names(&mut readings).await;
        })
        .await;
}
