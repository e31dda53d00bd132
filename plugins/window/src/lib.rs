//! Turns readings into features: one message for each device and hop.
//!
//! Subscribes `telemetry/<site>/<device>` (SenML) and publishes
//! `feature/<site>/<device>` (JSON, see [`Features`]). All that decides what a
//! feature is lies in [`Windows`], which runs natively too: whoever trains a
//! model computes the very same numbers. This file only joins it to the bus.

mod config;
mod feature;
mod normalise;
mod points;
mod saved;
mod spectrum;
mod windows;

pub use config::{
    Config, ConfigError, Correlation, Derived, Feature, Formula, Normalise, Resample, Residual,
    Series,
};
pub use windows::{Device, Dropped, Features, Windows};

use selvedge_plugin::{
    Error, Lifecycle, Message, Outbox, Stateful, Subscriber, export, log, publish_all, senml,
};

/// Messages kept while the bus is busy; one more displaces the oldest.
const OUTBOX_MAX: usize = 1_024;

/// The plugin.
#[derive(Debug)]
pub struct WindowPlugin {
    windows: Windows,
    topic: String,
    ahead_seconds_max: f64,
    outbox: Outbox,
    reported: Dropped,
}

impl Lifecycle for WindowPlugin {
    fn init(config: &selvedge_plugin::Config) -> Result<Self, String> {
        let config: Config = config.parse()?;
        Ok(Self {
            topic: config.topic.clone(),
            ahead_seconds_max: f64::from(config.ahead_ms_max) / 1e3,
            windows: Windows::new(config).map_err(|error| error.to_string())?,
            outbox: Outbox::new(OUTBOX_MAX),
            reported: Dropped::default(),
        })
    }
}

impl Subscriber for WindowPlugin {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        for features in self.features_of(message)? {
            self.outbox.push(to_message(&self.topic, &features)?);
        }
        self.report();
        self.outbox.flush(publish_all)
    }
}

impl Stateful for WindowPlugin {
    const SCHEMA: u32 = saved::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        saved::write(&self.windows, &self.outbox)
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let bounds = (self.topic.as_str(), OUTBOX_MAX);
        Ok(saved::read(
            state,
            &mut self.windows,
            &mut self.outbox,
            bounds,
        )?)
    }
}

impl WindowPlugin {
    fn features_of(&mut self, message: &Message) -> Result<Vec<Features>, Error> {
        let device = Device::from_topic(&message.topic)
            .ok_or_else(|| Error::reject("the topic is not <prefix>/<site>/<device>"))?;
        let mut records = senml::read(message)?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
        let latest = (message.published_at / 1_000) as f64 / 1e6 + self.ahead_seconds_max;
        // A single time far ahead would make everything after it late.
        records.retain(|record| record.time <= latest);
        Ok(self.windows.push(&device, &records))
    }

    /// Says what was left out, each time it has doubled.
    fn report(&mut self) {
        let dropped = self.windows.dropped();
        let (now, then) = (total(&dropped), total(&self.reported));
        if now > then.saturating_mul(2) {
            self.reported = dropped;
            log::warn(format!("left out so far: {dropped:?}"));
        }
    }
}

fn total(dropped: &Dropped) -> u64 {
    dropped.late + dropped.displaced + dropped.windows + dropped.devices + dropped.timeless
}

/// The message that carries `features`.
///
/// # Errors
/// They cannot be written as JSON.
pub fn to_message(topic: &str, features: &Features) -> Result<Message, serde_json::Error> {
    let topic = format!("{topic}/{}/{}", features.site, features.device);
    let payload = serde_json::to_vec(features)?;
    Ok(Message::new(topic, payload).with_content_type("application/json"))
}

export!(WindowPlugin: Lifecycle, Subscriber, Stateful);

#[cfg(test)]
mod tests {
    use super::*;

    /// The detector's tests read this very text.
    #[test]
    fn features_are_published_as_json_on_the_devices_topic() {
        let features = Features {
            device: "p1".to_owned(),
            site: "hall".to_owned(),
            start: 1000.0,
            end: 1003.5,
            names: vec!["t.mean".to_owned(), "t.slope".to_owned()],
            values: vec![Some(1.5), None],
            quality: 0.25,
        };
        let message = to_message("feature", &features).unwrap();
        assert_eq!(message.topic, "feature/hall/p1");
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        let expected = r#"{"device":"p1","site":"hall","start":1000.0,"end":1003.5,"names":["t.mean","t.slope"],"values":[1.5,null],"quality":0.25}"#;
        assert_eq!(message.text(), Some(expected));
    }

    #[test]
    fn messages_that_cannot_be_read_are_rejected_and_records_from_the_future_dropped() {
        let config = r#"{"step_ms":1000,"length":2,"hop":1,"max_gap_ms":2000,"ahead_ms_max":1000,
            "series":[{"record":"t","features":["mean"]}]}"#;
        let mut plugin =
            WindowPlugin::init(&selvedge_plugin::Config::from_json(config).unwrap()).unwrap();
        let reject = |plugin: &mut WindowPlugin, topic: &str, payload: &str| {
            let error = plugin
                .features_of(&Message::new(topic, payload))
                .unwrap_err();
            assert!(matches!(error, Error::Reject(_)), "{error}");
        };
        reject(&mut plugin, "telemetry/hall", "[]");
        reject(&mut plugin, "telemetry/hall/p1", "{");

        let pack = r#"[{"n":"t","t":1.7e9,"v":1},{"n":"t","t":1.8e9,"v":9},{"n":"t","t":1700000001,"v":3}]"#;
        let mut message = Message::new("telemetry/hall/p1", pack);
        message.published_at = 1_700_000_000_000_000_000;
        let features = plugin.features_of(&message).unwrap();
        assert_eq!(features.len(), 1);
        assert_eq!(features[0].values, [Some(2.0)]);
    }

    /// Two series every 5 s, on a grid of 1 s. A model is trained on windows
    /// without a missing point, so one would be an anomaly.
    #[test]
    fn no_series_is_missing_whose_records_are_in_the_message_or_right_behind_it() {
        let config = r#"{"step_ms":1000,"length":12,"hop":4,"max_gap_ms":10000,
            "series":[{"record":"a","features":["missing"]},{"record":"b","features":["missing"]}]}"#;
        let config = selvedge_plugin::Config::from_json(config).unwrap();
        let windows_of = |packs: &dyn Fn(u32) -> Vec<String>| {
            let mut plugin = WindowPlugin::init(&config).unwrap();
            let payloads = (0..12).flat_map(|number| packs(1_700_000_000 + 5 * number));
            let windows: Vec<Features> = payloads
                .flat_map(|payload| {
                    let mut message = Message::new("telemetry/hall/p1", payload);
                    message.published_at = 1_700_000_060_000_000_000;
                    plugin.features_of(&message).unwrap()
                })
                .collect();
            assert_eq!(windows.len(), 12);
            for window in &windows {
                assert_eq!(window.values, [Some(0.0); 2], "from {}", window.start);
                assert_eq!(window.quality, 1.0);
            }
            windows
        };
        let whole = windows_of(&|time| {
            vec![format!(
                r#"[{{"bt":{time},"n":"a","v":1}},{{"n":"b","v":2}}]"#
            )]
        });
        let turned = windows_of(&|time| {
            vec![format!(
                r#"[{{"bt":{time},"n":"b","v":2}},{{"n":"a","v":1}}]"#
            )]
        });
        let split = windows_of(&|time| {
            let pack =
                |name: &str, value: u8| format!(r#"[{{"n":"{name}","t":{time},"v":{value}}}]"#);
            vec![pack("a", 1), pack("b", 2)]
        });
        assert_eq!((&turned, &split), (&whole, &whole));
    }
}
