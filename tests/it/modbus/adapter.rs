//! A host that runs the shipped Modbus adapter, and nothing else.

use std::path::Path;

use selvedge::bus::Message;
use serde_json::Value as Json;

use crate::gateway::Gateway;

/// The adapter, running.
pub(super) struct Adapter {
    gateway: Gateway,
    commands: u32,
}

/// A SenML record.
#[derive(Debug)]
pub(super) struct Record(Json);

impl Adapter {
    /// The adapter, allowed to reach `addresses`, with `devices`: TOML in which
    /// `[[devices]]` stands for the part of its configuration.
    pub(super) async fn start(addresses: &[&str], devices: &str) -> Self {
        let text = deployment(addresses, devices);
        let filters = ["telemetry/#", "reply/#"];
        Self {
            gateway: Gateway::start(Path::new("adapter.toml"), &text, &filters).await,
            commands: 0,
        }
    }

    /// The next pack of any device, and whose it is.
    pub(super) async fn pack(&mut self) -> (String, Vec<Record>) {
        loop {
            let message = self.gateway.message().await;
            if let Some(device) = message.topic.as_str().strip_prefix("telemetry/hall/") {
                let content = message.content_type.as_deref();
                assert_eq!(content, Some("application/senml+json"));
                let pack: Vec<Json> = serde_json::from_slice(&message.payload).unwrap();
                return (device.to_owned(), pack.into_iter().map(Record).collect());
            }
        }
    }

    /// Asks for a write of `point` of device `d`; the answer.
    pub(super) async fn command(&mut self, point: &str, payload: &str) -> Json {
        self.commands += 1;
        let reply_to = format!("reply/test/{}", self.commands);
        let topic = format!("command/hall/d/{point}").parse().unwrap();
        let mut command = Message::new(topic, payload.to_owned());
        command.reply_to = Some(reply_to.parse().unwrap());
        command.correlation = Some(self.commands.to_be_bytes().to_vec().into());
        let correlation = command.correlation.clone();
        self.gateway.publish(command);
        loop {
            let message = self.gateway.message().await;
            if message.topic.as_str() == reply_to {
                assert_eq!(message.correlation, correlation);
                return serde_json::from_slice(&message.payload).unwrap();
            }
        }
    }

    /// Stops it in order. It has run without interruption all the time.
    pub(super) async fn stop(self) {
        let expected =
            ["starting", "running", "stopped"].map(|state| format!("plugin/modbus {state}"));
        assert_eq!(self.gateway.stop().await, expected);
    }
}

impl Record {
    pub(super) fn name(&self) -> &str {
        self.0["n"].as_str().unwrap()
    }

    /// The value: a number, a truth value, or text; null if there is none.
    pub(super) fn value(&self) -> &Json {
        let fields = ["v", "vb", "vs"].map(|field| &self.0[field]);
        let found = fields.into_iter().find(|value| !value.is_null());
        found.unwrap_or(&Json::Null)
    }

    pub(super) fn unit(&self) -> Option<&str> {
        self.0["u"].as_str()
    }

    /// `good`, `uncertain` or `bad`, and why.
    pub(super) fn quality(&self) -> (&str, &str) {
        let quality = self.0["q"].as_str().unwrap_or("good");
        (quality, self.0["why"].as_str().unwrap_or_default())
    }
}

fn deployment(addresses: &[&str], devices: &str) -> String {
    let devices = devices.replace("[[devices]]", "[[plugins.modbus.config.devices]]");
    format!(
        r#"
        name = "adapter"
        version = "1.0.0"

        [plugins.modbus]
        component = "shipped:modbus"

        [plugins.modbus.grants]
        publish = ["telemetry/hall/+", "reply/#"]
        subscribe = ["command/hall/+/+"]
        tcp = {addresses:?}

        {devices}
        "#
    )
}
