//! What is captured of one model, and who takes it from its runs.
//!
//! A run is asked for before it begins, by count and rate, so that one nobody wants
//! costs nothing; what is taken of it goes in line. What becomes of it then is the
//! business of [`super::outlet`].

use std::sync::{Arc, Weak};

use super::Capture;
use super::counts::count;
use super::limiter::Limiter;
use super::record::Record;
use crate::inference::{RunObserver, RunRecord, Served};
use crate::names::{ModelName, Topic};
use crate::spec::CaptureOptions;

/// What is captured of one model.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) options: CaptureOptions,
    pub(super) topic: Topic,
    pub(super) limiter: Limiter,
}

impl Rule {
    /// None if no topic can be made of the model's name, which is one level.
    pub(super) fn new(model: &ModelName, options: &CaptureOptions) -> Option<Self> {
        let topic = match &options.topic {
            Some(topic) => topic.clone(),
            None => format!("capture/{model}").parse().ok()?,
        };
        Some(Self {
            options: options.clone(),
            topic,
            limiter: Limiter::new(options),
        })
    }
}

/// Takes some of the runs of one model.
pub(super) struct Watcher {
    pub(super) capture: Capture,
    pub(super) rule: Arc<Rule>,
    /// Not held: it holds this.
    pub(super) served: Weak<Served>,
}

impl RunObserver for Watcher {
    fn wants(&self, _: &ModelName) -> bool {
        if !self.rule.limiter.sample() {
            return false;
        }
        let admitted = self.rule.limiter.admit();
        if !admitted {
            count(&self.capture.0.counts.limited);
        }
        admitted
    }

    fn ran(&self, run: RunRecord) {
        let served = self.served.upgrade().map(|served| served.current());
        let same = served.filter(|model| model.digest() == run.digest);
        let options = &self.rule.options;
        let record = Record::of_run(run, same.map(|model| model.backend()), options, || {
            (self.capture.id(), self.rule.topic.clone())
        });
        match record {
            Ok(record) => self.capture.queue(record),
            Err(_) => count(&self.capture.0.counts.too_large),
        }
    }
}
