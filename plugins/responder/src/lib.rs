//! Acts on anomalies by rules: commands with confirmation, notices, an audit.
//!
//! Subscribes `anomaly/<site>/<device>` (JSON of the detector),
//! `ack/<site>/<device>` (an operator has seen it) and its own reply topic.
//! All that decides lies in [`Responder`]; this file joins it to the bus and
//! the clock. While the bus is busy its messages wait and go out at a later
//! tick: an anomaly is not handled twice because of it.

mod anomaly;
mod audit;
mod config;
mod pending;
mod responder;
mod saved;
mod template;

pub use anomaly::{Anomaly, AnomalyError, AnomalyState};
pub use audit::{Decision, Entry};
pub use config::{Action, Config, ConfigError, Rule};
pub use responder::{Now, Responder};
pub use template::{LevelError, TemplateError};

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use selvedge_plugin::{
    Error, Lifecycle, Message, Outbox, Stateful, Subscriber, Ticker, export, log, publish_all,
};

/// Messages kept while the bus is busy; one more displaces the oldest.
const OUTBOX_MAX: usize = 4_096;

/// The plugin.
#[derive(Debug)]
pub struct ResponderPlugin {
    responder: Responder,
    started: Instant,
    /// What its clock showed when it started: a predecessor's time goes on.
    started_ms: u64,
    outbox: Outbox,
}

impl Lifecycle for ResponderPlugin {
    fn init(config: &selvedge_plugin::Config) -> Result<Self, String> {
        let config: Config = config.parse()?;
        let responder = Responder::new(config, unix_ms()).map_err(|error| error.to_string())?;
        Ok(Self {
            responder,
            started: Instant::now(),
            started_ms: 0,
            outbox: Outbox::new(OUTBOX_MAX),
        })
    }
}

impl Subscriber for ResponderPlugin {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let messages = self.messages_for(message)?;
        self.send(messages)
    }
}

impl Ticker for ResponderPlugin {
    fn tick(&mut self) -> Result<Option<u32>, String> {
        let messages = self.responder.tick(self.now());
        if let Err(error) = self.send(messages) {
            log::error(error.to_string());
        }
        Ok(Some(self.responder.tick_ms()))
    }
}

impl Stateful for ResponderPlugin {
    const SCHEMA: u32 = saved::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        saved::write(&self.responder, &self.outbox, self.now())
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (responder, outbox) = (&mut self.responder, &mut self.outbox);
        self.started_ms = saved::read(state, responder, outbox, (unix_ms(), OUTBOX_MAX))?;
        self.started = Instant::now();
        Ok(())
    }
}

impl ResponderPlugin {
    fn messages_for(&mut self, message: &Message) -> Result<Vec<Message>, Error> {
        let now = self.now();
        if message.topic == self.responder.reply_to() {
            let correlation = message.correlation.as_deref().unwrap_or_default();
            let messages = self.responder.reply(now, correlation, &message.payload);
            // The answer to an abandoned command is nobody's fault.
            return Ok(messages.unwrap_or_default());
        }
        if message.topic.starts_with("ack/") {
            let place = anomaly::place_of(&message.topic)
                .ok_or_else(|| Error::reject("the topic is not ack/<site>/<device>"))?;
            return Ok(self.responder.acknowledge(now, place, &message.payload));
        }
        let anomaly: Anomaly = serde_json::from_slice(&message.payload)?;
        anomaly.check(&message.topic).map_err(Error::reject)?;
        Ok(self.responder.anomaly(now, &anomaly))
    }

    /// Hands messages to the bus; what it cannot take now goes with a later tick.
    fn send(&mut self, messages: Vec<Message>) -> Result<(), Error> {
        for message in messages {
            self.outbox.push(message);
        }
        match self.outbox.flush(publish_all) {
            Err(Error::Retry(_)) => Ok(()),
            outcome => outcome,
        }
    }

    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_millis();
        let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Now {
            monotonic_ms: self.started_ms.saturating_add(elapsed_ms),
            unix_ms: unix_ms(),
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

export!(ResponderPlugin: Lifecycle, Subscriber, Ticker, Stateful);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anomalies_of_the_detector_are_read() {
        // What it publishes, to the letter.
        let text = r#"{"site":"hall","device":"p1","state":"raised","kind":"worn","score":3.0,"threshold":2.0,"since":999.5,"window":[1000.0,1003.5],"top_features":[{"name":"t.mean","z":4.5}]}"#;
        let anomaly: Anomaly = serde_json::from_str(text).unwrap();
        assert_eq!(anomaly.check("anomaly/hall/p1"), Ok(()));
        assert_eq!(
            (anomaly.state, anomaly.score),
            (AnomalyState::Raised, Some(3.0))
        );
    }

    #[test]
    fn each_topic_finds_its_way() {
        let config = r#"{"rules":[{"name":"tell","actions":[{"notify":{"text":"{kind}"}}]}]}"#;
        let config = selvedge_plugin::Config::from_json(config).unwrap();
        let mut plugin = ResponderPlugin::init(&config).unwrap();
        let mut topics = |topic: &str, payload: &str| {
            let messages = plugin.messages_for(&Message::new(topic, payload));
            let topics = |messages: Vec<Message>| {
                let topics = messages.into_iter().map(|message| message.topic);
                topics.collect::<Vec<_>>()
            };
            messages
                .map(topics)
                .map_err(|error| matches!(error, Error::Reject(_)))
        };
        let anomaly = r#"{"site":"h","device":"p","state":"raised","kind":"k","score":1,"threshold":null,"since":0}"#;
        let both = ["notice/h/p".to_owned(), "audit/h/p".to_owned()];
        assert_eq!(topics("anomaly/h/p", anomaly), Ok(both.to_vec()));
        assert_eq!(topics("ack/h/p", ""), Ok(vec!["audit/h/p".to_owned()]));
        assert_eq!(topics("reply/responder", "late"), Ok(vec![]));
        assert_eq!(topics("ack/h", ""), Err(true));
        assert_eq!(topics("anomaly/h/q", anomaly), Err(true));
        assert_eq!(topics("anomaly/h/p", "{}"), Err(true));
    }
}
