//! Says when a device is not healthy: features in, a model's score, anomalies out.
//!
//! Subscribes `feature/<site>/<device>` (JSON of the window plugin), publishes
//! `anomaly/<site>/<device>` (JSON, kept) when something changes and
//! `score/<site>/<device>` (SenML) for each window. All that decides what is an
//! anomaly lies in [`Detector`]; this file joins it to the bus, to the model
//! and to the bucket in which learned thresholds are kept.

mod config;
mod detector;
mod features;
mod fit;
mod hysteresis;
mod saved;
mod score;
mod threshold;

pub use config::{Check, Config, ConfigError, FeatureSpec, Kinds, Score, Threshold};
pub use detector::{Anomaly, AnomalyState, Detector, JudgeError, Outcome};
pub use features::{Deviation, Features, FeaturesError};
pub use score::{OutputError, Outputs};

use selvedge_plugin::kv::Bucket;
use selvedge_plugin::models;
use selvedge_plugin::nn::{Model, NnError};
use selvedge_plugin::senml::{self, Quality, Record, Value};
use selvedge_plugin::{
    Error, Lifecycle, Message, Outbox, Stateful, Subscriber, export, log, publish_all,
};

/// Messages kept while the bus is busy; one more displaces the oldest.
const OUTBOX_MAX: usize = 1_024;

/// The plugin.
#[derive(Debug)]
pub struct DetectorPlugin {
    detector: Detector,
    model: Model,
    input: String,
    bucket: Option<Bucket>,
    outbox: Outbox,
}

impl Lifecycle for DetectorPlugin {
    fn init(config: &selvedge_plugin::Config) -> Result<Self, String> {
        let mut config: Config = config.parse()?;
        let description = models::describe(&config.model).map_err(|error| error.to_string())?;
        let input = fit::input(&config, &description)
            .map_err(|error| format!("the model `{}` does not fit: {error}", config.model))?;
        config.input = Some(input.clone());
        let persist = matches!(config.threshold, Threshold::Learned { persist: true, .. });
        let bucket = persist
            .then(Bucket::open)
            .transpose()
            .map_err(|error| format!("cannot open the bucket for thresholds: {error:?}"))?;
        let name = config.model.clone();
        let detector = Detector::new(config).map_err(|error| error.to_string())?;
        let model = Model::load(&name)
            .map_err(|error| format!("cannot load the model `{name}`: {error}"))?;
        Ok(Self {
            detector,
            model,
            input,
            bucket,
            outbox: Outbox::new(OUTBOX_MAX),
        })
    }
}

impl Subscriber for DetectorPlugin {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let features: Features = serde_json::from_slice(&message.payload)?;
        features.check(&message.topic).map_err(Error::reject)?;
        self.remember(&features);
        let outcome = {
            let (model, input) = (&self.model, &self.input);
            let infer = |values: &[f32]| {
                let length = u32::try_from(values.len()).unwrap_or(u32::MAX);
                model.compute_f32(&[(input, &[1, length], values)])
            };
            self.detector.judge(&features, infer).map_err(to_error)?
        };
        if let Some(enter) = outcome.learned {
            self.keep(&features, enter);
        }
        for message in to_messages(&features, &outcome)? {
            self.outbox.push(message);
        }
        self.outbox.flush(publish_all)
    }
}

impl Stateful for DetectorPlugin {
    const SCHEMA: u32 = saved::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        saved::write(&self.detector, &self.outbox)
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (detector, outbox) = (&mut self.detector, &mut self.outbox);
        Ok(saved::read(state, detector, outbox, OUTBOX_MAX)?)
    }
}

impl DetectorPlugin {
    /// Finds the threshold of a device seen for the first time.
    fn remember(&mut self, features: &Features) {
        let (site, device) = (&features.site, &features.device);
        if self.detector.knows(site, device) {
            return;
        }
        let Some(bucket) = &self.bucket else { return };
        match bucket.get(&key(features)) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let text = String::from_utf8(value).unwrap_or_default();
                match text.parse() {
                    Ok(enter) => self.detector.restore(site, device, enter),
                    Err(_) => log::warn(format!("kept threshold of {site}/{device} is no number")),
                }
            }
            Err(error) => log::warn(format!("cannot read the threshold: {error:?}")),
        }
    }

    fn keep(&self, features: &Features, enter: f64) {
        let name = key(features);
        log::info(format!("learned {name}: {enter}"));
        if let Some(bucket) = &self.bucket
            && let Err(error) = bucket.set(&name, enter.to_string().as_bytes())
        {
            log::warn(format!("cannot keep {name}: {error:?}"));
        }
    }
}

fn key(features: &Features) -> String {
    format!("threshold/{}/{}", features.site, features.device)
}

/// A model that is busy or too slow may do better later; no other fault passes.
fn to_error(error: JudgeError<NnError>) -> Error {
    let JudgeError::Model(cause) = error else {
        return Error::reject(error);
    };
    let reason = format!("the model failed: {cause}");
    if cause.passes() {
        Error::retry(reason)
    } else {
        Error::reject(reason)
    }
}

/// What is published of one window: its score, then what changed.
///
/// # Errors
/// An anomaly cannot be written as JSON.
pub fn to_messages(
    features: &Features,
    outcome: &Outcome,
) -> Result<Vec<Message>, serde_json::Error> {
    let place = format!("{}/{}", features.site, features.device);
    let mut messages = Vec::new();
    if let Some(score) = &outcome.score {
        let (value, quality) = match score {
            Ok(score) => (Value::Number(*score), Quality::Good),
            Err(why) => (Value::Missing, Quality::Bad(why.clone())),
        };
        let record = Record {
            name: "score".to_owned(),
            unit: None,
            value,
            time: features.end,
            quality,
        };
        messages.push(senml::message(format!("score/{place}"), &[record]));
    }
    for anomaly in &outcome.anomalies {
        let payload = serde_json::to_vec(anomaly)?;
        let message = Message::new(format!("anomaly/{place}"), payload);
        messages.push(message.with_content_type("application/json").retained());
    }
    Ok(messages)
}

export!(DetectorPlugin: Lifecycle, Subscriber, Stateful);

#[cfg(test)]
mod tests {
    use super::*;

    /// What the window plugin publishes, to the letter.
    const FEATURES: &str = r#"{"device":"p1","site":"hall","start":1000.0,"end":1003.5,"names":["t.mean","t.slope"],"values":[1.5,null],"quality":0.25}"#;

    #[test]
    fn the_features_of_the_window_plugin_are_read() {
        let features: Features = serde_json::from_str(FEATURES).unwrap();
        assert_eq!(features.check("feature/hall/p1"), Ok(()));
        assert_eq!(features.values, [Some(1.5), None]);
        assert_eq!((features.end, features.quality), (1003.5, 0.25));
    }

    /// The responder's tests read this very text.
    #[test]
    fn a_score_and_a_kept_anomaly_are_published() {
        let features: Features = serde_json::from_str(FEATURES).unwrap();
        let anomaly = Anomaly {
            site: "hall".to_owned(),
            device: "p1".to_owned(),
            state: AnomalyState::Raised,
            kind: "worn".to_owned(),
            score: Some(3.0),
            threshold: Some(2.0),
            since: 999.5,
            window: [1000.0, 1003.5],
            top_features: vec![Deviation {
                name: "t.mean".to_owned(),
                z: 4.5,
            }],
        };
        let outcome = Outcome {
            score: Some(Ok(3.0)),
            anomalies: vec![anomaly],
            learned: None,
        };
        let messages = to_messages(&features, &outcome).unwrap();
        let topics: Vec<&str> = messages.iter().map(|m| m.topic.as_str()).collect();
        assert_eq!(topics, ["score/hall/p1", "anomaly/hall/p1"]);
        let score = senml::parse(&messages[0].payload, 0.0).unwrap();
        assert_eq!((score[0].number(), score[0].time), (Some(3.0), 1003.5));
        assert!(messages[1].retain && !messages[0].retain);
        let expected = r#"{"site":"hall","device":"p1","state":"raised","kind":"worn","score":3.0,"threshold":2.0,"since":999.5,"window":[1000.0,1003.5],"top_features":[{"name":"t.mean","z":4.5}]}"#;
        assert_eq!(messages[1].text(), Some(expected));
    }

    #[test]
    fn a_window_without_a_score_says_why() {
        let features: Features = serde_json::from_str(FEATURES).unwrap();
        let outcome = Outcome {
            score: Some(Err("not enough good points".to_owned())),
            ..Outcome::default()
        };
        let messages = to_messages(&features, &outcome).unwrap();
        let score = senml::parse(&messages[0].payload, 0.0).unwrap();
        let why = Quality::Bad("not enough good points".to_owned());
        assert_eq!(
            (&score[0].value, &score[0].quality),
            (&Value::Missing, &why)
        );
    }
}
