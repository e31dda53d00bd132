//! Says what a camera sees: JPEG frames in, labels out.
//!
//! Subscribes `camera/<site>/<device>` (JPEG), publishes `label/<site>/<device>`
//! (JSON). What a frame may cost is bounded before it is decoded ([`Frame`]); what
//! the model takes and what its scores stand for comes from the model and the
//! configuration ([`Plan`]). This file joins them to the bus and to the model.

mod changes;
mod config;
mod frame;
mod header;
mod label;
mod plan;
mod resize;
mod saved;
mod scores;

pub use config::{Bounds, Colours, Config, ConfigError, Fit, Image, Layout, Publish};
pub use frame::{Frame, FrameError};
pub use label::{Label, Version};
pub use plan::{Plan, PlanError};
pub use scores::{OutputError, Outputs, Scored};

use changes::Changes;
use selvedge_plugin::nn::{Model, NnError};
use selvedge_plugin::{
    Error, Lifecycle, Message, Outbox, Stateful, Subscriber, export, models, publish_all,
};

/// Messages kept while the bus is busy; one more displaces the oldest.
const OUTBOX_MAX: usize = 256;

/// The plugin.
#[derive(Debug)]
pub struct ClassifierPlugin {
    config: Config,
    model: Model,
    /// What is known of the version that serves.
    version: Version,
    plan: Plan,
    changes: Changes,
    outbox: Outbox,
}

impl Lifecycle for ClassifierPlugin {
    fn init(config: &selvedge_plugin::Config) -> Result<Self, String> {
        let config: Config = config.parse()?;
        config.check().map_err(|error| error.to_string())?;
        let name = &config.model;
        let described = models::describe(name).map_err(|error| error.to_string())?;
        let plan = Plan::new(&config, &described)
            .map_err(|error| format!("the model `{name}` does not fit: {error}"))?;
        let model = Model::load(name)
            .map_err(|error| format!("cannot load the model `{name}`: {error}"))?;
        Ok(Self {
            model,
            version: Version::of(name, &described),
            plan,
            changes: Changes::new(config.devices_max),
            outbox: Outbox::new(OUTBOX_MAX),
            config,
        })
    }
}

impl Subscriber for ClassifierPlugin {
    fn handle(&mut self, message: &Message) -> Result<(), Error> {
        let (site, device) = label::camera(&message.topic)
            .ok_or_else(|| Error::reject("the topic is not camera/<site>/<device>"))?;
        check_content_type(message)?;
        let frame = Frame::decode(&message.payload, &self.config.frame).map_err(Error::reject)?;
        self.follow()?;
        let input = self.plan.prepare(&frame);
        drop(frame);
        let inputs = [(self.plan.input.as_str(), &self.plan.shape[..], &input[..])];
        let outputs = self.model.compute_f32(&inputs).map_err(to_error)?;
        let top = scores::read(&self.plan, outputs, self.config.top).map_err(Error::reject)?;
        let label = self.label(site, device, top, message.published_at);
        if self.is_reported(&label) {
            self.outbox.push(to_message(&label, self.config.publish)?);
        }
        self.outbox.flush(publish_all)
    }
}

impl ClassifierPlugin {
    /// Another version may have taken the model's place, with other labels.
    fn follow(&mut self) -> Result<(), Error> {
        let name = &self.config.model;
        let described = models::describe(name).map_err(Error::retry)?;
        if described.digest != self.version.digest {
            self.plan = Plan::new(&self.config, &described).map_err(Error::retry)?;
            self.version = Version::of(name, &described);
        }
        Ok(())
    }

    fn label(&self, site: &str, device: &str, top: Vec<Scored>, published_at: u64) -> Label {
        let best = top.first();
        let score = best.map_or(0.0, |best| best.score);
        let sure = best.filter(|best| best.score >= self.config.score_min);
        Label {
            site: site.to_owned(),
            device: device.to_owned(),
            label: sure.map(|best| best.label.clone()),
            score,
            published_at: seconds(published_at),
            model: self.version.clone(),
            top,
        }
    }

    /// A frame without a label changes nothing.
    fn is_reported(&mut self, found: &Label) -> bool {
        match (self.config.publish, &found.label) {
            (Publish::All, _) => true,
            (Publish::Changes, None) => false,
            (Publish::Changes, Some(label)) => {
                self.changes.is_new(&found.site, &found.device, label)
            }
        }
    }
}

impl Stateful for ClassifierPlugin {
    const SCHEMA: u32 = saved::SCHEMA;

    fn snapshot(&mut self) -> Vec<u8> {
        saved::write(&self.changes, &self.outbox)
    }

    fn restore(&mut self, _: u32, state: &[u8]) -> Result<(), String> {
        let (changes, outbox) = (&mut self.changes, &mut self.outbox);
        Ok(saved::read(state, changes, outbox, OUTBOX_MAX)?)
    }
}

/// What is said to be something else is not tried; a publisher may say nothing.
fn check_content_type(message: &Message) -> Result<(), Error> {
    let Some(said) = &message.content_type else {
        return Ok(());
    };
    let kind = said.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("image/jpeg") || kind.eq_ignore_ascii_case("image/jpg") {
        return Ok(());
    }
    let plain: String = said.chars().filter(|c| !c.is_control()).take(64).collect();
    Err(Error::reject(format!(
        "the content type is `{plain}`, not image/jpeg"
    )))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds since 1970 lose less than a microsecond"
)]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn to_message(label: &Label, publish: Publish) -> Result<Message, Error> {
    let topic = format!("label/{}/{}", label.site, label.device);
    let message = Message::new(topic, serde_json::to_vec(label)?);
    let message = message.with_content_type("application/json");
    Ok(match publish {
        Publish::All => message,
        Publish::Changes => message.retained(),
    })
}

/// A model that is busy or too slow may do better later; no other fault passes.
fn to_error(cause: NnError) -> Error {
    let reason = format!("the model failed: {cause}");
    if cause.passes() {
        Error::retry(reason)
    } else {
        Error::reject(reason)
    }
}

export!(ClassifierPlugin: Lifecycle, Subscriber, Stateful);

#[cfg(test)]
mod tests;
